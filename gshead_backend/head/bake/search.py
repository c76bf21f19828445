"""Where on a mesh each landmark lies, by search instead of ray casting.

Over many renders a landmark's detections are compared with the projections of every surface point; the point with the
least robust distance wins. Nothing is cast through pixels, so an inner lip cannot fall into the mouth nor slide
to the other lip, and the far side of a turned face is only ever outvoted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

ROBUST = 0.003  # metres; beyond it a distance counts linearly
GRID = 6
_FLOOR, _CEILING = 5e-4, 0.02


@dataclass(frozen=True)
class Sighting:
    """One render. vertices: (V, 2) projected, pixels. points: (L, 2) detected. metres: of one pixel at the face."""

    vertices: np.ndarray
    points: np.ndarray
    metres: float


def search_landmarks(
    sightings: list[Sighting], faces: np.ndarray, allowed: np.ndarray, mirror: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The embedding of L landmarks.

    Args:
        allowed: (F,) bool, triangles a landmark may lie on.
        mirror: (V,) the vertex on the other side; with it, left and
            right landmarks are searched together and come out as mirror images.
    Returns:
        triangles (L,) int32, barycentric (L, 3) float32, sigma (L,) metres of scatter.
    """
    seen = np.stack([s.vertices for s in sightings], 1).astype(np.float32)
    found = np.stack([s.points for s in sightings], 1).astype(np.float32)
    metres = np.array([s.metres for s in sightings], np.float32)
    other = np.full(len(found), -1) if mirror is None else _counterparts(sightings)
    flip = np.arange(len(seen)) if mirror is None else mirror
    candidates = np.unique(faces[allowed])
    around: list[list[int]] = [[] for _ in range(len(seen))]
    for f in np.flatnonzero(allowed):
        for corner in faces[f]:
            around[corner].append(int(f))

    def cost(places: np.ndarray, mirrored: np.ndarray, i: int) -> np.ndarray:
        total = _robust(np.linalg.norm(places - found[i], axis=-1) * metres)
        return (
            total + _robust(np.linalg.norm(mirrored - found[other[i]], axis=-1) * metres)
            if mirror is not None
            else total
        )

    grid = np.array([(i, j, GRID - i - j) for i in range(GRID + 1) for j in range(GRID + 1 - i)], np.float32) / GRID
    triangles, bary = np.zeros(len(found), np.int32), np.zeros((len(found), 3), np.float32)
    sigma = np.zeros(len(found), np.float32)
    for i in range(len(found)):
        vertex = candidates[cost(seen[candidates], seen[flip[candidates]], i).argmin()]
        near = np.unique([f for v in np.unique(faces[around[vertex]]) for f in around[v]])
        places = np.einsum("gk,fkvd->fgvd", grid, seen[faces[near]])
        mirrored = np.einsum("gk,fkvd->fgvd", grid, seen[flip[faces[near]]])
        costs = cost(places, mirrored, i)
        best = np.unravel_index(costs.argmin(), costs.shape)
        triangles[i], bary[i] = near[best[0]], grid[best[1]]
        error = np.linalg.norm(places[best] - found[i], axis=-1) * metres
        sigma[i] = np.clip(np.sqrt(np.median(error**2) / np.log(4)) * np.sqrt(2), _FLOOR, _CEILING)
    return triangles, bary, sigma


def _robust(error: np.ndarray) -> np.ndarray:
    """Squared up to ``ROBUST``, linear beyond, averaged over renders."""
    return (np.minimum(error, ROBUST) * error).mean(-1)


def _counterparts(sightings: list[Sighting]) -> np.ndarray:
    """(L,) the landmark on the other side, itself on the midline, -1 in doubt.

    The mean layout of all detections is laid over its own mirror image, then every point gets one partner.
    """
    layouts = []
    for s in sightings:
        centred = s.points - s.points.mean(0)
        layouts.append(centred / np.sqrt((centred**2).sum(1).mean()))
    mean = np.mean(layouts, 0)
    flipped = mean * [-1, 1]
    for _ in range(10):
        partner = mean[KDTree(mean).query(flipped)[1]]
        u, _, vt = np.linalg.svd((flipped - flipped.mean(0)).T @ (partner - partner.mean(0)))
        flipped = (flipped - flipped.mean(0)) @ (u @ vt) + partner.mean(0)
    other = linear_sum_assignment(((flipped[:, None] - mean[None]) ** 2).sum(-1))[1]
    return np.where(other[other] == np.arange(len(other)), other, -1)
