"""One layer beyond the head's mesh: a height over a middle plane that faces the camera, and its splats.

The height is ``h = sqrt(2 u)`` with ``-laplace(u) = flat^2`` inside the region and u = 0 on the matte's outline, which
makes a round bar out of a strip. It is drawn in front and behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from ...portrait.types import PortraitFit
from .bust import rebind, steady_triangles
from .cloud import NORMAL_SIGMA, TANGENT_SIGMA, Cloud
from .photo import sample, unit_scale
from .surface import HeadSurface

_GRID = 128
_STRETCH = 10.0
"""How long splats become where a layer is steep: from the side one would see between them."""


@dataclass(frozen=True)
class Layer:
    """height, middle: (H, W) metres (view axis). mask: (H, W) bool where splats are wanted. region: splat region.
    solid: (H, W) 0..1 opacity."""

    mask: np.ndarray
    height: np.ndarray
    middle: np.ndarray
    region: str
    solid: np.ndarray


def inflate(mask: np.ndarray, start: np.ndarray, metres: float, flat: float = 1.0) -> np.ndarray:
    """(H, W) height in metres of ``mask``.

    Args:
        start: (H, W) height in metres at pixels beside it, NaN where it is free. flat: of a bar's height to its half
            width.
    """
    h, w = mask.shape
    step = max(1, round(max(h, w) / _GRID))
    small, fixed = mask[::step, ::step], start[::step, ::step]
    edge, known = np.isfinite(fixed), 0.5 * np.nan_to_num(fixed) ** 2
    index = np.full(small.shape, -1)
    index[small] = np.arange(small.sum())
    n = int(small.sum())
    if n == 0:
        return np.zeros(mask.shape)
    diagonal, rows, columns, right = np.full(n, 1e-5), [], [], np.full(n, (flat * step * metres) ** 2)
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        other = np.roll(index, (-dy, -dx), (0, 1))
        border = np.roll(edge, (-dy, -dx), (0, 1))
        valid = np.ones(small.shape, bool)
        valid[-1 if dy == 1 else 0, :] &= dy == 0
        valid[:, -1 if dx == 1 else 0] &= dx == 0
        here = small & valid
        inner = here & (other >= 0)
        np.add.at(diagonal, index[inner | (here & border)], 1.0)
        np.add.at(right, index[here & border], np.roll(known, (-dy, -dx), (0, 1))[here & border])
        rows.append(index[inner])
        columns.append(other[inner])
    r, c = np.concatenate(rows), np.concatenate(columns)
    A = coo_matrix((np.full(r.size, -1.0), (r, c)), (n, n)) + coo_matrix((diagonal, (np.arange(n), np.arange(n))))
    u = np.zeros(small.shape, np.float32)
    u[small] = np.maximum(np.asarray(spsolve(A.tocsc(), right)), 0)
    height = np.sqrt(2 * cv2.GaussianBlur(u, (0, 0), 1.0))
    return cv2.resize(height, (w, h), interpolation=cv2.INTER_LINEAR).astype(np.float64)


def metres_per_pixel(fit: PortraitFit, depth: float) -> float:
    """Metres that a pixel of the photo spans at ``depth`` metres."""
    return (depth if not fit.camera.orthographic else 1.0) / float(fit.camera.K[0, 0])


def layer_splats(
    fit: PortraitFit, surface: HeadSurface, photo: np.ndarray, layer: Layer, stride: float, posed: np.ndarray
) -> Cloud:
    """Front and back sheet of one layer on a jittered grid of ``stride`` pixels."""
    h, w = layer.mask.shape
    rows = np.arange(0.5 * stride, h, stride * 0.87)
    columns = np.arange(0.5 * stride, w, stride)
    v, u = np.meshgrid(rows, columns, indexing="ij")
    u = u + (np.arange(rows.size) % 2)[:, None] * 0.5 * stride
    uv = np.stack([u.ravel(), v.ravel()], 1)
    inside = sample(layer.mask.astype(np.float32), uv) > 0.5
    uv = uv[inside & (uv[:, 0] < w) & (uv[:, 1] < h)]
    height = sample(layer.height.astype(np.float32), uv).astype(np.float64)
    middle = sample(layer.middle.astype(np.float32), uv).astype(np.float64)
    metres = metres_per_pixel(fit, float(np.median(middle))) if len(uv) else 1.0
    tilt, slope = (gradient(field / metres, uv, unit_scale(fit.image)) for field in (layer.middle, layer.height))
    color = sample(photo, uv).astype(np.float64)
    mine = np.dstack([photo * layer.mask[..., None], layer.mask]).astype(np.float32)
    soft = sample(cv2.GaussianBlur(mine, (0, 0), 5 * unit_scale(fit.image)), uv).astype(np.float64)
    behind = 0.88 * soft[:, :3] / np.maximum(soft[:, 3:], 1e-3)
    sides = [(-1.0, color, 1.0), (1.0, behind, 0.0)]
    spacing = stride * metres
    parts = [sheet(fit, layer.region, uv, middle + sign * height, tilt + sign * slope, c, trust, spacing)
             for sign, c, trust in sides]  # fmt: skip
    cloud = parts[0].join(parts[1])
    opacity = np.clip(np.tile(sample(layer.solid.astype(np.float32), uv), 2).astype(np.float64) * 0.95, 1e-4, 0.95)
    cloud.opacity_logit = np.log(opacity / (1 - opacity))
    cloud = cloud.keep(opacity > 0.02)
    rebind(cloud, surface, posed, np.arange(len(cloud)), steady_triangles(surface, bust=layer.region == "clothes"))
    return cloud


def gradient(field: np.ndarray, uv: np.ndarray, scale: float) -> np.ndarray:
    """(N, 2) of a (H, W) field, across and down, at pixels ``uv``."""
    gy, gx = np.gradient(cv2.GaussianBlur(field.astype(np.float32), (0, 0), 2 * scale))
    return np.stack([sample(gx.astype(np.float32), uv), sample(gy.astype(np.float32), uv)], 1).astype(np.float64)


def sheet(
    fit: PortraitFit, region: str, uv: np.ndarray, depth: np.ndarray, slope: np.ndarray, color: np.ndarray,
    trust: float, spacing: float,
) -> Cloud:  # fmt: skip
    """Splats under pixels ``uv`` (N, 2) at ``depth`` (N,), ``spacing`` metres apart; ``slope`` (N, 2): its gradient.

    trust: 1 for a sheet that faces the camera, 0 for one that faces away.
    """
    camera, n = fit.camera, uv.shape[0]
    xy = (uv - camera.K[:2, 2]) / camera.K[[0, 1], [0, 1]] * (1.0 if camera.orthographic else depth[:, None])
    R, t = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
    point = (np.column_stack([xy, depth]) - t) @ R
    facing = -1.0 if trust > 0 else 1.0
    normal = np.column_stack([-facing * slope, np.full(n, facing)])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    steep = np.linalg.norm(slope, axis=1, keepdims=True)
    along = np.where(steep > 1e-6, slope / np.maximum(steep, 1e-6), np.array([1.0, 0.0]))
    tangent = np.column_stack([along, steep])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    stretch = np.minimum(np.sqrt(1 + steep[:, 0] ** 2), _STRETCH)
    sigma = spacing * TANGENT_SIGMA * np.column_stack([stretch, np.ones(n), np.full(n, NORMAL_SIGMA)])
    return Cloud.loose(region, point, normal @ R, tangent @ R, sigma, color, 0.8 * trust)
