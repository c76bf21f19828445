"""The bust's ends: straight down to its lowest point, as upper arms hang, and closed there and where the photo ends.

Without them one looks into the mesh from the side, under the shoulders, and from behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError

from ...avatar.types import REGIONS
from ...portrait.types import PortraitFit
from .bust import below_end, into_outline, photo_box, rebind, steady_triangles
from .cloud import NORMAL_SIGMA, TANGENT_SIGMA, Cloud
from .surface import HeadSurface, nearest

_SHADE = 0.55
"""Colours below of those around them: little light gets there."""
_LEAST = 24
"""Edges of an end; a mesh without one is closed already."""
_DOWN = np.array([0.0, -1.0, 0.0])
_CUT_OUT = 0.05  # share of what hangs straight down that is below the person's end
_WITHIN = 0.002  # metres behind a plane that still count as in front of it


def underside(fit: PortraitFit, surface: HeadSurface, cloud: Cloud, outer: np.ndarray, count: int) -> Cloud | None:
    """About ``count`` splats that close the ends of the bust, coloured like what hangs around them.

    Args:
        fit: says where the photo ends, below and to the sides.
        cloud: the finished splats on the mesh. outer: (V, 3) the head as in the photo, with its shell.
    """
    ring = outer[_lowest_end(surface)]
    if len(ring) < _LEAST or count < 1:
        return None
    middle = 0.5 * (ring.min(0) + ring.max(0))
    ring = ring[np.argsort(np.arctan2(ring[:, 0] - middle[0], ring[:, 2] - middle[2]))]  # it is seen around from inside
    point, normal, shade, spacing = _straight_down(fit, surface, outer, ring, middle, count)
    below = below_end(into_outline(fit, point))
    if below.sum() > _CUT_OUT * len(point):
        lid = _lid(ring, spacing)
        point, normal = (
            np.concatenate([point[~below], lid]),
            np.concatenate([normal[~below], np.tile(_DOWN, (len(lid), 1))]),
        )
        shade = np.concatenate([shade[~below], np.full(len(lid), _SHADE)])
    if len(point) == 0:
        return None
    tangent = np.cross(normal, [0.3, 0.0, 1.0])
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    worn = np.flatnonzero(cloud.is_part("skin") & (cloud.clothes > 0.5))
    if worn.size < 12:
        worn = np.flatnonzero(cloud.is_part("skin") & (cloud.hair < 0.5))
    like = worn[nearest(cloud.posed[worn], point, 12)[1]]
    n, clothes = len(point), cloud.clothes[like].mean(1) > 0.5
    sigma = spacing * TANGENT_SIGMA * np.tile([1.0, 1.0, NORMAL_SIGMA], (n, 1))
    out = Cloud.loose("clothes", point, normal, tangent, sigma, shade[:, None] * cloud.color[like].mean(1), trust=0.0)
    out.clothes = clothes.astype(np.float64)
    out.region[~clothes] = REGIONS.index("neck")
    rebind(out, surface, outer, np.arange(n), steady_triangles(surface, bust=True))
    return out


def _straight_down(
    fit: PortraitFit, surface: HeadSurface, outer: np.ndarray, ring: np.ndarray, middle: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Points (n, 3), normals and shades (n,) of walls below the ring, and of caps below them and where the photo ends;
    metres between them."""
    edges = np.roll(ring, -1, 0) - ring
    length = np.linalg.norm(edges[:, [0, 2]], axis=1)
    foot = ring * [1, 0, 1] + [0, ring[:, 1].min(), 0]
    planes = np.array([[*-_DOWN, -foot[0, 1]], *_photo_planes(fit)])
    lines = np.concatenate([_edges(surface, outer), np.stack([ring, foot], 1)])
    outlines = [foot, *(_crossing(lines, plane) for plane in planes[1:])]
    caps = [c for o, p in zip(outlines, planes, strict=True) if (c := _Cap.of(o, p[:3])) is not None]
    area = (length * (ring[:, 1] - foot[:, 1])).sum() + sum(c.hull.volume for c in caps)  # in a plane: its area
    spacing = float(np.sqrt(area / count))
    wall, wall_normal = _wall(ring, edges, length, middle, foot[0, 1], spacing)
    filled = [c.points(spacing) for c in caps]
    point = np.concatenate([wall, *filled])
    normal = np.concatenate(
        [wall_normal, *(np.tile(-c.normal, (len(f), 1)) for c, f in zip(caps, filled, strict=True))]
    )
    shade = np.concatenate([np.full(len(wall), 0.5 + 0.5 * _SHADE), np.full(len(point) - len(wall), _SHADE)])
    kept = (point @ planes[:, :3].T + planes[:, 3] > -_WITHIN * surface.scale).all(1)
    return point[kept], normal[kept], shade[kept], spacing


def _lid(ring: np.ndarray, spacing: float) -> np.ndarray:
    """Points (n, 3) of a surface across the ring."""
    flat = _Cap.of(ring * [1, 0, 1], -_DOWN)
    if flat is None:
        return np.zeros((0, 3))
    point = flat.points(spacing)
    point[:, 1] = LinearNDInterpolator(ring[:, [0, 2]], ring[:, 1])(point[:, [0, 2]])
    return point[np.isfinite(point[:, 1])]


def _wall(
    ring: np.ndarray, edges: np.ndarray, length: np.ndarray, middle: np.ndarray, bottom: float, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) from the ring down to ``bottom``, and their normals, which point away from the ring's middle."""
    along = np.arange(0.5 * spacing, length.sum(), spacing)
    reached = np.concatenate([[0.0], np.cumsum(length)])
    edge = np.clip(np.searchsorted(reached, along) - 1, 0, len(ring) - 1)
    top = ring[edge] + ((along - reached[edge]) / np.maximum(length[edge], 1e-9))[:, None] * edges[edge]
    steps = np.maximum(np.round((top[:, 1] - bottom) / spacing), 0).astype(int)
    line = np.repeat(np.arange(len(top)), steps)
    number = np.arange(len(line)) - np.repeat(np.cumsum(steps) - steps, steps)
    point = top[line] + _DOWN * ((number + 0.5) * spacing)[:, None]
    normal = np.column_stack([edges[edge, 2], np.zeros(len(top)), -edges[edge, 0]])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    normal *= np.where(((top - middle) * normal).sum(1, keepdims=True) < 0, -1.0, 1.0)
    return point, normal[line]


def _photo_planes(fit: PortraitFit) -> list[np.ndarray]:
    """Planes (4,) through the photo's left, right and lower border: ``n . p + d`` is the distance inward in metres."""
    (left, _, right, bottom), camera = photo_box(fit), fit.camera
    x, y, z = np.asarray(camera.viewmat, np.float64)[:3]
    if camera.orthographic:
        z = np.array([0.0, 0, 0, 1])
    (fx, cx), (fy, cy) = camera.K[0, [0, 2]], camera.K[1, [1, 2]]
    planes = [x - (left - cx) / fx * z, (right - cx) / fx * z - x, (bottom - cy) / fy * z - y]
    return [plane / np.linalg.norm(plane[:3]) for plane in planes]


def _edges(surface: HeadSurface, outer: np.ndarray) -> np.ndarray:
    """(E, 2, 3) the ends of the bust's edges."""
    faces = surface.faces[(surface.neck[surface.faces].min(1) > 0.3) & surface.skin[surface.faces].all(1)]
    return outer[np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])]


def _crossing(lines: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """(n, 3) where lines (E, 2, 3) go through a plane."""
    side = lines @ plane[:3] + plane[3]
    through = (side[:, 0] < 0) != (side[:, 1] < 0)
    share = side[through, 0] / (side[through, 0] - side[through, 1])
    return lines[through, 0] + share[:, None] * (lines[through, 1] - lines[through, 0])


@dataclass(frozen=True)
class _Cap:
    """A convex piece of a plane. axes: (2, 3). hull: of the outline along them. height: metres along the normal."""

    axes: np.ndarray
    normal: np.ndarray
    hull: ConvexHull
    height: float

    @classmethod
    def of(cls, outline: np.ndarray, normal: np.ndarray) -> _Cap | None:
        """None where the outline (n, 3) is no area."""
        first = np.cross(normal, [0.31, 0.2, 0.93])
        first /= np.linalg.norm(first)
        axes = np.stack([first, np.cross(normal, first)])
        if len(outline) < _LEAST:
            return None
        try:
            return cls(axes, normal, ConvexHull(outline @ axes.T), float(outline.mean(0) @ normal))
        except QhullError:  # all in one line
            return None

    def points(self, spacing: float) -> np.ndarray:
        """(n, 3) that fill it."""
        low, high = self.hull.min_bound, self.hull.max_bound
        x, y = np.meshgrid(np.arange(low[0], high[0], spacing), np.arange(low[1], high[1], spacing))
        x[1::2] += 0.5 * spacing
        place = np.column_stack([x.ravel(), y.ravel()])
        inside = (place @ self.hull.equations[:, :2].T + self.hull.equations[:, 2] < 0).all(1)
        return place[inside] @ self.axes + self.height * self.normal


def _lowest_end(surface: HeadSurface) -> np.ndarray:
    """Indices of the vertices of the lowest of the mesh's open ends; none where only small ones are."""
    faces = surface.faces
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    count = len(surface.vertices)
    edges, uses = np.unique(edges[:, 0].astype(np.int64) * count + edges[:, 1], return_counts=True)
    open_edges = np.stack(np.divmod(edges[uses == 1], count), 1)
    _, label = connected_components(
        coo_matrix((np.ones(len(open_edges)), (open_edges[:, 0], open_edges[:, 1])), (count, count)), directed=False
    )
    ends = [end for k in np.unique(label[open_edges[:, 0]]) if (end := np.flatnonzero(label == k)).size >= _LEAST]
    ends = [end for end in ends if surface.neck[end].min() > 0.5]
    return min(ends, key=lambda end: surface.vertices[end, 1].mean()) if ends else np.zeros(0, np.intp)
