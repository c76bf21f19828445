"""Surfels to splats of an avatar: which triangle each hangs on, and where in that triangle's frame."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.spatial import KDTree

from ...avatar.binding import triangle_frames
from ...avatar.types import REGIONS, Avatar
from ...head.model import HeadModel
from ...head.rotation import matrix_to_quat, quat_multiply
from ...head.skinning import PersonalHead, dense_expressions
from ...parallel import kernel_array
from ...portrait.labels import LABELS
from ...protocol.transfer import linear_to_srgb
from .surfels import ANCHORS, Surfels

_REGION = {"hair": "hair", "facial_hair": "hair", "hat": "hair", "eyes": "eye", "mouth": "mouth", "clothes": "clothes"}


def find_triangles(head: HeadModel, rest: np.ndarray, surfels: Surfels) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int32 triangle and (N, 3) barycentric coordinates that each surfel hangs on, by its anchor."""
    corners = rest[head.faces].astype(np.float64)
    centre = corners.mean(1)
    normal = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    triangle = np.zeros(len(surfels), np.int32)
    bary = np.full((len(surfels), 3), 1 / 3, np.float32)
    for index, (anchor, allowed) in enumerate(zip(ANCHORS, anchor_faces(head), strict=True)):
        mine = np.flatnonzero(surfels.anchor == index)
        if not mine.size:
            continue
        near = KDTree(centre[allowed]).query(surfels.means[mine], k=10 if anchor == "surface" else 1)[1]
        near = allowed[near].reshape(mine.size, -1)
        if anchor == "surface":
            triangle[mine], bary[mine] = _closest(
                kernel_array(surfels.means[mine], np.float64), kernel_array(surfels.normals[mine], np.float64),
                kernel_array(near, np.int64), kernel_array(corners, np.float64), kernel_array(normal, np.float64),
            )  # fmt: skip
        else:
            triangle[mine] = near[:, 0]
    return triangle, bary


def anchor_faces(head: HeadModel) -> tuple[np.ndarray, ...]:
    """Triangles that each of ``ANCHORS`` may use; those of cranium and torso never move with an expression."""
    if "synthetic_anchors" not in head._cache:
        moved = np.abs(dense_expressions(head)).reshape(head.expression_count, head.vertex_count, 3).max((0, 2))
        still = (moved < 1e-4) & (head.skin_weights[:, 2:].sum(1) < 1e-3)
        names = np.array(head.region_names)[head.region]
        sets = [np.ones(head.vertex_count, bool)]
        for wanted in (("scalp", "skin", "ear"), ("torso", "neck")):
            mine = np.isin(names, wanted)
            calm = mine & still
            if not calm[head.faces].all(1).any():  # a head whose expressions reach everywhere: the calmest fifth
                calm = mine & (moved <= np.quantile(moved[mine], 0.2)) if mine.any() else moved <= np.median(moved)
            sets.append(calm)
        chosen = tuple(np.flatnonzero(s[head.faces].all(1)) for s in sets)
        head._cache["synthetic_anchors"] = tuple(c if c.size else chosen[0] for c in chosen)
    return head._cache["synthetic_anchors"]


def bind(
    surfels: Surfels, head: HeadModel, personal: PersonalHead, triangle: np.ndarray, bary: np.ndarray, name: str
) -> Avatar:
    """The surfels in the rest frames of their triangles."""
    frames = triangle_frames(personal.rest, head.faces)
    R = frames.axes[:, :, triangle].transpose(2, 1, 0).astype(np.float64)  # columns are the triangle's axes
    point = np.einsum("nk,nkc->nc", bary.astype(np.float64), personal.rest[head.faces[triangle]])
    q = matrix_to_quat(R) * np.array([1, -1, -1, -1])
    opacity = np.clip(surfels.opacities.astype(np.float64), 0.004, 0.996)
    region = np.array([REGIONS.index(_REGION.get(label, "skin")) for label in LABELS], np.uint8)
    return Avatar(
        head=head, betas=personal.betas, vertex_offsets=np.zeros((head.vertex_count, 3), np.float32),
        triangle=triangle, bary=bary, region=region[surfels.labels],
        offset=np.einsum("nij,ni->nj", R, surfels.means - point).astype(np.float32),
        rotation=quat_multiply(q, unit(surfels.quats.astype(np.float64))).astype(np.float32),
        log_scale=np.log(np.maximum(surfels.scales, 1e-5)).astype(np.float32),
        opacity_logit=np.log(opacity / (1 - opacity)).astype(np.float32),
        color=np.clip(linear_to_srgb(surfels.albedo), 0, 1).astype(np.float32), name=name, method="synthetic",
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _closest(
    points: np.ndarray, normals: np.ndarray, near: np.ndarray, corners: np.ndarray, face_normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest triangle of each point's candidates (Ericson 2004, 5.1.5); one that faces elsewhere counts as 3 mm
    further, so that closed lips and lids keep to their own side."""
    n = points.shape[0]
    triangle, bary = np.zeros(n, np.int32), np.zeros((n, 3), np.float32)
    for i in range(n):
        best = np.inf
        for j in range(near.shape[1]):
            f = near[i, j]
            a, b, c, p = corners[f, 0], corners[f, 1], corners[f, 2], points[i]
            ab, ac, ap = b - a, c - a, p - a
            d1, d2 = (ab * ap).sum(), (ac * ap).sum()
            bp, cp = p - b, p - c
            d3, d4, d5, d6 = (ab * bp).sum(), (ac * bp).sum(), (ab * cp).sum(), (ac * cp).sum()
            va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
            v, w = 0.0, 0.0
            if d1 <= 0 and d2 <= 0:
                v, w = 0.0, 0.0
            elif d3 >= 0 and d4 <= d3:
                v, w = 1.0, 0.0
            elif d6 >= 0 and d5 <= d6:
                v, w = 0.0, 1.0
            elif vc <= 0 and d1 >= 0 and d3 <= 0:
                v, w = d1 / max(d1 - d3, 1e-18), 0.0
            elif vb <= 0 and d2 >= 0 and d6 <= 0:
                v, w = 0.0, d2 / max(d2 - d6, 1e-18)
            elif va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
                w = (d4 - d3) / max((d4 - d3) + (d5 - d6), 1e-18)
                v = 1 - w
            elif va + vb + vc > 0:
                v, w = vb / (va + vb + vc), vc / (va + vb + vc)
            gap = p - (a + v * ab + w * ac)
            turned = max(1.0 - (normals[i] * face_normals[f]).sum(), 0.0)
            cost = np.sqrt((gap * gap).sum()) + 0.0015 * turned
            if cost < best:
                best = cost
                triangle[i] = f
                bary[i, 0], bary[i, 1], bary[i, 2] = 1 - v - w, v, w
    return triangle, bary


def unit(v: np.ndarray) -> np.ndarray:
    """(..., n) vectors of length one."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
