"""Evenly spread points on a head and what is known about each: the canvas that synthetic skin is painted on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...avatar.facing import vertex_normals
from ...head.model import HeadModel
from ...head.skinning import PersonalHead
from ...methods.common.lattice import texel_points
from ...methods.uvfit.sampling import sample_surface, vertex_density
from ...methods.uvfit.surface import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    LIPS_INNER,
    LIPS_OUTER,
    PARTS,
    HeadSurface,
    head_surface,
)

_heads: dict[str, HeadModel] = {}


@dataclass(frozen=True)
class Canvas:
    """N points of the mean head at rest.

    Attributes:
        triangle: (N,) int32. bary: (N, 3). spacing: (N,) metres to the neighbours. rest: (N, 3) on the mean head, where
            features are defined. part: (N,) index into ``uvfit.surface.PARTS``.
        ear, lips, scalp, neck, torso, lid: (N,) 0..1.
        upper_teeth: (N,) 0..1. front: (N,) 0..1, the face rather than the back of the head.
        lip: (N,) metres outside the outline of the lips, negative inside. mouth: the same of the inner outline.
        eye: (N, 2) the same of the right and left eye's opening. brow: (N, 2) metres from the brow's middle line and
        brow_along: (N, 2) 0 at its inner end .. 1 at the outer.
    """

    triangle: np.ndarray
    bary: np.ndarray
    spacing: np.ndarray
    rest: np.ndarray
    part: np.ndarray
    ear: np.ndarray
    lips: np.ndarray
    scalp: np.ndarray
    neck: np.ndarray
    torso: np.ndarray
    lid: np.ndarray
    upper_teeth: np.ndarray
    front: np.ndarray
    lip: np.ndarray
    mouth: np.ndarray
    eye: np.ndarray
    brow: np.ndarray
    brow_along: np.ndarray
    surface: HeadSurface

    def is_part(self, *names: str) -> np.ndarray:
        """(N,) bool."""
        return np.isin(self.part, [PARTS.index(n) for n in names])

    def at(self, values: np.ndarray) -> np.ndarray:
        """(N, ...) of values at vertices (V, ...)."""
        return np.einsum("nk,nk...->n...", self.bary.astype(np.float64), values[self.surface.faces[self.triangle]])


def canvas(head: HeadModel, splats: int) -> Canvas:
    """About ``splats`` points, dense where a face has detail; the same for every person of a head, so made once."""
    _heads[head.sha256] = head
    return _spread(head.sha256, splats)


def uv_canvas(head: HeadModel, size: int) -> tuple[Canvas, np.ndarray]:
    """A point for each texel that a triangle covers, and (size, size) bool where that is."""
    _heads[head.sha256] = head
    return _texels(head.sha256, size)


@lru_cache(maxsize=6)
def _spread(key: str, splats: int) -> Canvas:
    surface = head_surface(_heads[key])
    density = vertex_density(surface)
    got = sample_surface(surface, surface.vertices, density, np.zeros(len(surface.faces), bool), splats, 0)
    return _canvas(surface, got.triangle, got.bary, got.spacing)


@lru_cache(maxsize=4)
def _texels(key: str, size: int) -> tuple[Canvas, np.ndarray]:
    head = _heads[key]
    covered, triangle, bary = texel_points(head, size)
    return _canvas(head_surface(head), triangle, bary, np.full(len(triangle), 1e-3)), covered


def _canvas(surface: HeadSurface, triangle: np.ndarray, bary: np.ndarray, spacing: np.ndarray) -> Canvas:
    head = surface.head
    corners = surface.faces[triangle]

    def blend(values: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nk...->n...", bary.astype(np.float64), values[corners].astype(np.float64))

    def region(*names: str) -> np.ndarray:
        return blend(head.region_mask(*names))

    rest, marks = blend(surface.vertices), surface.landmarks
    brows = [_brow(rest, marks[list(ring)]) for ring in (BROW_RIGHT, BROW_LEFT)]
    eye_z = marks[[33, 263], 2].mean()
    front = np.clip((rest[:, 2] - (eye_z - 0.055)) / 0.04, 0, 1)
    return Canvas(
        triangle=triangle, bary=bary, spacing=spacing, rest=rest, part=surface.part[triangle], ear=blend(surface.ear),
        lips=blend(surface.lips), scalp=blend(surface.scalp), neck=blend(surface.neck), torso=region("torso"),
        lid=surface.lid[triangle].astype(np.float64), upper_teeth=region("teeth_upper"), front=front,
        lip=_outside(rest, marks[list(LIPS_OUTER)]), mouth=_outside(rest, marks[list(LIPS_INNER)]),
        eye=np.stack([_outside(rest, marks[list(ring)]) for ring in (EYE_RIGHT, EYE_LEFT)], 1),
        brow=np.stack([b[0] for b in brows], 1), brow_along=np.stack([b[1] for b in brows], 1), surface=surface,
    )  # fmt: skip


def _brow(points: np.ndarray, ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed metres above the middle line of a brow (upper five landmarks, lower five), and 0..1 along it."""
    inner = ring[np.abs(ring[:, 0]).argsort()]
    line = np.stack([(inner[2 * k] + inner[2 * k + 1]) / 2 for k in range(5)])[:, :2]
    distance, along = np.full(len(points), np.inf), np.zeros(len(points))
    length = np.linalg.norm(np.diff(line, axis=0), axis=1)
    start = np.concatenate([[0], np.cumsum(length)])
    for k in range(4):
        a, d = line[k], line[k + 1] - line[k]
        t = ((points[:, :2] - a) @ d) / (d @ d)
        t = t if k in (0, 3) else np.clip(t, 0, 1)
        t = np.maximum(t, 0) if k == 3 else np.minimum(t, 1) if k == 0 else t
        gap = points[:, :2] - a - t[:, None] * d
        near = np.linalg.norm(gap, axis=1)
        up = np.sign(gap[:, 1])
        take = near < np.abs(distance)
        distance = np.where(take, near * up, distance)
        along = np.where(take, (start[k] + t * length[k]) / start[-1], along)
    return distance, along


def _outside(points: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """(N,) metres in the frontal plane outside a closed polygon, negative inside."""
    p, q = points[:, :2], ring[:, :2]
    best, inside = np.full(len(p), np.inf), np.zeros(len(p), bool)
    for a, b in zip(q, np.roll(q, -1, 0), strict=True):
        t = np.clip(((p - a) @ (b - a)) / max((b - a) @ (b - a), 1e-12), 0, 1)
        best = np.minimum(best, np.linalg.norm(p - a - t[:, None] * (b - a), axis=1))
        crosses = (a[1] > p[:, 1]) != (b[1] > p[:, 1])
        slope = (b[0] - a[0]) / np.where(b[1] == a[1], 1e-12, b[1] - a[1])
        inside ^= crosses & (p[:, 0] < slope * (p[:, 1] - a[1]) + a[0])
    return np.where(inside, -best, best)


def personal_frame(points: Canvas, person: PersonalHead) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) positions on a person's neutral head and (N, 3) unit normals."""
    rest = person.rest.astype(np.float64)
    normal = points.at(vertex_normals(rest, points.surface.faces))
    return points.at(rest), normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
