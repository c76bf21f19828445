"""Closing the lips: a linear operator on control points that takes the gap out of a mouth that should be shut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

FALLOFF = 0.010
_ROUNDS = 4


@dataclass(frozen=True)
class LipSeal:
    """Measures and closes the gap at pairs of dense lip vertices.

    Attributes:
        upper, lower: (p, C) sparse rows of the dense vertices that meet, from the right corner to the left one.
        spread: (C, p) how much each control point takes of each pair's gap; positive on the upper lip.
        x: (p,) metres, where along the mouth each pair lies. taper: (p,) 1 in the middle, 0 at the corners.
    """

    upper: sp.csr_matrix
    lower: sp.csr_matrix
    spread: np.ndarray
    x: np.ndarray
    taper: np.ndarray

    def gap(self, control: np.ndarray) -> np.ndarray:
        """(p, ...) metres between the lips for control points or a displacement (C, 3, ...); negative overlaps."""
        y = control[:, 1]
        return self.upper @ y - self.lower @ y

    def close(self, control: np.ndarray, overlap: float = 0.0) -> np.ndarray:
        """Control points (or a displacement) with the gap brought to ``-overlap``, tapered at the corners."""
        out = control.copy()
        taper = self.taper.reshape(-1, *[1] * (control.ndim - 2))
        for _ in range(_ROUNDS):
            out[:, 1] -= np.tensordot(self.spread, (self.gap(out) + overlap) * taper, 1)
        return out


def lip_side(edges: np.ndarray, points: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> tuple[np.ndarray, ...]:
    """Geodesic distance of each control point to the upper and to the lower lip's inner edge, (C,) each, metres."""
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    n = len(points)
    graph = sp.csr_matrix(
        (np.r_[length, length], (np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]])), (n, n)
    )
    return tuple(dijkstra(graph, indices=i, min_only=True, limit=0.06) for i in (upper, lower))


def build_seal(
    matrix: sp.csr_matrix, points: np.ndarray, edges: np.ndarray, loop: np.ndarray, dense_near: np.ndarray
) -> LipSeal:
    """Find the pairs of dense vertices that meet, and the control points that move them.

    Args:
        matrix: (V, C) subdivision. points: (C, 3) mean. edges: control edges of face and mouth cavity.
        loop: control points around the mouth opening. dense_near: dense vertices of lips and front of the cavity.
    """
    half = np.abs(points[loop, 0]).max()
    seam = points[loop, 1].mean()
    middle = np.abs(points[loop, 0]) < 0.9 * half
    upper = loop[middle & (points[loop, 1] > _chord(points[loop], points[loop, 0]))]
    lower = loop[middle & (points[loop, 1] <= _chord(points[loop], points[loop, 0]))]
    up, low = lip_side(edges, points, upper, lower)
    side = np.where(
        np.isinf(up) & np.isinf(low), 0.0, np.sign(np.nan_to_num(low, posinf=1) - np.nan_to_num(up, posinf=1))
    )
    dense = matrix @ points
    dense_side = np.sign(matrix @ side)
    x = np.linspace(-0.93, 0.93, 31) * half
    rows_u, rows_l = [], []
    near = dense_near[np.abs(dense[dense_near, 1] - seam) < 0.012]
    for centre in x:
        beside = near[np.abs(dense[near, 0] - centre) < 0.0016]
        u, lo = beside[dense_side[beside] > 0], beside[dense_side[beside] < 0]
        rows_u.append(u[dense[u, 1].argmin()])
        rows_l.append(lo[dense[lo, 1].argmax()])
    # A pair's gap spreads along the mouth to its neighbours and away from the mouth with the geodesic distance.
    along = np.exp(-0.5 * ((points[:, 0:1] - x) / (1.3 * (x[1] - x[0]))) ** 2)
    along /= np.maximum(along.sum(1, keepdims=True), 1e-9)
    away = np.exp(-0.5 * (np.minimum(up, low) / FALLOFF) ** 2)
    inside = np.clip((half * 1.02 - np.abs(points[:, 0])) / (0.2 * half), 0, 1)
    spread = along * (0.5 * side * away * inside)[:, None]
    taper = np.clip((half * 0.97 - np.abs(x)) / (0.12 * half), 0, 1)
    return LipSeal(matrix[rows_u], matrix[rows_l], spread, x, taper)


def _chord(loop: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Height of the line between upper and lower lip at ``x``, from the loop's own envelope."""
    order = np.argsort(loop[:, 0])
    width = 0.005
    return np.array([
        (loop[np.abs(loop[:, 0] - v) < width, 1].max() + loop[np.abs(loop[:, 0] - v) < width, 1].min()) / 2 for v in x
    ]) if len(order) else x  # fmt: skip
