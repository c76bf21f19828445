"""Closing lips and lids: a linear operator on control points that takes the gap out of an opening.

Subdivision shrinks the rims of mouth and eyes, identities move them apart, and the raw blink overshoots. All three
are linear in the control points, so one linear operator corrects the mean, every identity mode and every expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

_ROUNDS = 6


@dataclass(frozen=True)
class Seal:
    """Measures and closes the vertical gap at pairs of dense vertices on the two rims of an opening.

    Attributes:
        upper, lower: (p, C) sparse rows of the dense vertices that meet, ordered along the opening.
        spread: (C, p) how much each control point takes of each pair's gap; positive on the upper rim.
        x: (p,) metres from the middle, where along the opening each pair lies.
        taper: (p,) 1 in the middle, 0 at the corners.
    """

    upper: sp.csr_matrix
    lower: sp.csr_matrix
    spread: np.ndarray
    x: np.ndarray
    taper: np.ndarray

    def gap(self, control: np.ndarray) -> np.ndarray:
        """(p, ...) metres between the rims for control points or displacements (C, 3, ...); negative overlaps."""
        y = control[:, 1]
        return self.upper @ y - self.lower @ y

    def close(self, control: np.ndarray, overlap: float = 0.0) -> np.ndarray:
        """Control points (or displacements) with the gap brought to ``-overlap``, tapered at the corners."""
        out = control.copy()
        taper = self.taper.reshape(-1, *[1] * (control.ndim - 2))
        for _ in range(_ROUNDS):
            out[:, 1] -= np.tensordot(self.spread, (self.gap(out) + overlap) * taper, 1)
        return out


def rim_distance(edges: np.ndarray, points: np.ndarray, *rims: np.ndarray) -> tuple[np.ndarray, ...]:
    """Geodesic distance of each control point to each rim along the cage's edges, metres, inf beyond 60 mm."""
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    i, j = edges.T
    graph = sp.csr_matrix((np.r_[length, length], (np.r_[i, j], np.r_[j, i])), (len(points), len(points)))
    return tuple(dijkstra(graph, indices=rim, min_only=True, limit=0.06) for rim in rims)


def build_seal(
    matrix: sp.csr_matrix,
    fine: np.ndarray,
    points: np.ndarray,
    edges: np.ndarray,
    loop: np.ndarray,
    *,
    ring_range: tuple[int, int],
    falloff: float,
    upper_share: float = 0.5,
    pairs: int = 31,
) -> Seal:
    """Find where the two rims meet, and the control points that move them.

    Args:
        matrix: (V, C) subdivision, control points first. fine: dense quads on the outer side of the opening.
        points: (C, 3) mean. edges: control edges around the opening. loop: control points around it.
        ring_range: which rings of dense vertices, counted from the loop outward, may be the visible rim.
        falloff: metres, how far the correction reaches. upper_share: how much of it the upper rim takes.
    """
    rim = points[loop]
    low_x, high_x = rim[:, 0].min(), rim[:, 0].max()
    middle, half = (low_x + high_x) / 2, (high_x - low_x) / 2
    chord = _chord(rim, 0.2 * half)
    wide = np.abs(rim[:, 0] - middle) < 0.9 * half
    up, low = rim_distance(edges, points, loop[wide & (rim[:, 1] > chord)], loop[wide & (rim[:, 1] <= chord)])
    near = np.minimum(up, low)
    side = np.where(np.isinf(near), 0.0, np.sign(np.nan_to_num(low, posinf=1) - np.nan_to_num(up, posinf=1)))
    dense = matrix @ points
    chains = [_chains(ring, dense) for ring in dense_rings(fine, loop, ring_range[1])[ring_range[0] :]]
    half = float(np.ptp(dense[chains[0][0], 0])) / 2
    x = middle + np.linspace(-0.985, 0.985, pairs) * half
    upper = _extreme([c[0] for c in chains], dense, x, lowest=True)
    lower = _extreme([c[1] for c in chains], dense, x, lowest=False)
    # A pair's gap spreads along the opening to its neighbours, and away from it with the geodesic distance.
    along = np.exp(-0.5 * ((points[:, 0:1] - x) / (1.3 * (x[1] - x[0]))) ** 2)
    along /= np.maximum(along.sum(1, keepdims=True), 1e-9)
    away = np.exp(-0.5 * (np.minimum(near, 1.0) / falloff) ** 2)
    inside = np.clip((1.10 * half - np.abs(points[:, 0] - middle)) / (0.12 * half), 0, 1)
    share = np.where(side > 0, upper_share, upper_share - 1) * np.abs(side)
    taper = np.clip((1.02 * half - np.abs(x - middle)) / (0.08 * half), 0, 1)
    spread = along * (share * away * inside)[:, None]
    return Seal(sp.csr_matrix(upper @ matrix), sp.csr_matrix(lower @ matrix), spread, x - middle, taper)


def dense_rings(fine: np.ndarray, loop: np.ndarray, count: int) -> list[np.ndarray]:
    """Closed rings of dense vertices around a loop, ordered; ring n lies n quads away from it."""
    distance = np.full(fine.max() + 1, 10**6)
    distance[loop] = 0
    sides = np.unique(np.sort(np.stack([fine, np.roll(fine, -1, 1)], -1).reshape(-1, 2), 1), axis=0)
    on_loop = np.isin(sides, loop).any(1)
    # The edge points between two loop points belong to ring 0 too: they touch two loop points.
    touched, times = np.unique(np.r_[sides[on_loop, 0], sides[on_loop, 1]], return_counts=True)
    distance[touched[(times == 2) & ~np.isin(touched, loop)]] = 0
    rings = []
    for n in range(count):
        reached = (distance[fine] == n).any(1)
        fresh = np.unique(fine[reached])
        fresh = fresh[distance[fresh] > n]
        distance[fresh] = n + 1
        member = np.isin(sides, fresh).all(1)
        rings.append(_ordered(sides[member]))
    return rings


def _ordered(sides: np.ndarray) -> np.ndarray:
    """The vertices of a closed ring in order, from its unordered edges."""
    beside: dict[int, list[int]] = {}
    for a, b in sides.tolist():
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    ring = [sides[0, 0]]
    previous = -1
    while True:
        following = [v for v in beside[ring[-1]] if v != previous]
        if not following or following[0] == ring[0] or len(ring) > len(sides):
            return np.array(ring)
        previous = ring[-1]
        ring.append(following[0])


def _chains(ring: np.ndarray, dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the lower half of a ring, both from its smallest to its largest x."""
    start = int(dense[ring, 0].argmin())
    ring = np.roll(ring, -start)
    end = int(dense[ring, 0].argmax())
    one, other = ring[: end + 1], np.r_[ring[0], ring[: end - len(ring) - 1 : -1]]
    return (one, other) if dense[one, 1].mean() > dense[other, 1].mean() else (other, one)


def _extreme(chains: list[np.ndarray], dense: np.ndarray, x: np.ndarray, *, lowest: bool) -> sp.csr_matrix:
    """(p, V) rows that interpolate, at each x, the ring that lies lowest (or highest) there."""
    best = np.full(len(x), np.inf)
    ends = np.zeros((len(x), 2), int)
    share = np.zeros(len(x))
    for chain in chains:
        along = np.maximum.accumulate(dense[chain, 0])
        at = np.clip(np.searchsorted(along, x) - 1, 0, len(chain) - 2)
        t = np.clip((x - along[at]) / np.maximum(along[at + 1] - along[at], 1e-7), 0, 1)
        y = (1 - t) * dense[chain[at], 1] + t * dense[chain[at + 1], 1]
        value = y if lowest else -y
        value = np.where((x < along[0]) | (x > along[-1]), np.inf, value)
        take = value < best
        best = np.where(take, value, best)
        ends[take] = np.stack([chain[at], chain[at + 1]], 1)[take]
        share[take] = t[take]
    rows = np.repeat(np.arange(len(x)), 2)
    weights = np.stack([1 - share, share], 1).ravel()
    return sp.csr_matrix((weights, (rows, ends.ravel())), shape=(len(x), len(dense)))


def _chord(rim: np.ndarray, width: float) -> np.ndarray:
    """Height halfway between upper and lower rim at each point of the loop."""
    out = []
    for x in rim[:, 0]:
        y = rim[np.abs(rim[:, 0] - x) < width, 1]
        out.append((y.max() + y.min()) / 2)
    return np.array(out)
