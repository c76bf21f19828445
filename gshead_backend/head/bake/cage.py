"""Which faces of the base mesh become the head's control cage, and what each one is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from ...errors import FileFormatError
from .source import BaseMesh

SOCKET_RINGS = 3
# Centre, radii and exponent of the bust, in metres relative to the point between the eyes.
_BUST_CENTRE, _BUST_RADII, _BUST_POWER = np.array([0.0, -0.045, -0.07]), np.array([0.172, 0.190, 0.20]), 3.0


@dataclass(frozen=True)
class Cage:
    """Control quads over base mesh points.

    Attributes:
        quads: (f, 4) base mesh points. uv_quads: (f, 4) into the base mesh's own uv.
        part: (f,) one of face, torso, cavity, socket_left, socket_right, tongue.
        mouth: base points around the lips, ordered; upper first from right to left corner, then lower back.
        lids: for left and right eye, ordered base points around the lid opening.
    """

    quads: np.ndarray
    uv_quads: np.ndarray
    part: np.ndarray
    mouth: np.ndarray
    lids: tuple[np.ndarray, np.ndarray]


def border_loops(faces: np.ndarray) -> list[np.ndarray]:
    """Ordered border loops of a mesh of triangles or quads, longest first, in the direction of its faces."""
    a, b = faces.ravel(), np.roll(faces, -1, 1).ravel()
    both = set(zip(a.tolist(), b.tolist(), strict=True))
    following = {i: j for i, j in both if (j, i) not in both}
    loops = []
    while following:
        start, current = following.popitem()
        loop = [start]
        while current != start and current in following:
            loop.append(current)
            current = following.pop(current)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def uv_islands(uv_quads: np.ndarray, count: int) -> np.ndarray:
    """(f,) label of the uv island of each face."""
    a, b = uv_quads.ravel(), np.roll(uv_quads, -1, 1).ravel()
    _, label = connected_components(sp.coo_matrix((np.ones(len(a)), (a, b)), shape=(count, count)), directed=False)
    return label[uv_quads[:, 0]]


def rings(quads: np.ndarray, start: np.ndarray, count: int) -> np.ndarray:
    """(f,) how many faces away each face lies from a set of points; faces touching it are ring 0."""
    faces_at = defaultdict(list)
    for f, q in enumerate(quads):
        for p in q:
            faces_at[p].append(f)
    ring = np.full(len(quads), count)
    front = set(start.tolist())
    for level in range(count):
        fresh = {f for p in front for f in faces_at[p] if ring[f] == count}
        for f in fresh:
            ring[f] = level
        front = {p for f in fresh for p in quads[f]}
    return ring


def bust_value(points: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Positive inside the smooth surface that cuts the bust out of the body; about metres near the surface."""
    d = np.abs((points - eyes - _BUST_CENTRE) / _BUST_RADII)
    above = points[:, 1] > eyes[1] + _BUST_CENTRE[1]
    d[above, 1] = 0.0
    return np.where(above, 0.05, (1 - (d**_BUST_POWER).sum(1) ** (1 / _BUST_POWER)) * _BUST_RADII.min())


def build_cage(base: BaseMesh, points: np.ndarray, eyes: np.ndarray) -> Cage:
    """Choose the cage on the mean head.

    Args:
        points: (n, 3) mean positions of the base mesh's points (NaN where unknown). eyes: (3,) between the eyes.
    """
    body = base.group == "body"
    quads, uv_quads = base.quads[body], base.uv_quads[body]
    label = uv_islands(uv_quads, len(base.uv))
    centre = np.nan_to_num(points[quads].mean(1), nan=-9.0)

    def island(near: np.ndarray) -> int:
        return int(label[((centre - near) ** 2).sum(1).argmin()])

    def beside(loop: np.ndarray) -> np.ndarray:
        """The island across a border of the face."""
        touching = (np.isin(quads, loop).sum(1) >= 2) & ~face
        return label == np.bincount(label[touching]).argmax()

    centre = np.nan_to_num(points[quads].mean(1), nan=-9.0)
    face = label == label[np.argmax(centre[:, 1])]
    # The face island's borders are neck, mouth and two lid openings; other islands continue it there.
    loops = border_loops(quads[face])
    if sorted(map(len, loops)) != [28, 28, 38, 48]:
        raise FileFormatError(f"The face of the base mesh has borders of {[len(lp) for lp in loops]} points.")
    neck, mouth = loops[0], loops[1]
    lids = sorted(loops[2:], key=lambda lp: -points[lp, 0].mean())
    part = np.full(len(quads), "", dtype="<U12")
    part[face] = "face"
    part[beside(mouth)] = "cavity"
    for name, loop in (("socket_left", lids[0]), ("socket_right", lids[1])):
        inner = beside(loop)
        part[inner] = np.where(rings(quads[inner], loop, SOCKET_RINGS) < SOCKET_RINGS, name, "")
    value = bust_value(np.nan_to_num(points, nan=-9.0), eyes)
    torso = beside(neck) & (value[quads] > -0.012).any(1)
    torso |= np.isin(quads, quads[torso]).any(1) & beside(neck)  # so that clipping never meets the cage's border
    part[torso] = "torso"
    tongue = base.group == "helper-tongue"
    keep = part != ""
    return Cage(
        np.concatenate([quads[keep], base.quads[tongue]]), np.concatenate([uv_quads[keep], base.uv_quads[tongue]]),
        np.concatenate([part[keep], np.full(tongue.sum(), "tongue")]), mouth, (lids[0], lids[1]),
    )  # fmt: skip
