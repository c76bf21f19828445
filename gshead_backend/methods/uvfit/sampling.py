"""Where splats sit on a head: a seeded, evenly spread sampling of the mesh, denser where a face needs detail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .surface import PARTS, HeadSurface, nearest, smoothstep

_CANDIDATES = 5
_RELAXATIONS = 2
_SHEET_GAP = 0.0012


@dataclass(frozen=True)
class Samples:
    """N points on the mean mesh. triangle: (N,) int32. bary: (N, 3). spacing: (N,) metres between neighbours."""

    triangle: np.ndarray
    bary: np.ndarray
    spacing: np.ndarray


def vertex_density(surface: HeadSurface) -> np.ndarray:
    """(V,) relative splats per area."""
    s = surface.scale
    face = 1 - smoothstep(surface.face_distance, 0.012 * s, 0.035 * s)
    density = 0.75 + 1.45 * face
    density += 2.3 * (1 - smoothstep(surface.eye_distance, 0.004 * s, 0.014 * s)) * surface.skin
    density += 1.6 * (1 - smoothstep(surface.lip_distance, 0.004 * s, 0.013 * s)) * surface.skin
    density += 0.8 * (1 - smoothstep(surface.brow_distance, 0.004 * s, 0.012 * s)) * surface.skin
    density *= 1 - 0.4 * surface.neck
    by_part = {
        "eye_left": 5.0,
        "eye_right": 5.0,
        "teeth": 3.2,
        "gums": 0.9,
        "tongue": 0.9,
        "cavity": 0.5,
        "socket": 0.4,
    }
    for name, value in by_part.items():
        density[surface.vertex_part == PARTS.index(name)] = value
    return density


def sample_surface(
    surface: HeadSurface, vertices: np.ndarray, density: np.ndarray, empty: np.ndarray, count: int, seed: int
) -> Samples:
    """``count`` points on ``vertices`` (V, 3): oversampled by area times ``density`` (V,), then relaxed.

    ``empty`` (F,) bool: triangles that get none.
    """
    rng = np.random.default_rng(seed)
    corners = vertices[surface.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = 0.5 * np.linalg.norm(cross, axis=1)
    weight = density[surface.faces].mean(1) * _hidden_eye(surface, corners.mean(1))
    mass = area * weight * ~empty
    if count <= 0 or mass.sum() <= 0:
        raise ValueError(f"cannot place {count} samples on a surface of mass {mass.sum()}")
    m = count * _CANDIDATES
    picks = (np.arange(m) + rng.random()) / m
    triangle = np.searchsorted(np.cumsum(mass) / mass.sum(), picks).clip(0, mass.size - 1)
    r1, r2 = np.sqrt(rng.random(m)), rng.random(m)
    bary = np.stack([1 - r1, r1 * (1 - r2), r1 * r2], 1)
    feature = _feature(surface, corners, cross, triangle, bary)
    chosen = _relax(feature, _curve_order(feature)[rng.integers(_CANDIDATES) :: _CANDIDATES][:count])
    triangle, bary = triangle[chosen].astype(np.int32), bary[chosen].astype(np.float32)
    wanted = np.sqrt(mass.sum() / count / weight[triangle])
    normal = cross[triangle] / np.maximum(np.linalg.norm(cross[triangle], axis=1, keepdims=True), 1e-20)
    point = np.einsum("nk,nkc->nc", bary, corners[triangle])
    spacing = local_spacing(point, normal, surface.part[triangle], wanted).astype(np.float32)
    order = np.lexsort((bary[:, 0], triangle))
    return Samples(triangle[order], bary[order], spacing[order])


def _hidden_eye(surface: HeadSurface, centres: np.ndarray) -> np.ndarray:
    """(F,) factor: the back half of an eyeball is never seen, so it gets few splats."""
    factor = np.ones(surface.faces.shape[0])
    for name in ("eye_left", "eye_right"):
        mine = surface.part == PARTS.index(name)
        if mine.any():
            z = centres[mine, 2]
            middle = 0.5 * (z.min() + z.max())
            factor[mine] = np.where(z < middle + 0.05 * (z.max() - z.min()), 0.06, 1.0)
    return factor


def _feature(
    surface: HeadSurface, corners: np.ndarray, cross: np.ndarray, triangle: np.ndarray, bary: np.ndarray
) -> np.ndarray:
    """(M, 3) positions, with parts and opposite sheets (lips, lids) pushed apart."""
    point = np.einsum("nk,nkc->nc", bary, corners[triangle])
    normal = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-20)
    feature = point + _SHEET_GAP * normal[triangle]
    feature[:, 0] += 10.0 * surface.part[triangle]
    return feature


def _curve_order(points: np.ndarray) -> np.ndarray:
    """(M,) indices along a Morton curve: every fifth point of it is spread far more evenly than a random fifth."""
    cell = np.floor((points - points.min(0)) / 0.0004).astype(np.uint64)
    key = np.zeros(points.shape[0], np.uint64)
    for bit in range(16):
        for axis in range(3):
            key |= ((cell[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return np.argsort(key, kind="stable")


def _relax(feature: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Lloyd's relaxation over the candidates."""
    for _ in range(_RELAXATIONS):
        owner = nearest(feature[chosen], feature)[1]
        members = np.maximum(np.bincount(owner, minlength=chosen.size), 1)
        centroid = np.stack([np.bincount(owner, feature[:, i], chosen.size) / members for i in range(3)], 1)
        closest = nearest(feature, centroid)[1]
        _, first = np.unique(closest, return_index=True)
        moved = chosen.copy()
        moved[first] = closest[first]
        taken, again = np.unique(moved, return_index=True)
        lost = chosen.size - taken.size
        free = np.setdiff1d(chosen, taken)[:lost]
        chosen = np.concatenate([moved[np.sort(again)], free])
    return chosen


def local_spacing(point: np.ndarray, normal: np.ndarray, part: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(N,) metres: mean distance to the six nearest neighbours on the same sheet, so that no gap shows."""
    k = min(13, point.shape[0])
    distance, index = nearest(point, point, k)
    distance, index = distance[:, 1:], index[:, 1:]
    same = ((normal[:, None] * normal[index]).sum(-1) > 0.2) & (part[index] == part[:, None])
    rank = np.cumsum(same, 1)
    use = same & (rank <= 6)
    found = use.sum(1)
    mean = (distance * use).sum(1) / np.maximum(found, 1)
    return np.clip(np.where(found >= 3, mean, wanted), 0.8 * wanted, 2.0 * wanted)
