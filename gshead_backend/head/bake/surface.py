"""The dense surface: one sparse matrix from control points to vertices, with triangles, uv and a part per triangle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from .cage import bust_value
from .eyes import eye_ball
from .mean import EYES_AT, LOWER_CROWN, LOWER_EDGE, UPPER_CROWN, UPPER_EDGE, Blank
from .subdivide import catmull_clark, clip, limit, split, triangulate
from .teeth import tooth_row


@dataclass(frozen=True)
class Surface:
    """matrix (V, C); tris, uv_tris (F, 3); uv (T, 2) per part still in its own space; part (F,) names."""

    matrix: sp.csr_matrix
    tris: np.ndarray
    uv: np.ndarray
    uv_tris: np.ndarray
    part: np.ndarray

    def vertices_of(self, *parts: str) -> np.ndarray:
        """Sorted vertices used by triangles of these parts."""
        return np.unique(self.tris[np.isin(self.part, parts)])


def control_quads(blank: Blank) -> np.ndarray:
    """(f, 4) the cage's quads in control point numbers."""
    return np.searchsorted(blank.skin, blank.cage.quads)


def build_surface(blank: Blank) -> Surface:
    """Subdivide the skin, clip the bust, add eyes, teeth and gums."""
    quads, c = control_quads(blank), blank.control_count
    level, fine = catmull_clark(quads, c)
    matrix = sp.csr_matrix(limit(fine, int(fine.max()) + 1) @ level)
    dense = matrix @ blank.mean
    tris, corner = triangulate(fine, dense)
    used_uv, uv_quads = np.unique(blank.cage.uv_quads, return_inverse=True)
    uv_quads = uv_quads.reshape(-1, 4)
    uv = blank.base.uv[used_uv]
    fine_uv, uv_edges, _ = split(uv_quads, len(uv))
    uv = np.concatenate([uv, uv[uv_edges].mean(1), uv[uv_quads].mean(1)])
    rows = np.repeat(np.arange(len(fine)), 2)[:, None]
    part = np.repeat(blank.cage.part, 8)
    value = bust_value(dense, EYES_AT)
    value[np.unique(tris[part != "torso"])] = 1.0
    matrix, tris, uv, uv_tris, part = clip(matrix, tris, uv, fine_uv[rows, corner], part, value)
    pieces = [(matrix, tris, uv, uv_tris, part)]
    for name in ("eye_left", "eye_right"):
        at = blank.slots(name)
        radius = float(np.linalg.norm(blank.mean[at][1] - blank.mean[at][0]))
        m, t, u, ut = eye_ball(at.start, c, radius)
        pieces.append((m, t, u, ut, np.full(len(t), name)))
    for upper, crown, edge in ((True, UPPER_CROWN, UPPER_EDGE), (False, LOWER_CROWN, LOWER_EDGE)):
        band = blank.base.group_points("helper-upper-teeth" if upper else "helper-lower-teeth")
        outer = blank.points[list(crown)].copy()
        outer[:, 1] = blank.points[list(edge), 1]
        at = blank.slots("upper" if upper else "lower").start
        solids = tooth_row(blank.points, band, outer, upper=upper, column=at, columns=c)
        for k, s in enumerate(solids):
            pieces.append((s.matrix, s.tris, s.uv, s.uv_tris, np.full(len(s.tris), f"{s.name}_{k}")))
    return _join(pieces)


def _join(pieces: list[tuple]) -> Surface:
    matrices, tris, uvs, uv_tris, parts = [], [], [], [], []
    v = t = 0
    for matrix, tri, uv, uv_tri, part in pieces:
        matrices.append(matrix)
        tris.append(tri + v)
        uvs.append(uv)
        uv_tris.append(uv_tri + t)
        parts.append(part)
        v, t = v + matrix.shape[0], t + len(uv)
    matrix = sp.csr_matrix(sp.vstack(matrices))
    matrix.sum_duplicates()
    return Surface(
        _quantise(matrix), np.concatenate(tris), np.concatenate(uvs), np.concatenate(uv_tris), np.concatenate(parts)
    )


def _quantise(matrix: sp.csr_matrix, bits: int = 13) -> sp.csr_matrix:
    """Weights as multiples of 2**-bits whose rows still sum to exactly one, so that they store in 16 bits."""
    matrix = matrix.tocsr(copy=True)
    matrix.data[np.abs(matrix.data) < 2.0**-bits] = 0
    matrix.eliminate_zeros()
    data = np.rint(matrix.data * 2**bits)
    sums = np.add.reduceat(data, matrix.indptr[:-1])
    for row in np.flatnonzero(sums != 2**bits):
        at = slice(matrix.indptr[row], matrix.indptr[row + 1])
        data[at.start + np.abs(data[at]).argmax()] += 2**bits - sums[row]
    matrix.data = data / 2**bits
    return matrix
