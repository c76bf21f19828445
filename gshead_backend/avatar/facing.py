"""Which way the splats of an avatar at rest face, smoothly: what a light is told by.

A splat's own thinnest axis is noisy, because a fit to a photo turns splats as it likes. Skin takes the normals of the
head's mesh; hair and clothes, which stand off it, the common direction of what lies around them.
"""

from __future__ import annotations

import numpy as np

from ..head.rotation import quat_to_matrix
from .drive import binding_of
from .types import REGIONS, Avatar, Splats

_CELL, _PASSES = 0.006, 3  # metres; passes of smoothing over the grid
_BODY = 0.1  # metres below the lowest splat, from where clothes face away: shoulders look up, the chest ahead
_ON_MESH = (0.002, 0.006)  # metres off the mesh between which its normals give way to those of the surroundings
_AGREES = (0.2, 0.75)  # cosines between a mesh's normal and the surroundings': below, the mesh is not believed
_SOCKET = (0.4, 0.5)  # sideways and downward, against 1 ahead
_INSIDE = tuple(REGIONS.index(name) for name in ("mouth", "teeth"))
_SOFT = tuple(REGIONS.index(name) for name in ("hair", "clothes"))
_EYE, _CLOTHES = REGIONS.index("eye"), REGIONS.index("clothes")


def splat_normals(avatar: Avatar, rest: Splats) -> np.ndarray:
    """(N, 3) float64 unit directions in head space.

    Args:
        rest: the avatar driven by the neutral pose.
    """
    means = np.asarray(rest.means, np.float64)
    b = binding_of(avatar)
    mesh = _unit(np.einsum("nk,nki->ni", avatar.bary, vertex_normals(b.neutral, avatar.head.faces)[b.corners.T]))
    weight = np.asarray(rest.opacities, np.float64) * _area(rest)
    inside, eye = np.isin(avatar.region, _INSIDE), avatar.region == _EYE
    around = _surroundings(means, _outward(avatar, rest, mesh), np.where(inside | eye, 0.0, weight))
    off = np.linalg.norm(np.asarray(avatar.offset, np.float64), axis=1)
    share = _step(off, *_ON_MESH)
    # The mesh turns inward at the lips, in the nostrils and behind the lids, where hardly any light arrives.
    share = np.maximum(share, 1 - _step((mesh * around).sum(1), *_AGREES))
    share[np.isin(avatar.region, _SOFT) | inside] = 1.0
    normal = _unit((1 - share[:, None]) * mesh + share[:, None] * around)
    if eye.any():
        normal[eye] = _eyes(means[eye], mesh[eye])
    return normal


def _eyes(means: np.ndarray, ball: np.ndarray) -> np.ndarray:
    """(n, 3) directions of eyes in their sockets: the brow keeps light from above away, the nose that from across."""
    out = np.sign(means[:, :1] - means[:, 0].mean()) * [_SOCKET[0], 0.0, 0.0]
    return _unit(0.5 * ball + [0.0, -_SOCKET[1], 1.0] + out)


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
    """(N, 3) thinnest axes, turned outward and mixed with the direction away from the middle; of skin the mesh's."""
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
    soft = np.isin(avatar.region, (*_SOFT, *_INSIDE))[:, None]
    return np.where(soft, _unit(axis + away), mesh)


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


def _step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _share(part: np.ndarray, corner: tuple[int, int, int]) -> np.ndarray:
    return np.prod(np.where(np.array(corner, bool), part, 1 - part), 1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
