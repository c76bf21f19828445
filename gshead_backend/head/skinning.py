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
        active = np.flatnonzero(pose.expression)
        shaped = self.rest
        if active.size:
            delta = self.model.expression_dirs[:, :, active] @ (pose.expression * self.gain)[active]
            shaped = shaped + (delta if self.model.subdivision is None else self.model.subdivision @ delta)
        if self.model.pose_correctives is not None:
            feature = (axis_angle_to_matrix(pose.rotations[1:]) - np.eye(3)).reshape(-1).astype(np.float32)
            shaped = shaped + self.model.pose_correctives @ feature
        return shaped

    def vertices(self, pose: HeadPose) -> np.ndarray:
        """(V, 3) float32 posed vertices in head space, metres."""
        A = joint_transforms(axis_angle_to_matrix(pose.rotations), self.joints).astype(np.float32)
        blended = (self.model.skin_weights @ A.reshape(5, 12)).reshape(-1, 3, 4)
        shaped = self.shaped(pose)
        out = np.einsum("vab,vb->va", blended[:, :, :3], shaped) + blended[:, :, 3]
        return out + pose.translation


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
