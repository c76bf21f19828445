"""Eyeballs: four control points each, so that a sphere stays a sphere for every identity, and a UV sphere on them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

SEGMENTS = 24
IRIS_RADIUS = 0.0059
CORNEA_BULGE = 0.055
# Degrees from the pole at the pupil: dense over the iris, sparse behind.
_RINGS = (4, 8, 12, 16, 19.5, 22.5, 26, 31, 38, 47, 58, 72, 88, 105, 124, 144, 164)


def eye_gather(points: np.ndarray, eye: np.ndarray, scale: float) -> np.ndarray:
    """(4, p) weights that take the points of a helper eye to its four control points: centre and three axis tips.

    Args:
        points: (n, 3) mean positions. eye: (p,) indices of the helper eye. scale: eyeball radius over helper radius.
    """
    local = points[eye] - points[eye].mean(0)
    count = len(eye)
    centre = np.full(count, 1 / count)
    # The radius is the mean length along the rest directions: linear, and the same in all three axes.
    direction = local / np.linalg.norm(local, axis=1, keepdims=True)
    out = np.zeros((4, 3, count, 3))  # control, its coordinate, point, coordinate of the point
    for c in range(4):
        for a in range(3):
            out[c, a, :, a] += centre
    for a in range(3):
        out[1 + a, a] += scale * (direction - direction.mean(0)) / count
    return out.reshape(12, count * 3)


def eye_ball(column: int, columns: int, radius: float) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray, np.ndarray]:
    """A UV sphere with a corneal bulge on control columns ``column``..``column + 3``; the pole looks along +Z.

    Returns:
        matrix (points, columns), triangles, uv in a unit square (polar map, pupil in the middle), uv triangles.
    """
    polar = np.radians(np.array([0.0, *np.repeat(_RINGS, SEGMENTS), 180.0]))
    around = np.concatenate([[0.0], np.tile(2 * np.pi * np.arange(SEGMENTS) / SEGMENTS, len(_RINGS)), [0.0]])
    limbus = np.arcsin(min(IRIS_RADIUS / radius, 0.9))
    bump = np.clip(1 - (polar / (limbus * 1.12)) ** 2, 0, None)
    reach = 1 + CORNEA_BULGE * bump * (2 - bump)
    d = reach[:, None] * np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], 1)
    n = len(d)
    weights = np.concatenate([1 - d.sum(1, keepdims=True), d], 1)
    matrix = sp.csr_matrix(
        (weights.ravel(), (np.repeat(np.arange(n), 4), np.tile(np.arange(column, column + 4), n))), shape=(n, columns)
    )
    r, s = np.meshgrid(np.arange(len(_RINGS) - 1), np.arange(SEGMENTS), indexing="ij")
    at = lambda r, s: 1 + r * SEGMENTS + s % SEGMENTS  # noqa: E731
    a, b, c, e = at(r, s).ravel(), at(r, s + 1).ravel(), at(r + 1, s).ravel(), at(r + 1, s + 1).ravel()
    s = np.arange(SEGMENTS)
    last = len(_RINGS) - 1
    tris = np.concatenate([
        np.stack([np.zeros_like(s), at(0, s), at(0, s + 1)], 1), np.stack([a, c, e], 1), np.stack([a, e, b], 1),
        np.stack([np.full_like(s, n - 1), at(last, s + 1), at(last, s)], 1),
    ])  # fmt: skip
    # Azimuthal map; the back pole becomes the rim of the disc, one uv a segment.
    disc = 0.5 + 0.5 * (polar / np.pi)[:, None] * np.stack([np.cos(around), np.sin(around)], 1)
    rim = 0.5 + 0.5 * np.stack([np.cos((s + 0.5) * 2 * np.pi / SEGMENTS), np.sin((s + 0.5) * 2 * np.pi / SEGMENTS)], 1)
    uv_tris = tris.copy()
    uv_tris[-SEGMENTS:, 0] = n + s
    return matrix, tris, np.concatenate([disc, rim]), uv_tris
