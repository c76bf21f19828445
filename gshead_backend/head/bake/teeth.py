"""Teeth and gums: superellipsoids along the arches of the helper bands, each row on four control points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

REACH = 0.09
SHOW = np.array([0.003, 0.001])
"""Metres that the upper row hangs lower than its helper band, at the incisors and at the last molar: with lips apart
1-3 mm of the incisors show at rest and most of the crown in a smile, and they overlap the lower ones by 2 mm."""
# Mesiodistal width, crown height, depth at the neck and at the edge of half an arch, in millimetres (Ash and Nelson,
# Dental Anatomy): central and lateral incisor, canine, two premolars, two molars.
UPPER = np.array([
    [8.5, 10.5, 7.0, 2.6], [6.6, 9.2, 6.2, 2.4], [7.6, 10.2, 7.8, 3.6], [7.0, 8.6, 9.0, 7.4], [6.8, 8.4, 9.0, 7.6],
    [10.0, 7.6, 10.6, 9.6], [9.4, 7.2, 10.6, 9.6],
])  # fmt: skip
LOWER = np.array([
    [5.4, 9.0, 5.8, 2.2], [5.9, 9.2, 6.0, 2.3], [6.9, 10.2, 7.4, 3.2], [7.0, 8.4, 7.6, 6.2], [7.2, 8.0, 8.0, 7.0],
    [10.8, 7.4, 10.0, 9.0], [10.4, 7.0, 9.8, 9.0],
])  # fmt: skip
_LATITUDES, _LONGITUDES = 8, 10
_GUM_STEPS, _GUM_SIDES = 57, 8


def row_gather(points: np.ndarray, band: np.ndarray) -> np.ndarray:
    """(4, p): least-squares affine motion of a helper band as centre and three axis tips."""
    local = points[band] - points[band].mean(0)
    tips = np.vstack([np.zeros(3), REACH * np.eye(3)])
    design = np.concatenate([local, np.ones((len(band), 1))], 1)
    return np.concatenate([tips, np.ones((4, 1))], 1) @ np.linalg.pinv(design)


class Arch:
    """The curve a row of teeth stands on, by arc length from the middle (metres, positive to the person's left)."""

    def __init__(self, outer: np.ndarray, up: float) -> None:
        # An even polynomial z(x^2) leaves kinks at the molars; a smoothed polyline in arc length does not.
        s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(outer[:, [0, 2]], axis=0), axis=1))])
        both = np.concatenate([-s[:0:-1], s])
        self._coefficients = []
        for axis, odd in ((0, True), (1, False), (2, False)):
            values = np.concatenate([(-1 if odd else 1) * outer[:0:-1, axis], outer[:, axis]])
            powers = np.arange(1, 8, 2) if odd else np.arange(0, 7, 2)
            scaled = both[:, None] / s[-1]
            c = np.linalg.lstsq(scaled**powers, values, rcond=None)[0]
            self._coefficients.append((powers, c))
        self.length, self.up = float(s[-1]), up

    def at(self, s: np.ndarray) -> np.ndarray:
        """(..., 3) points."""
        x = np.asarray(s)[..., None] / self.length
        return np.stack([(x**p) @ c for p, c in self._coefficients], -1)

    def frame(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Horizontal unit tangent and outward normal, (..., 3) each."""
        t = self.at(np.asarray(s) + 1e-4) - self.at(np.asarray(s) - 1e-4)
        t[..., 1] = 0
        t /= np.linalg.norm(t, axis=-1, keepdims=True)
        return t, np.stack([-t[..., 2], np.zeros(t.shape[:-1]), t[..., 0]], -1)


def _positions(sizes: np.ndarray, length: float) -> tuple[np.ndarray, float]:
    """Arc length of each tooth of the left half, and the scale that makes the row fill its arch."""
    scale = min(1.0, length * 0.97 / sizes[:, 0].sum() * 1000)
    ends = np.concatenate([[0], np.cumsum(sizes[:, 0])]) * scale / 1000
    return (ends[1:] + ends[:-1]) / 2, scale


def _tooth(
    arch: Arch, s: float, size: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One crown with a short root: points, triangles, uv, uv triangles. The edge lies on the arch curve's height."""
    width, height, neck, edge = size / 1000 * np.array([scale, 1, 1, 1])
    polar = np.pi * np.arange(1, _LATITUDES) / _LATITUDES
    around = 2 * np.pi * np.arange(_LONGITUDES) / _LONGITUDES
    power = lambda v, e: np.sign(v) * np.abs(v) ** e  # noqa: E731
    p, a = np.meshgrid(polar, around, indexing="ij")
    ring, rise = np.sin(p).ravel() ** 0.35, -power(np.cos(p).ravel(), 0.55)
    across, deep = power(np.cos(a).ravel(), 0.62), power(np.sin(a).ravel(), 0.72)
    grow = (rise + 1) / 2  # 0 at the biting edge, 1 at the root
    thick = (edge + (neck - edge) * np.clip(grow * 1.15, 0, 1) ** 0.8) / 2
    narrow = width / 2 * (1.0 - 0.16 * np.clip(grow - 0.35, 0, 1) / 0.65)
    half = height * 1.25 / 2
    # The labial face bulges and the edge leans in a little.
    lean = -0.0011 * (1 - grow) ** 2 + 0.0004 * np.sin(np.pi * grow)
    local = np.stack([ring * across * narrow, rise * half + half, ring * deep * thick + lean - neck / 2], 1)
    cap = np.array([[0, 0, lean[0] - neck / 2], [0, 2 * half, -neck / 2]])
    local = np.concatenate([cap[:1], local, cap[1:]])
    t, n = arch.frame(np.array(s))
    points = arch.at(np.array(s)) + local[:, :1] * t + local[:, 2:] * n + local[:, 1:2] * [0, arch.up, 0]
    rows = np.concatenate([[[0] * _LONGITUDES], 1 + np.arange((_LATITUDES - 1) * _LONGITUDES).reshape(-1, _LONGITUDES),
                           [[len(points) - 1] * _LONGITUDES]])  # fmt: skip
    return points, *grid_faces(rows, closed=True)


def _gum(arch: Arch, sizes: np.ndarray, centres: np.ndarray, scale: float) -> tuple[np.ndarray, ...]:
    """A tube over the roots whose border is scalloped: high over each tooth, low between two."""
    s = np.linspace(-arch.length * 0.985, arch.length * 0.985, _GUM_STEPS)
    every = np.concatenate([-centres[::-1], centres])
    width = np.concatenate([sizes[::-1, 0], sizes[:, 0]]) * scale / 1000
    near = np.abs(s[:, None] - every).argmin(1)
    inside = np.clip(1 - (2 * np.abs(s - every[near]) / width[near]) ** 2, 0, 1)
    height = np.interp(np.abs(s), centres, sizes[:, 1]) / 1000
    depth = np.interp(np.abs(s), centres, sizes[:, 2]) / 1000
    border = height * (0.80 + 0.15 * inside)
    _, n = arch.frame(s)
    rows = []
    for k in range(_GUM_SIDES):
        a = 2 * np.pi * k / _GUM_SIDES
        out, rise = np.sin(a), -np.cos(a)
        middle = border + 0.0055
        rows.append(
            arch.at(s) + n * (out * (depth[:, None] * 0.5 + 0.0011) - depth[:, None] / 2)
            + (middle + rise * (middle - border))[:, None] * np.array([0, arch.up, 0])
        )  # fmt: skip
    points = np.stack(rows, 1).reshape(-1, 3)
    return points, *grid_faces(np.arange(len(points)).reshape(_GUM_STEPS, _GUM_SIDES), closed=True)


def grid_faces(rows: np.ndarray, *, closed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles of a grid of point indices (r, c), closed around its columns; uv in a unit square, uv triangles.

    A row of equal indices is a pole: its degenerate triangles are left out, and each column keeps its own uv there.
    """
    grid = np.concatenate([rows, rows[:, :1]], 1) if closed else rows
    at = np.arange(grid.size).reshape(grid.shape)
    u, v = np.meshgrid(np.linspace(0, 1, grid.shape[1]), np.linspace(0, 1, len(rows)))
    uv = np.stack([u, v], -1).reshape(-1, 2)
    cells = np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]], -1).reshape(-1, 4)
    uv_tris = np.concatenate([cells[:, [0, 1, 2]], cells[:, [0, 2, 3]]])
    tris = grid.ravel()[uv_tris]
    whole = (tris[:, 0] != tris[:, 1]) & (tris[:, 1] != tris[:, 2]) & (tris[:, 0] != tris[:, 2])
    return tris[whole], uv, uv_tris[whole]


@dataclass(frozen=True)
class Solid:
    """A piece of mouth: name, matrix (points, columns), triangles, uv in a unit square, uv triangles."""

    name: str
    matrix: sp.csr_matrix
    tris: np.ndarray
    uv: np.ndarray
    uv_tris: np.ndarray


def _inside_out(points: np.ndarray, tris: np.ndarray, rows: int) -> bool:
    """Whether the triangles of a tube of ``rows`` rings, or of a solid (one ring), look inward."""
    centre = np.repeat(points.reshape(rows, -1, 3).mean(1), len(points) // rows, 0)
    a, b, c = (points[tris[:, k]] for k in range(3))
    return bool(np.median(np.einsum("ij,ij->i", np.cross(b - a, c - a), a - centre[tris[:, 0]])) < 0)


def tooth_row(
    points: np.ndarray, band: np.ndarray, outer: np.ndarray, *, upper: bool, column: int, columns: int
) -> list[Solid]:
    """The teeth and the gum of one row.

    Args:
        points: (n, 3) mean positions. band: indices of the helper band. outer: (k, 3) the labial curve of the left
            half at the height of the biting edge, from the middle to the last molar.
        column: the row's first control column of ``columns``.
    """
    sizes = UPPER if upper else LOWER
    if upper:
        outer = outer - np.linspace(SHOW[0], SHOW[1], len(outer))[:, None] * [0, 1, 0]
    arch = Arch(outer, 1.0 if upper else -1.0)
    centres, scale = _positions(sizes, arch.length)
    name = "upper" if upper else "lower"
    made: list[tuple[str, int, tuple[np.ndarray, ...]]] = [
        (f"teeth_{name}", 1, _tooth(arch, side * s, size, scale))
        for side in (1, -1)
        for s, size in zip(centres, sizes, strict=True)
    ]
    made.append((f"gums_{name}", _GUM_STEPS, _gum(arch, sizes, centres, scale)))
    origin = points[band].mean(0)
    out = []
    for label, ring_count, (p, tris, uv, uv_tris) in made:
        d = (p - origin) / REACH
        w = np.concatenate([1 - d.sum(1, keepdims=True), d], 1)
        index = np.tile(np.arange(column, column + 4), len(p))
        matrix = sp.csr_matrix((w.ravel(), (np.repeat(np.arange(len(p)), 4), index)), (len(p), columns))
        turn = slice(None, None, -1) if _inside_out(p, tris, ring_count) else slice(None)
        out.append(Solid(label, matrix, tris[:, turn], uv, uv_tris[:, turn]))
    return out
