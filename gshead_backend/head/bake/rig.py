"""Joints and skin weights, found from the face units themselves: the jaw is the rigid motion of the lower teeth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..rotation import axis_angle_to_matrix
from ..skinning import joint_transforms
from .mean import EYES_AT, Blank, _smoothstep

NECK_AT = np.array([0.0, -0.140, -0.105])
ROOT_AT = np.array([0.0, -0.215, -0.120])


@dataclass(frozen=True)
class Rig:
    """joints (5, 3); joints_identity (5, 3, B); weights (C, 5) on control points; jaw_angle: radians of jawOpen."""

    joints: np.ndarray
    joints_identity: np.ndarray
    weights: np.ndarray
    jaw_angle: float

    def blend(self, jaw: float, weights: np.ndarray | None = None) -> np.ndarray:
        """(C, 3, 4) skinning matrices for a jaw opened by ``jaw`` of jawOpen."""
        r = np.zeros((5, 3))
        r[2, 0] = jaw * self.jaw_angle
        A = joint_transforms(axis_angle_to_matrix(r), self.joints)
        return np.einsum("vj,jab->vab", self.weights if weights is None else weights, A)

    def pose(self, control: np.ndarray, jaw: float) -> np.ndarray:
        """(C, 3) control points moved by the jaw."""
        B = self.blend(jaw)
        return np.einsum("vab,vb->va", B[:, :, :3], control) + B[:, :, 3]

    def unpose(self, posed: np.ndarray, jaw: float) -> np.ndarray:
        """Inverse of :meth:`pose`: what a shape must be before skinning, to end up at ``posed``."""
        B = self.blend(jaw)
        return np.linalg.solve(B[:, :, :3], (posed - B[:, :, 3])[:, :, None])[:, :, 0]


def _hinge(before: np.ndarray, after: np.ndarray) -> tuple[float, np.ndarray]:
    """Angle about +X and the (y, z) centre of the rotation that best moves ``before`` to ``after``."""
    p, q = before[:, 1:] - before[:, 1:].mean(0), after[:, 1:] - after[:, 1:].mean(0)
    angle = np.arctan2((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum(), (p * q).sum())
    R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = after[:, 1:].mean(0) - R @ before[:, 1:].mean(0)
    return float(angle), np.linalg.solve(np.eye(2) - R, shift)


def smoother(quads: np.ndarray, count: int) -> sp.csr_matrix:
    """Row-normalised neighbour average of a quad mesh; points without neighbours keep their value."""
    a, b = quads.ravel(), np.roll(quads, -1, 1).ravel()
    graph = sp.csr_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(count, count))
    graph.data[:] = 1.0
    degree = np.asarray(graph.sum(1)).ravel()
    return sp.csr_matrix(sp.diags(1 / np.maximum(degree, 1)) @ graph + sp.diags((degree == 0) * 1.0))


def build_rig(blank: Blank, quads: np.ndarray, jaw_open: np.ndarray) -> Rig:
    """Joints and weights.

    Args:
        quads: control quads. jaw_open: (C, 3) displacement of the face unit jawOpen on control points.
    """
    mean, lower = blank.mean, blank.slots("lower")
    angle, centre = _hinge(mean[lower], mean[lower] + jaw_open[lower])
    joints = np.stack([
        EYES_AT + ROOT_AT, EYES_AT + NECK_AT, np.array([0.0, *centre]),
        mean[blank.slots("eye_left")][0], mean[blank.slots("eye_right")][0],
    ])  # fmt: skip
    R = axis_angle_to_matrix(np.array([angle, 0, 0]))
    turned = (mean - joints[2]) @ R.T + joints[2] - mean
    # The share of the jaw's rotation that a point follows: projection of its jawOpen on the rotation.
    share = (jaw_open * turned).sum(1) / np.maximum((turned**2).sum(1), 1e-8)
    share = np.clip(share, 0, 1) * _smoothstep(np.linalg.norm(jaw_open, axis=1) / 0.002)
    average = smoother(quads, len(mean))
    for _ in range(6):
        share = 0.5 * share + 0.5 * (average @ share)
    share[blank.slots("upper")] = 0
    share[lower] = 1
    relative = mean - EYES_AT
    height = relative[:, 1] + 0.5 * (relative[:, 2] - NECK_AT[2])
    head = _smoothstep((height + 0.195) / 0.105)
    weights = np.zeros((len(mean), 5))
    weights[:, 2] = share * head
    weights[:, 1] = (1 - share) * head
    weights[:, 0] = 1 - head
    for k, name in enumerate(("eye_left", "eye_right")):
        weights[blank.slots(name)] = np.eye(5)[3 + k]
    weights[blank.slots("upper")] = np.eye(5)[1]
    weights[lower] = np.eye(5)[2]
    return Rig(joints, _follow(blank, joints), weights, angle)


def _follow(blank: Blank, joints: np.ndarray) -> np.ndarray:
    """(5, 3, B) how joints move with identity: eyes with the eyeballs, the others with the skin around them."""
    out = np.zeros((5, 3, blank.modes.shape[2]))
    skin = slice(0, len(blank.skin))
    p, modes = blank.mean[skin], blank.modes[skin]
    sides = np.array([[0.068, 0, 0], [-0.068, 0, 0]])
    for j, sigma in ((0, 0.05), (1, 0.04), (2, 0.015)):
        if j == 2:  # the hinge lies before the ears
            d = np.min([((p - joints[2] - s * [1, 0, 0]) ** 2).sum(1) for s in sides], axis=0)
        else:
            d = (p[:, 1] - joints[j, 1]) ** 2 + 0.3 * (p[:, 2] - joints[j, 2]) ** 2
        w = np.exp(-0.5 * d / sigma**2)
        out[j] = np.einsum("p,pab->ab", w / w.sum(), modes)
    for j, name in ((3, "eye_left"), (4, "eye_right")):
        out[j] = blank.modes[blank.slots(name)][0]
    return out
