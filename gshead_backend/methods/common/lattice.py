"""A fixed lattice of UV texels over one head model: the grid on which networks see a person and say what they think.

A texel is a point of the head's surface. Maps over the lattice are read at any other point of the surface by bilinear
interpolation among the texels around it, so what a network says does not depend on how many splats an avatar has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from scipy.spatial import KDTree

from ...errors import UnsupportedError
from ...head.model import HeadModel
from ..uvfit.sampling import Samples, local_spacing
from ..uvfit.surface import HeadSurface, head_surface

SIZE = 128
_SEAM = 0.02  # metres: texels farther than this on the mean head lie across a seam of the UV map
_LEAST_COVER = 0.05
_FINE = 9
_heads: dict[str, HeadModel] = {}


@dataclass(frozen=True)
class Lattice:
    """M texels of a square UV map that a triangle covers, row by row, row 0 at the top.

    Attributes:
        surface: tables of the head model. size: texels a side.
        row, column: (M,) int32. triangle: (M,) int32. bary: (M, 3) float32. part: (M,) index into ``uvfit.PARTS``.
        mean: (M, 3) metres, on the mean head. mirror: (M,) int32, the texel nearest to the mirrored point.
        share: (M,) of its triangle's area that a texel stands for.
    """

    surface: HeadSurface
    size: int
    row: np.ndarray
    column: np.ndarray
    triangle: np.ndarray
    bary: np.ndarray
    part: np.ndarray
    mean: np.ndarray
    mirror: np.ndarray
    share: np.ndarray
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return int(self.triangle.size)

    @property
    def covered(self) -> np.ndarray:
        """(S, S) bool."""
        out = np.zeros((self.size, self.size), bool)
        out[self.row, self.column] = True
        return out

    @property
    def flat(self) -> np.ndarray:
        """(M,) int64 index of every texel in the flattened map."""
        return self.row.astype(np.int64) * self.size + self.column

    def image(self, values: np.ndarray) -> np.ndarray:
        """(M, ...) values at texels to a map (S, S, ...), zero where there is no surface."""
        out = np.zeros((self.size, self.size, *values.shape[1:]), values.dtype)
        out[self.row, self.column] = values
        return out

    def at(self, values: np.ndarray) -> np.ndarray:
        """(V, ...) values at vertices to (M, ...) at texels."""
        corners = values[self.surface.faces[self.triangle]]
        return np.einsum("mk,mk...->m...", self.bary.astype(np.float64), corners)

    def samples(self, vertices: np.ndarray) -> Samples:
        """The texels as splat places on ``vertices`` (V, 3): spacing follows the area each has there."""
        corners = vertices[self.surface.faces]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(cross, axis=1)
        wanted = np.clip(np.sqrt(0.5 * length[self.triangle] * self.share), 2e-4, 0.012)
        normal = (cross / np.maximum(length, 1e-20)[:, None])[self.triangle]
        spacing = local_spacing(self.at(vertices), normal, self.part, wanted).astype(np.float32)
        return Samples(self.triangle.copy(), self.bary.copy(), spacing)

    def lookup(self, triangle: np.ndarray, bary: np.ndarray) -> Lookup:
        """How maps are read at the points (N,), (N, 3) of the surface."""
        head, n = self.surface.head, triangle.size
        uv = np.einsum("nk,nkc->nc", bary.astype(np.float64), head.uv[head.uv_faces[triangle]].astype(np.float64))
        place = np.stack([uv[:, 0], 1 - uv[:, 1]], 1) * self.size - 0.5
        low = np.floor(place).astype(int)
        share = place - low
        index = np.full((n, 4), -1, np.int64)
        weight = np.zeros((n, 4))
        texel = np.full((self.size, self.size), -1, np.int64)
        texel[self.row, self.column] = np.arange(len(self))
        mean = np.einsum("nk,nkc->nc", bary.astype(np.float64), self.surface.vertices[self.surface.faces[triangle]])
        part = self.surface.part[triangle]
        for k, (dx, dy) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
            x, y = low[:, 0] + dx, low[:, 1] + dy
            inside = (x >= 0) & (y >= 0) & (x < self.size) & (y < self.size)
            found = np.where(inside, texel[y.clip(0, self.size - 1), x.clip(0, self.size - 1)], -1)
            near = (found >= 0) & (self.part[found] == part)
            near &= np.linalg.norm(self.mean[found] - mean, axis=1) < _SEAM
            index[:, k] = np.where(near, found, -1)
            both = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
            weight[:, k] = np.where(near, both, 0)
        total = weight.sum(1)
        lost = np.flatnonzero(total < 1e-3)
        if lost.size:
            index[lost, 0] = self._tree().query(_key(mean[lost], part[lost]))[1]
            weight[lost] = [1, 0, 0, 0]
            total[lost] = 1
        index[index < 0] = 0
        return Lookup(index, (weight / total[:, None]).astype(np.float32))

    def _tree(self) -> KDTree:
        if "tree" not in self._cache:
            self._cache["tree"] = KDTree(_key(self.mean, self.part))
        return self._cache["tree"]


@dataclass(frozen=True)
class Lookup:
    """index: (N, 4) int64 texels. weight: (N, 4) float32, rows sum to 1."""

    index: np.ndarray
    weight: np.ndarray

    def take(self, values: np.ndarray) -> np.ndarray:
        """(M, ...) at texels to (N, ...) at the points."""
        return np.einsum("nk,nk...->n...", self.weight, values[self.index])


def lattice_of(head: HeadModel, size: int = SIZE) -> Lattice:
    """The lattice of a head model, made once. Raises ``UnsupportedError`` for a head without a usable UV map."""
    _heads[head.sha256] = head
    return _lattice(head.sha256, size)


def texel_points(head: HeadModel, size: int, fine: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(S, S) bool where a triangle covers a texel; of those texels, row by row: (M,) triangle, (M, 3) barycentric.

    ``fine``, odd: how closely a triangle must come to a texel's middle, in parts of it. With 1 a texel belongs to
    any triangle that touches it and its point may lie beside its middle, which matters where triangles are smaller.
    """
    corner = head.uv[head.uv_faces] * size
    corner[..., 1] = size - corner[..., 1]
    owner = np.full((size * fine, size * fine), -1, np.int32)
    for f, c in enumerate(corner):
        cv2.fillConvexPoly(owner, np.round((c * fine - 0.5) * 16).astype(np.int32), f, shift=4)
    owner = owner[fine // 2 :: fine, fine // 2 :: fine]
    covered = owner >= 0
    y, x = np.nonzero(covered)
    triangle = owner[covered]
    a, b, c = (corner[triangle, k] for k in range(3))
    p = np.stack([x + 0.5, y + 0.5], 1)
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    v, w = _cross(p - a, c - a) / area, _cross(b - a, p - a) / area
    bary = np.clip(np.stack([1 - v - w, v, w], 1), 0, 1)
    bary /= bary.sum(1, keepdims=True)
    return covered, triangle, bary.astype(np.float32)


@lru_cache(maxsize=4)
def _lattice(key: str, size: int) -> Lattice:
    head = _heads[key]
    surface = head_surface(head)
    covered, triangle, bary = texel_points(head, size, _FINE)
    if covered.mean() < _LEAST_COVER:
        raise UnsupportedError(
            f"The UV map of the head '{head.name}' covers {covered.mean():.1%} of its square; learned heads need "
            f"{_LEAST_COVER:.0%}.",
            remedy="Use the default head, or the method uvfit.",
        )
    row, column = (a.astype(np.int32) for a in np.nonzero(covered))
    mean = np.einsum("mk,mkc->mc", bary.astype(np.float64), surface.vertices[surface.faces[triangle]])
    part = surface.part[triangle]
    mirrored = part.copy()
    for a, b in ((1, 2), (2, 1)):  # PARTS: the eyes change sides
        mirrored[part == a] = b
    mirror = KDTree(_key(mean, part)).query(_key(mean * [-1, 1, 1], mirrored))[1]
    corner = head.uv[head.uv_faces].astype(np.float64) * size
    texels = 0.5 * np.abs(_cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]))
    share = 1 / np.maximum(texels[triangle], 1e-3)
    arrays = (row, column, triangle, bary, part, mean, np.asarray(mirror, np.int32), share)
    for array in arrays:  # one lattice serves every portrait of the process
        array.setflags(write=False)
    return Lattice(surface, size, *arrays)


def _key(points: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Places with parts pushed apart, so that the nearest is of the same part."""
    return np.concatenate([points, 10.0 * part[:, None]], 1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
