"""Carrying what the default head knows to another head: regions, and the ARKit expressions."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import KDTree

from ..arkit import ARKIT_INDEX, ARKIT_NAMES
from ..bake.landmarks import nearest_on_mesh
from ..bake.render import vertex_normals
from ..model import HeadModel
from ..rotation import axis_angle_to_matrix, euler_to_matrix, matrix_to_axis_angle
from ..skinning import PersonalHead, joint_transforms, pose_from_arkit

_REACH = 0.010  # metres between the two surfaces beyond which they do not correspond
_SMOOTH = 0.018  # metres, width of the warp that carries one face onto the other
_RIDGE = 2.5e-4  # metres a coefficient of one may cost
_JAW_CHANNELS = ("jawOpen", "jawLeft", "jawRight", "jawForward")


@dataclasses.dataclass(frozen=True)
class Correspondence:
    """The default head laid over another one.

    vertices: (V, 3) the default head's neutral vertices, moved onto the other head.
    turn: (3, 3) rotation times scale that takes the default head's displacements along.
    """

    vertices: np.ndarray
    turn: np.ndarray


def similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation times scale (3, 3) and shift (3,) with ``target ~ source @ M.T + t`` (Umeyama 1991)."""
    w = weights[:, None] / weights.sum()
    a, b = (w * source).sum(0), (w * target).sum(0)
    u, s, vt = np.linalg.svd((w * (target - b)).T @ (source - a))
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * np.diag(flip)).sum() / (w * (source - a) ** 2).sum()
    M = scale * u @ flip @ vt
    return M, b - M @ a


def overlay(source: HeadModel, target: HeadModel) -> Correspondence:
    """Lay ``source`` over ``target`` by their landmarks: a similarity, then a smooth warp of what is left."""
    rest = PersonalHead.create(source, np.zeros(source.identity_count, np.float32)).rest.astype(np.float64)
    goal = PersonalHead.create(target, np.zeros(target.identity_count, np.float32)).rest.astype(np.float64)
    marks = [
        (v[h.faces[h.landmark_triangles]] * h.landmark_bary[:, :, None]).sum(1)
        for h, v in ((source, rest), (target, goal))
    ]
    weights = 1 / (source.landmark_sigma**2 + target.landmark_sigma**2)
    M, t = similarity(marks[0], marks[1], weights)
    moved, at = rest @ M.T + t, marks[0] @ M.T + t
    near = KDTree(at)
    for _ in range(3):  # each round fits what the last one left, more and more locally weighted by trust
        gap, index = (np.asarray(a) for a in near.query(moved, k=24))
        w = np.exp(-0.5 * (gap / _SMOOTH) ** 2) * weights[index]
        residual = marks[1] - at
        pull = (w[..., None] * residual[index]).sum(1) / (w.sum(1, keepdims=True) + 1e-12)
        trust = np.exp(-0.5 * (gap[:, :1] / (2.5 * _SMOOTH)) ** 2)
        moved = moved + trust * pull
        gap, index = (np.asarray(a) for a in near.query(at, k=24))
        w = np.exp(-0.5 * (gap / _SMOOTH) ** 2) * weights[index]
        at = at + (w[..., None] * residual[index]).sum(1) / w.sum(1, keepdims=True)
        near = KDTree(at)
    return Correspondence(moved, M)


def carry_regions(source: HeadModel, target: HeadModel, over: Correspondence) -> np.ndarray:
    """(V,) region of each target vertex: that of the nearest outer vertex of the source, eyes by their joints."""
    goal = PersonalHead.create(target, np.zeros(target.identity_count, np.float32)).rest
    outer = np.flatnonzero(source.region_mask("skin", "scalp", "ear", "neck", "torso", "lips", "lids"))
    region = source.region[outer[np.asarray(KDTree(over.vertices[outer]).query(goal)[1])]]
    for joint, name in ((3, "eye_left"), (4, "eye_right")):
        region[target.skin_weights[:, joint] > 0.5] = source.region_names.index(name)
    return region.astype(np.uint8)


def carry_expressions(source: HeadModel, target: HeadModel, over: Correspondence) -> HeadModel:
    """The target with ``arkit_expression``, ``arkit_jaw`` and ``arkit_eyes``.

    Every ARKit channel's displacement on the source is taken to the corresponding points of the target (Sumner and
    Popovic 2004 in its simplest form) and explained there by expression coefficients and, where the jaw moves, by the
    jaw joint: Gauss-Newton with a ridge of one standard deviation.
    """
    face = target.region_mask("skin", "lips", "lids")
    goal = PersonalHead.create(target, np.zeros(target.identity_count, np.float32)).rest.astype(np.float64)
    skin = source.region_mask("skin", "lips", "lids", "neck")
    triangles = np.flatnonzero(skin[source.faces].all(1))
    points = np.flatnonzero(face)
    which, bary = nearest_on_mesh(goal[points], over.vertices, source.faces[triangles])
    corner = source.faces[triangles[which]]
    gap = np.linalg.norm((over.vertices[corner] * bary[:, :, None]).sum(1) - goal[points], axis=1)
    facing = (
        vertex_normals(over.vertices, source.faces)[corner].mean(1) * vertex_normals(goal, target.faces)[points]
    ).sum(1)
    keep = (gap < _REACH) & (facing > 0.3)
    points, corner, bary = points[keep], corner[keep], bary[keep]
    person = PersonalHead.create(source, np.zeros(source.identity_count, np.float32))

    def moved(channels: dict[str, float]) -> np.ndarray:
        values = np.zeros(52)
        for name, value in channels.items():
            values[ARKIT_INDEX[name]] = value
        delta = (person.vertices(pose_from_arkit(source, values)) - person.rest).astype(np.float64)
        return (delta[corner] * bary[:, :, None]).sum(1) @ over.turn.T

    expression, jaw = np.zeros((52, target.expression_count)), np.zeros((52, 3))
    for i, name in enumerate(ARKIT_NAMES):
        if name in ("mouthClose", "tongueOut"):
            continue
        expression[i], jaw[i] = _explain(target, goal, points, moved({name: 1.0}), free_jaw=name in _JAW_CHANNELS)
    opened = ARKIT_INDEX["jawOpen"]
    both, _ = _explain(
        target, goal, points, moved({"jawOpen": 1.0, "mouthClose": 1.0}), free_jaw=False, jaw=jaw[opened]
    )
    expression[ARKIT_INDEX["mouthClose"]] = both - expression[opened]
    return dataclasses.replace(
        target, arkit_expression=expression.astype(np.float32), arkit_jaw=jaw.astype(np.float32),
        arkit_eyes=source.arkit_eyes.copy(),
    )  # fmt: skip


def _explain(
    head: HeadModel, rest: np.ndarray, points: np.ndarray, wanted: np.ndarray, *, free_jaw: bool,
    jaw: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Expression coefficients and jaw Euler angles whose displacement at ``points`` is nearest to ``wanted``."""
    turned = np.zeros(3) if jaw is None else jaw.astype(np.float64)
    dirs = head.expression_dirs[points].astype(np.float64)
    e = np.zeros(dirs.shape[2])
    for _ in range(6 if free_jaw else 1):
        blend, base = _jaw_motion(head, rest, points, turned)
        columns = np.einsum("pab,pbe->pae", blend, dirs).reshape(-1, len(e))
        now = base + (columns @ e).reshape(-1, 3)
        if free_jaw:
            shaped = np.einsum("pae,e->pa", dirs, e)
            turns = [
                _jaw_motion(head, rest, points, turned + 1e-4 * np.eye(3)[k], shaped)[1]
                - _jaw_motion(head, rest, points, turned, shaped)[1]
                for k in range(3)
            ]
            columns = np.concatenate([columns, np.stack(turns, -1).reshape(-1, 3) / 1e-4], 1)
        left = (wanted - now).reshape(-1)
        ridge = np.r_[np.full(len(e), _RIDGE**2), np.zeros(columns.shape[1] - len(e))] * len(points)
        prior = np.r_[-ridge[: len(e)] * e, np.zeros(columns.shape[1] - len(e))]
        step = np.linalg.solve(columns.T @ columns + np.diag(ridge + 1e-12), columns.T @ left + prior)
        e += step[: len(e)]
        if free_jaw:
            turned = turned + step[len(e) :]
    return e, turned


def _jaw_motion(
    head: HeadModel, rest: np.ndarray, points: np.ndarray, jaw: np.ndarray, shaped: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Blended rotations (p, 3, 3) for a jaw pose, and the displacement (p, 3) it gives without expression."""
    rotations = np.zeros((5, 3))
    rotations[2] = matrix_to_axis_angle(euler_to_matrix(jaw))
    R = axis_angle_to_matrix(rotations)
    A = joint_transforms(R, head.joints.astype(np.float64))
    B = np.einsum("pj,jab->pab", head.skin_weights[points].astype(np.float64), A)
    x = rest[points].copy()
    if head.pose_correctives is not None:
        x += head.pose_correctives[points].astype(np.float64) @ (R[1:] - np.eye(3)).reshape(-1)
    if shaped is not None:
        x += shaped
    return B[:, :, :3], np.einsum("pab,pb->pa", B[:, :, :3], x) + B[:, :, 3] - rest[points]
