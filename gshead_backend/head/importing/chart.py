"""A uv map for a head that has none: seen from the neck, so that the only cut is the neck's own opening."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from ..bake.atlas import enlarge, flipped
from ..bake.cage import border_loops

_GROWTH = 14


def islands(faces: np.ndarray, count: int) -> np.ndarray:
    """(V,) label of the connected piece of each vertex."""
    i, j = faces.ravel(), np.roll(faces, -1, 1).ravel()
    return connected_components(sp.coo_matrix((np.ones(len(i)), (i, j)), shape=(count, count)), directed=False)[1]


def head_chart(vertices: np.ndarray, faces: np.ndarray, nose: np.ndarray) -> np.ndarray:
    """(V, 2) uv, one per vertex.

    The largest piece is mapped by direction from its middle: the angle to the axis that leaves through the neck
    becomes the radius, so that no triangle lies at the pole. The area around the nose is enlarged, and the folds
    that remain (lips, nostrils, ears) are smoothed out. Other pieces (eyeballs) get discs in the corners.
    """
    label = islands(faces, len(vertices))
    sizes = np.bincount(label)
    main = label == sizes.argmax()
    uv = np.zeros((len(vertices), 2))
    low = vertices[main, 1].min()
    rim = vertices[main & (vertices[:, 1] < low + 0.02)].mean(0)
    skull = vertices[main & (vertices[:, 1] > low + 0.4 * np.ptp(vertices[main, 1]))]
    middle = (skull.min(0) + skull.max(0)) / 2  # not the mean: the face has most of the vertices
    axis = (middle - rim) / np.linalg.norm(middle - rim)
    uv[main] = 0.5 + 0.5 * _polar(vertices[main] - middle, axis)
    at = ((vertices - nose) ** 2).sum(1)
    at[~main] = np.inf
    uv = _unfold(uv, faces, main)
    uv[main] = enlarge(np.clip(uv[main], 0, 1), uv[at.argmin()], 0.6)
    corners = np.array([[0.0, 0.0], [0.88, 0.0], [0.0, 0.88], [0.88, 0.88]])
    others = [k for k in np.argsort(-sizes) if k != sizes.argmax()]
    for k, piece in enumerate(others):
        own = label == piece
        local = vertices[own] - vertices[own].mean(0)
        disc = _polar(local, np.array([0.0, 0.0, 1.0]))
        uv[own] = corners[k % 4] + 0.06 + 0.055 * disc
    return uv


def _polar(local: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Azimuthal map: radius = angle to ``axis`` over pi, turned so that +X stays on the right."""
    d = local / np.maximum(np.linalg.norm(local, axis=1, keepdims=True), 1e-9)
    right = np.cross([0.0, 0.0, 1.0] if abs(axis[1]) > 0.5 else [0.0, 1.0, 0.0], axis)
    right = right * np.sign(right[0] or 1.0) / np.linalg.norm(right)
    up = np.cross(axis, right)
    polar = np.arccos(np.clip(d @ axis, -1, 1)) / np.pi
    planar = np.stack([d @ right, d @ up], 1)
    return polar[:, None] * planar / np.maximum(np.linalg.norm(planar, axis=1, keepdims=True), 1e-9)


def _unfold(uv: np.ndarray, faces: np.ndarray, main: np.ndarray) -> np.ndarray:
    """Flatten the folds: around each one a growing patch becomes a Tutte embedding within its border.

    Holes (eyes, mouth) are closed by a point of their own first, so that their rims cannot turn over.
    """
    own = faces[main[faces[:, 0]]]
    loops = border_loops(own)
    closed, points = [own], [uv]
    count = len(uv)
    for loop in loops[1:]:
        following = np.roll(loop, -1)
        closed.append(np.stack([following, loop, np.full(len(loop), count)], 1))
        points.append(uv[loop].mean(0, keepdims=True))
        count += 1
    out, whole = np.concatenate(points), np.concatenate(closed)
    border = np.zeros(count, bool)
    border[loops[0]] = True  # the neck's border holds the map open
    sign = np.sign(flipped(out, whole).sum())
    i, j = whole.ravel(), np.roll(whole, -1, 1).ravel()
    graph = sp.csr_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), shape=(count, count))
    graph.data[:] = 1.0
    laplacian = sp.csr_matrix(sp.diags(np.asarray(graph.sum(1)).ravel()) - graph)
    for growth in range(1, _GROWTH):
        bad = sign * flipped(out, whole) <= 1e-12
        if not bad.any():
            break
        inside = np.zeros(count, bool)
        inside[whole[bad].ravel()] = True
        for _ in range(growth):
            inside = inside | (graph @ inside > 0)
        free = np.flatnonzero(inside & ~border)
        held = np.flatnonzero(~(inside & ~border))
        pull = -(laplacian[free][:, held] @ out[held])
        out[free] = splu(sp.csc_matrix(laplacian[free][:, free] + 1e-9 * sp.identity(len(free)))).solve(pull)
    return out[: len(uv)]
