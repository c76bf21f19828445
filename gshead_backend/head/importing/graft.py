"""Teeth, gums, tongue and the mouth's lining for a head that has none, taken from the default head."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import KDTree

from ..model import HeadModel
from ..skinning import PersonalHead
from .transfer import similarity

PARTS = ("mouth_cavity", "gums", "teeth_upper", "teeth_lower", "tongue")
_BEHIND = 0.0015  # metres between the teeth and the skin in front of them
_FARTHEST = 0.012
_STRIP = 0.1  # of the UV square's height, below the head's own chart


def graft_mouth(source: HeadModel, head: HeadModel) -> HeadModel:
    """``head`` with ``source``'s mouth parts behind its lips; its own vertices keep their order and their place.

    The parts come by the similarity that lays one head's lips over the other's. They follow the identity as the lips
    do on the whole, and the jaw by their own weights; expressions leave them where they are. A strip below the head's
    UV chart, which shrinks to make room, holds their islands.
    """
    if head.subdivision is not None:
        raise ValueError(f"head '{head.name}' is a subdivision cage: parts can be grafted onto dense heads only")
    rest, goal = _mean(source), _mean(head)
    on_lips = np.flatnonzero(source.region_mask("lips")[source.faces[source.landmark_triangles]].any(1))
    marks, target = _marks(source, rest, on_lips), _marks(head, goal, on_lips)
    M, t = similarity(marks, target, np.ones(len(on_lips)))
    chosen = source.region_mask(*PARTS)
    triangles = np.flatnonzero(chosen[source.faces].all(1))
    used, corners = np.unique(source.faces[triangles], return_inverse=True)
    parts = rest[used] @ M.T + t
    parts[:, 2] -= _intrusion(source, head, used, parts, goal)
    # A control point's identity displacement is the rigid-and-scaled motion nearest to the lips' own.
    rows = head.faces[head.landmark_triangles[on_lips]]
    moved = np.einsum("lk,lkab->lab", head.landmark_bary[on_lips], head.identity_dirs[rows])
    identity = _follow(target, moved, parts)
    n, v = len(used), head.vertex_count
    uv, uv_faces = _charts(source, head, triangles)
    mirror = np.full(source.vertex_count, -1)
    mirror[used] = np.arange(n)
    other = mirror[source.mirror[used]]
    other = np.where(other >= 0, other, np.arange(n))
    region = source.region[used]
    if source.region_names != head.region_names:
        names = {i: head.region_names.index(source.region_names[i]) for i in np.unique(region)}
        region = np.array([names[i] for i in region])
    correctives = head.pose_correctives
    if correctives is not None:
        correctives = np.concatenate([correctives, np.zeros((n, 3, correctives.shape[2]), correctives.dtype)])
    return dataclasses.replace(
        head,
        template=np.concatenate([head.template, parts.astype(np.float32)]),
        identity_dirs=np.concatenate([head.identity_dirs, identity.astype(np.float32)]),
        expression_dirs=np.concatenate([head.expression_dirs, np.zeros((n, 3, head.expression_count), np.float32)]),
        faces=np.concatenate([head.faces, (corners.reshape(-1, 3) + v).astype(np.int32)]),
        uv=uv, uv_faces=uv_faces,
        skin_weights=np.concatenate([head.skin_weights, source.skin_weights[used]]),
        pose_correctives=correctives,
        region=np.concatenate([head.region, region.astype(np.uint8)]),
        mirror=np.concatenate([head.mirror, (other + v).astype(np.int32)]),
    )  # fmt: skip


def _mean(head: HeadModel) -> np.ndarray:
    return PersonalHead.create(head, np.zeros(head.identity_count, np.float32)).rest.astype(np.float64)


def _marks(head: HeadModel, vertices: np.ndarray, index: np.ndarray) -> np.ndarray:
    corners = vertices[head.faces[head.landmark_triangles[index]]]
    return (corners * head.landmark_bary[index][:, :, None]).sum(1)


def _intrusion(source: HeadModel, head: HeadModel, used: np.ndarray, parts: np.ndarray, goal: np.ndarray) -> float:
    """Metres by which the teeth must go back so that closed lips cover them."""
    teeth = parts[source.region_mask("teeth_upper", "teeth_lower")[used]]
    skin = goal[head.region_mask("skin", "lips")]
    around = KDTree(skin[:, :2]).query_ball_point(teeth[:, :2], 0.003)
    clearance = [skin[near, 2].max() - z for near, z in zip(around, teeth[:, 2], strict=True) if near]
    return float(np.clip(_BEHIND - np.quantile(clearance, 0.01), 0.0, _FARTHEST)) if clearance else 0.0


def _follow(marks: np.ndarray, moved: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(P, 3, B): per component, the small similarity (shift, turn, growth) that best explains ``moved`` (L, 3, B)."""

    def columns(x: np.ndarray) -> np.ndarray:
        d = x - marks.mean(0)
        zero, one = np.zeros(len(d)), np.ones(len(d))
        a, b, c = d.T
        rows = np.array(
            [
                [one, zero, zero, zero, c, -b, a],
                [zero, one, zero, -c, zero, a, b],
                [zero, zero, one, b, -a, zero, c],
            ]
        )
        return rows.transpose(2, 0, 1).reshape(-1, 7)

    flat = moved.reshape(-1, moved.shape[2]).astype(np.float64)
    motion = np.linalg.lstsq(columns(marks), flat, rcond=None)[0]
    return (columns(points) @ motion).reshape(len(points), 3, -1)


def _charts(source: HeadModel, head: HeadModel, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """UVs and UV faces of both: the head's chart above, the parts' islands in the strip below it."""
    own = head.uv.astype(np.float64).copy()
    own[:, 1] = _STRIP + (1 - _STRIP) * own[:, 1]
    used, corners = np.unique(source.uv_faces[triangles], return_inverse=True)
    islands = source.uv[used].astype(np.float64)
    low, high = islands.min(0), islands.max(0)
    islands = (islands - low) / np.maximum(high - low, 1e-9) * [1.0, 0.95 * _STRIP]
    uv = np.concatenate([own, islands]).astype(np.float32)
    return uv, np.concatenate([head.uv_faces, (corners.reshape(-1, 3) + len(own)).astype(np.int32)])
