"""Shadows of the scene on a head: what is left of the light at each of its vertices, by rays to the lamps. No bpy here.

The head's own mesh is not in the way: it has no hair, and the photo's own shadows are in its colours. What is left is
a ratio of irradiances, so that whatever a head is lit by, it is darkened as a diffuse surface in its place would be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import tan

import numpy as np
from mathutils.bvhtree import BVHTree

from gshead_backend.avatar.facing import vertex_normals
from gshead_backend.avatar.light import even_light, irradiance, project

from .lamps import Lamp, rays

_LIFT = 5e-4  # metres above the skin at which rays begin
_FEW = 4  # rays that everybody sends; where those of neighbours meet different things, the rest follow
_ROOM = 1.1  # the hull of two balls is a little wider than the line between their radii


@dataclass(frozen=True)
class Way:
    """The space between a head and a lamp: wherever along its axis, what is within a radius.

    Attributes:
        start: (3,) the head's middle. direction: (3,) unit, toward the lamp. length: metres, infinite to a sun.
        radius: metres at the start. growth: metres a metre.
    """

    start: np.ndarray
    direction: np.ndarray
    length: float
    radius: float
    growth: float

    def meets(self, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """(n,) bool: which of some balls, (n, 3) and (n,), reach into it."""
        away = centres - self.start
        along = np.clip(away @ self.direction, 0, self.length)
        across = np.linalg.norm(away - along[:, None] * self.direction, axis=1)
        return across <= _ROOM * (self.radius + np.maximum(self.growth * along, -self.radius)) + radii


def way_to(lamp: Lamp, middle: np.ndarray, radius: float) -> Way:
    """The way from a ball, in which a head is, to a lamp."""
    if lamp.kind == "SUN":
        return Way(middle, lamp.axis, np.inf, radius, tan(lamp.angle / 2))
    away = lamp.matrix[:3, 3] - middle
    length = max(float(np.linalg.norm(away)), 1e-6)
    sides = np.linalg.norm(lamp.matrix[:3, :2], axis=0) * lamp.size / 2
    extent = float(np.linalg.norm(sides)) if lamp.kind == "AREA" else lamp.radius
    return Way(middle, away / length, length, radius, (extent - radius) / length)


def left_of_light(
    vertices: np.ndarray, faces: np.ndarray, lamps: Sequence[Lamp], world: tuple[np.ndarray, np.ndarray],
    between: Callable[[Way], np.ndarray],
) -> np.ndarray | None:  # fmt: skip
    """(V, 3) float32, 0 to 1: the irradiance of each vertex with shadows over that without; None where none fall.

    Args:
        vertices: (V, 3) metres in the world. faces: (F, 3). world: as ``world.world_light`` tells.
        between: (n, 3, 3) the triangles that reach into a way.
    """
    middle = (vertices.min(0) + vertices.max(0)) / 2
    radius = float(np.linalg.norm(vertices - middle, axis=1).max())
    in_the_way = [between(way_to(lamp, middle, radius)) if lamp.casts else np.zeros((0, 3, 3)) for lamp in lamps]
    if not any(len(triangles) for triangles in in_the_way):
        return None
    normals = vertex_normals(vertices, faces)
    directions, radiance = world
    full = irradiance(even_light(radiance) if directions.size == 0 else project(directions, radiance), normals)
    lost = np.zeros_like(full)
    for lamp, triangles in zip(lamps, in_the_way, strict=True):
        toward, length, given = rays(lamp, vertices)
        light = np.maximum(np.einsum("vni,vi->vn", toward, normals), 0)[..., None] * given
        full += light.sum(1)
        if len(triangles):
            lost += (_hidden(triangles, vertices + _LIFT * normals, toward, length, light, faces) * light).sum(1)
    return (1 - np.clip(lost / np.maximum(full, 1e-9), 0, 1)).astype(np.float32)


def _hidden(
    triangles: np.ndarray, places: np.ndarray, toward: np.ndarray, length: np.ndarray, light: np.ndarray,
    faces: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(V, n, 1) 0..1: how far each of the rays (V, n) that carry light meets a triangle."""
    tree = BVHTree.FromPolygons(
        triangles.reshape(-1, 3).tolist(), np.arange(3 * len(triangles)).reshape(-1, 3).tolist()
    )
    count = toward.shape[1]
    bright = light.any(-1)
    hit = np.zeros(bright.shape)
    few = np.zeros(count, bool)
    few[:: max(1, count // _FEW)] = True
    _cast(tree, places, toward, length, bright & few, hit)
    sent = (bright & few).sum(1)
    share = hit.sum(1) / np.maximum(sent, 1)
    hit[:, ~few] = share[:, None]
    if count > few.sum():
        at = share[faces]
        edge = np.zeros(len(places), bool)
        known = (sent > 0)[faces].all(1)
        edge[faces[known & (at.max(1) - at.min(1) > 0)]] = True
        edge |= (share > 0) & (share < 1) | (sent == 0)
        _cast(tree, places, toward, length, bright & ~few & edge[:, None], hit)
    return hit[..., None]


def _cast(
    tree: BVHTree, places: np.ndarray, toward: np.ndarray, length: np.ndarray, which: np.ndarray, hit: np.ndarray
) -> None:
    """Send the rays that ``which`` chooses and write down, as 0 or 1, whether they meet anything."""
    v, n = np.nonzero(which)
    rows = zip(places[v].tolist(), toward[v, n].tolist(), length[v, n].tolist(), strict=True)
    hit[v, n] = [tree.ray_cast(place, way, far)[3] is not None for place, way, far in rows]
