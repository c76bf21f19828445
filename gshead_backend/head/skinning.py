"""Evaluating a head in numpy. ``skinning_torch`` is its differentiable twin; a test keeps them equal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ArgumentError
from .model import PARENTS, HeadModel
from .pose import HeadPose
from .rotation import axis_angle_to_matrix, euler_to_matrix, matrix_to_axis_angle


def joint_transforms(rotations: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Skinning matrices of the five joints (Loper et al. 2015, SMPL, eqs. 3-4).

    Args:
        rotations: (5, 3, 3) local rotations. joints: (5, 3) rest positions.
    Returns:
        (5, 3, 4): maps a rest point to its posed place, ``A @ [x, 1]``.
    """
    world = np.zeros((5, 4, 4))
    for j, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotations[j]
        local[:3, 3] = joints[j] - (joints[parent] if parent >= 0 else 0.0)
        world[j] = local if parent < 0 else world[parent] @ local
    out = world[:, :3].copy()
    out[:, :, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], joints)
    return out


@dataclass(frozen=True)
class PersonalHead:
    """A head with one person's identity applied: what is computed once, so that posing is cheap.

    Attributes:
        model: the head model.
        betas: (B,) identity coefficients.
        rest: (V, 3) float32 neutral vertices before skinning, personal offsets included.
        joints: (5, 3) float32.
        gain: (E,) identity-dependent factor on each expression delta.
    """

    model: HeadModel
    betas: np.ndarray
    rest: np.ndarray
    joints: np.ndarray
    gain: np.ndarray

    @classmethod
    def create(cls, model: HeadModel, betas: np.ndarray, vertex_offsets: np.ndarray | None = None) -> PersonalHead:
        """Apply identity. ``vertex_offsets`` (V, 3) metres are added to the dense neutral mesh."""
        betas = np.asarray(betas, np.float32)
        if betas.shape != (model.identity_count,):
            raise ArgumentError(f"betas must have shape ({model.identity_count},), got {betas.shape}.")
        control = model.template + model.identity_dirs @ betas
        rest = control if model.subdivision is None else model.subdivision @ control
        if vertex_offsets is not None:
            rest = rest + vertex_offsets
        gain = np.ones(model.expression_count, np.float32)
        if model.expression_gain is not None:
            gain = (1 + model.expression_gain @ betas).astype(np.float32)
        joints = model.joints + model.joints_identity @ betas
        return cls(model, betas, rest.astype(np.float32), joints.astype(np.float32), gain)

    def shape_key(self, expression: int) -> np.ndarray:
        """(V, 3) dense delta of one expression at 1, before skinning."""
        delta = self.model.expression_dirs[:, :, expression] * self.gain[expression]
        return delta if self.model.subdivision is None else self.model.subdivision @ delta

    def check(self, pose: HeadPose) -> None:
        """Raise ``ArgumentError`` when the pose was made for a head with other expressions."""
        if pose.expression.shape != self.gain.shape:
            raise ArgumentError(
                f"This head takes {self.gain.size} expression values, got {pose.expression.size}.",
                remedy="Use a pose made for the avatar's own head model.",
            )

    def shaped(self, pose: HeadPose) -> np.ndarray:
        """(V, 3) float32 vertices with expression and pose correctives, before skinning."""
        self.check(pose)
        weight = pose.expression * self.gain
        active = np.flatnonzero(weight)
        shaped = self.rest
        if active.size:
            dirs = dense_expressions(self.model)
            few = 2 * active.size < weight.size
            shaped = shaped + (weight[active] @ dirs[active] if few else weight @ dirs).reshape(-1, 3)
        if self.model.pose_correctives is not None:
            feature = (axis_angle_to_matrix(pose.rotations[1:]) - np.eye(3)).reshape(-1).astype(np.float32)
            shaped = shaped + (self.model.pose_correctives.reshape(-1, 36) @ feature).reshape(-1, 3)
        return shaped

    def vertices(self, pose: HeadPose) -> np.ndarray:
        """(V, 3) float32 posed vertices in head space, metres.

        Weights sum to one, so the sum over joints is the motion of the commonest joint plus, at the vertices that
        another joint moves differently, that joint's share of the difference.
        """
        A = joint_transforms(axis_angle_to_matrix(pose.rotations), self.joints).astype(np.float32)
        shaped = self.shaped(pose)
        base, followers = joint_followers(self.model)
        out = shaped @ A[base, :, :3].T
        out += A[base, :, 3] + pose.translation
        for joint, (rows, weights) in followers.items():
            difference = A[joint] - A[base]
            if np.abs(difference).max() > 1e-9:
                moved = np.take(shaped, rows, axis=0, mode="clip") @ difference[:, :3].T + difference[:, 3]
                out[rows] += weights * moved
        return out


def dense_expressions(model: HeadModel) -> np.ndarray:
    """(E, 3 V) float32: every expression on the dense mesh, computed once per model and kept."""
    if "dense_expressions" not in model._cache:
        deltas = np.empty((model.expression_count, model.vertex_count, 3), np.float32)
        for e, delta in enumerate(deltas):
            control = np.ascontiguousarray(model.expression_dirs[:, :, e])
            delta[:] = control if model.subdivision is None else model.subdivision @ control
        model._cache["dense_expressions"] = deltas.reshape(model.expression_count, -1)
    return model._cache["dense_expressions"]


def joint_followers(model: HeadModel) -> tuple[int, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """The joint with the largest weight in all, and for every other joint its rows (n,) and weights (n, 1)."""
    if "joint_followers" not in model._cache:
        base = int(model.skin_weights.sum(0).argmax())
        followers = {}
        for joint in range(len(PARENTS)):
            rows = np.flatnonzero(model.skin_weights[:, joint])
            if joint != base and rows.size:
                followers[joint] = rows, np.ascontiguousarray(model.skin_weights[rows, joint, None], np.float32)
        model._cache["joint_followers"] = base, followers
    return model._cache["joint_followers"]


def pose_from_arkit(
    model: HeadModel,
    channels: np.ndarray,
    *,
    head_rotation: np.ndarray | None = None,
    neck_rotation: np.ndarray | None = None,
    eye_rotation: np.ndarray | None = None,
    translation: np.ndarray | None = None,
) -> HeadPose:
    """A pose from the 52 ARKit channels.

    jawOpen and eyeLook* turn joints; their Euler angles add up over channels exactly as drivers on a Blender bone
    do, then user rotations are applied on top (child of the driven bone).

    Args:
        channels: (52,) in ``ARKIT_NAMES`` order.
        head_rotation: (3,) axis-angle for ``global_orient``. neck_rotation: (3,).
        eye_rotation: (2, 3) extra axis-angle for the left and right eye.
    """
    channels = np.asarray(channels, np.float32)
    if channels.shape != (52,):
        raise ArgumentError(f"channels must have shape (52,), got {channels.shape}.")
    jaw = euler_to_matrix(channels @ model.arkit_jaw)
    eyes = euler_to_matrix(np.einsum("c,cea->ea", channels, model.arkit_eyes))
    if eye_rotation is not None:
        eyes = eyes @ axis_angle_to_matrix(np.asarray(eye_rotation))
    zero = np.zeros(3, np.float32)
    return HeadPose(
        expression=channels @ model.arkit_expression,
        global_orient=zero if head_rotation is None else head_rotation,
        neck_pose=zero if neck_rotation is None else neck_rotation,
        jaw_pose=matrix_to_axis_angle(jaw),
        eye_pose=matrix_to_axis_angle(eyes).reshape(6),
        translation=zero if translation is None else translation,
    )
