"""Which way the splats of an avatar at rest face, smoothly: what a light is told by.

A splat's own thinnest axis is noisy, because a fit to a photo turns splats as it likes. Skin takes the normals of the
head's mesh; hair and clothes, which stand off it, the common direction of what lies around them.
"""

from __future__ import annotations

import numpy as np

from ..head.rotation import quat_to_matrix
from .drive import binding_of
from .types import REGIONS, Avatar, Splats

_CELL, _PASSES = 0.006, 2  # metres; passes of smoothing over the grid
_BODY = 0.1  # metres below the lowest splat, from where clothes face away: shoulders look up, the chest ahead
_ON_MESH = (0.002, 0.006)  # metres off the mesh between which its normals give way to those of the surroundings
_INSIDE = tuple(REGIONS.index(name) for name in ("mouth", "teeth"))
_EYE, _CLOTHES = REGIONS.index("eye"), REGIONS.index("clothes")


def splat_normals(avatar: Avatar, rest: Splats) -> np.ndarray:
    """(N, 3) float64 unit directions in head space.

    Args:
        rest: the avatar driven by the neutral pose.
    """
    means = np.asarray(rest.means, np.float64)
    b = binding_of(avatar)
    mesh = _unit(np.einsum("nk,nki->ni", avatar.bary, vertex_normals(b.neutral, avatar.head.faces)[b.corners.T]))
    around = _surroundings(means, _outward(avatar, rest, mesh), np.asarray(rest.opacities, np.float64) * _area(rest))
    off = np.linalg.norm(np.asarray(avatar.offset, np.float64), axis=1)
    share = np.clip((off - _ON_MESH[0]) / (_ON_MESH[1] - _ON_MESH[0]), 0, 1)[:, None]
    share[avatar.region == _CLOTHES] = 1.0
    normal = _unit((1 - share) * mesh + share * around)
    # A mouth is lit through its opening, and eyes lie in the shade of their lids: both as the face around them is.
    forward = np.array([0.0, 0.0, 1.0])
    normal[np.isin(avatar.region, _INSIDE)] = forward
    eye = avatar.region == _EYE
    normal[eye] = _unit(normal[eye] + forward)
    return normal


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) area-weighted unit normals."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    n = np.cross(b - a, c - a)
    out = np.zeros_like(vertices)
    for k in range(3):
        for i in range(3):
            out[:, i] += np.bincount(faces[:, k], n[:, i], minlength=vertices.shape[0])
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def _area(rest: Splats) -> np.ndarray:
    ordered = np.sort(np.asarray(rest.scales, np.float64), 1)
    return ordered[:, 1] * ordered[:, 2]


def _outward(avatar: Avatar, rest: Splats, mesh: np.ndarray) -> np.ndarray:
    """(N, 3) thinnest axes, turned outward and mixed with the direction away from the middle."""
    thin = np.asarray(rest.scales).argmin(1)
    turn = quat_to_matrix(np.asarray(rest.quats, np.float64))
    axis = np.take_along_axis(turn, thin[:, None, None], 2)[..., 0]
    means, middle = np.asarray(rest.means, np.float64), _middle(avatar)
    away = means - middle
    away[:, 1] *= np.where(away[:, 1] < 0, 0.15, 1.0)  # below the cranium hair stands round an axis
    worn = avatar.region == _CLOTHES
    away[worn] = means[worn] - [middle[0], means[:, 1].min() - _BODY, middle[2]]
    away = _unit(away)
    axis *= np.where((axis * away).sum(1, keepdims=True) < 0, -1.0, 1.0)
    return _unit(axis + away)


def _middle(avatar: Avatar) -> np.ndarray:
    """(3,) the middle of the cranium, a little above the eyes."""
    v = binding_of(avatar).neutral.astype(np.float64)
    eyes = avatar.personal.joints[3:5].mean(0)
    top = v[:, 1].max()
    level = v[np.abs(v[:, 1] - eyes[1]) < 0.01]
    return np.array([eyes[0], eyes[1] + 0.2 * (top - eyes[1]), 0.5 * (level[:, 2].min() + level[:, 2].max())])


def _surroundings(points: np.ndarray, vectors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(N, 3) unit: the weighted mean of the vectors nearby, over a grid that is smoothed."""
    low = points.min(0) - 3 * _CELL
    place = (points - low) / _CELL
    shape = tuple((np.ceil(place.max(0)) + 4).astype(int))
    cell = np.floor(place).astype(int)
    part = place - cell
    grid = np.zeros((*shape, 3))
    corners = [(np.array([i, j, k]), _share(part, (i, j, k))) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    size = int(np.prod(shape))
    for step, share in corners:
        index = np.ravel_multi_index(tuple((cell + step).T), shape)
        for c in range(3):
            grid[..., c] += np.bincount(index, share * weight * vectors[:, c], minlength=size).reshape(shape)
    for _ in range(_PASSES):
        for axis in range(3):
            grid = 0.5 * grid + 0.25 * (np.roll(grid, 1, axis) + np.roll(grid, -1, axis))
    flat = grid.reshape(size, 3)
    total = sum(s[:, None] * flat[np.ravel_multi_index(tuple((cell + step).T), shape)] for step, s in corners)
    return _unit(np.asarray(total))


def _share(part: np.ndarray, corner: tuple[int, int, int]) -> np.ndarray:
    return np.prod(np.where(np.array(corner, bool), part, 1 - part), 1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
