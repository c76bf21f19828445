"""Long hair below the shell: a mass that goes around the neck, not a sheet beside it.

Row by row in the image, the hair's outline to the left and right and the back of the head give a horizontal cross
section: half an ellipse in front, from the mesh's rim to the outline, and half an ellipse around the nape behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates

from ...avatar.types import REGIONS
from ...portrait.types import PortraitFit
from .classes import PixelClasses
from .cloud import NORMAL_SIGMA, OPACITY_LOGIT, TANGENT_SIGMA, Cloud
from .photo import View, sample, unit_scale
from .strands import detail_table
from .surface import NOSE_TIP, PARTS, HeadSurface

_BEHIND = 0.012  # metres of hair over the nape
_DRAPE = 0.45  # metres per metre: how fast hair falls inward from the back of the head
_LEAST = 0.035  # metres of hair below the nose, or it is not long
_STREAKS, _STREAK_GAIN = 70, 0.5


@dataclass(frozen=True)
class HangingHair:
    """Rows of the image from ``first`` on, each with one entry in (R,) or, left and right, (R, 2).

    Attributes:
        middle: column of the neck. reach: columns from there to the outline, 0 where no hair hangs.
        rim: columns to the mesh's rim. rim_depth: metres there. axis: metres, depth of the neck's axis.
        behind: metres from the axis to the hair's back.
    """

    first: int
    middle: np.ndarray
    reach: np.ndarray
    rim: np.ndarray
    rim_depth: np.ndarray
    axis: np.ndarray
    behind: np.ndarray


def find_hanging(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, view: View, outer: np.ndarray
) -> HangingHair | None:
    """Measure hair that hangs beside the neck; None where there is none. ``outer`` (V, 3): posed, with the shell."""
    first = int(np.clip(fit.landmarks[NOSE_TIP, 1], 0, view.camera.height - 2))
    depth = view.depth[first:]
    covered = np.isfinite(depth)
    rows, width = covered.shape
    columns = np.arange(width) + 0.5
    some = covered.any(1)
    if some.sum() < 8:
        return None
    at = np.arange(rows)
    left = np.interp(at, at[some], covered[some].argmax(1))
    right = np.interp(at, at[some], width - 1 - covered[some][:, ::-1].argmax(1))
    scale = unit_scale(fit.image)
    middle = gaussian_filter1d((left + right) / 2, 6 * scale)
    hair = (classes.hair[first:] > 0.5) & (fit.matte[first:] > 0.5) & ~covered
    reach, rim, rim_depth = (np.zeros((rows, 2)) for _ in range(3))
    for side, (edge, sign) in enumerate(((left, -1.0), (right, 1.0))):
        beside = hair & (sign * (columns - middle[:, None]) > 0)
        out = np.where(beside, np.abs(columns - middle[:, None]), 0).max(1)
        thick = beside.sum(1) > 2.5 * scale
        reach[:, side] = _whole(np.where(thick, out, 0), 5 * scale)
        rim[:, side] = np.abs(edge + 0.5 - middle)
        column = np.clip(edge + (2 if sign < 0 else -2), 0, width - 1).astype(int)
        near = np.where(covered[at, column], depth[at, column], np.nan)
        good = np.isfinite(near)
        if not good.any():
            return None
        rim_depth[:, side] = gaussian_filter1d(np.interp(at, at[good], near[good]), 4 * scale)
    metres = float(np.median(rim_depth)) / fit.camera.K[1, 1] if not fit.camera.orthographic else 1 / fit.camera.K[1, 1]
    longest = ((reach > rim + 3 * scale) & (reach > 0)).sum(0).max()
    if longest * metres < _LEAST * surface.scale:
        return None
    axis, behind = _back(fit, surface, outer, first, rows, metres)
    return HangingHair(first, middle, reach, np.minimum(rim, 0.97 * np.maximum(reach, 1)), rim_depth, axis, behind)


def _whole(reach: np.ndarray, sigma: float) -> np.ndarray:
    """Short gaps closed, the end rounded off, nothing beyond what was seen."""
    seen = gaussian_filter1d((reach > 0).astype(float), sigma)
    mean = gaussian_filter1d(reach, sigma) / np.maximum(seen, 1e-6)
    return np.where(seen > 0.35, mean * np.clip((seen - 0.35) / 0.3, 0, 1) ** 0.5, 0)


def _back(
    fit: PortraitFit, surface: HeadSurface, outer: np.ndarray, first: int, rows: int, metres: float
) -> tuple[np.ndarray, np.ndarray]:
    """(R,) depth of the neck's axis, and how far behind it hair lies: on the head's back, then falling inward."""
    skin = outer[surface.skin]
    seen = fit.camera.project(skin)
    z = (skin @ fit.camera.viewmat[2, :3]) + fit.camera.viewmat[2, 3]
    ear = z[np.abs(skin[:, 2] - surface.ear_z) < 0.01 * surface.scale]
    axis = np.full(rows, float(np.median(ear)) if ear.size else float(np.median(z)))
    row = np.clip(np.round(seen[:, 1]).astype(int) - first, -1, rows)
    inner = np.abs(seen[:, 0] - np.median(seen[:, 0])) < 0.05 * surface.scale / metres
    far = np.full(rows + 2, -np.inf)
    np.maximum.at(far, row[inner] + 1, z[inner])
    far = far[1:-1]
    known = np.isfinite(far)
    at = np.arange(rows)
    nape = np.interp(at, at[known], far[known]) if known.any() else axis + 0.06
    hair = np.zeros(rows)
    for i in range(rows):
        own = nape[i] - axis[i] + _BEHIND * surface.scale
        hair[i] = max(own, hair[i - 1] - _DRAPE * metres) if i else own
    return axis, np.maximum(gaussian_filter1d(hair, 4), 0.02 * surface.scale)


def hanging_splats(
    fit: PortraitFit, photo: np.ndarray, classes: PixelClasses, hanging: HangingHair, count: int, seed: int
) -> Cloud | None:
    """About ``count`` splats in front and behind, unbound (triangle 0). Pixels: the front's colours are the photo's."""
    per_metre = fit.camera.K[0, 0] / (1.0 if fit.camera.orthographic else float(np.median(hanging.axis)))
    area = float((2.6 * hanging.reach.sum(1)).sum()) / per_metre**2
    step = max(np.sqrt(area / max(count, 1)), 0.7 / per_metre)
    lines = np.arange(0.5, hanging.middle.size, step * per_metre * 0.87)
    rng = np.random.default_rng(seed + 11)
    parts = [_front(fit, photo, classes, hanging, lines, step * per_metre, side) for side in (0, 1)]
    parts.append(_rear(fit, photo, classes, hanging, lines, step * per_metre, rng))
    found = [p for p in parts if p is not None]
    if not found:
        return None
    out = found[0]
    for part in found[1:]:
        out = out.join(part)
    return out


def _at(hanging: HangingHair, lines: np.ndarray, field: np.ndarray) -> np.ndarray:
    return np.interp(lines, np.arange(hanging.middle.size), field)


def _front(
    fit: PortraitFit, photo: np.ndarray, classes: PixelClasses, hanging: HangingHair, lines: np.ndarray, step: float,
    side: int,
) -> Cloud | None:  # fmt: skip
    """The visible front of one side: from the mesh's rim to the outline."""
    reach, rim, near, axis, middle = (
        _at(hanging, lines, f)[:, None]
        for f in (
            hanging.reach[:, side],
            hanging.rim[:, side],
            hanging.rim_depth[:, side],
            hanging.axis,
            hanging.middle,
        )
    )
    start = np.arcsin(np.clip(rim / np.maximum(reach, 1), 0, 0.97))
    across = int(np.ceil(float((reach * (np.pi / 2 - start)).max()) / step)) + 2
    angle = start + (np.pi / 2 - start) * np.linspace(-0.04, 1, across)
    u = np.sin(angle)
    depth = axis + (near - axis) * np.sqrt(np.maximum(1 - u**2, 0) / np.maximum(1 - np.sin(start) ** 2, 1e-3))
    column = middle + (-1.0 if side == 0 else 1.0) * reach * u
    row = np.broadcast_to(lines[:, None] + hanging.first, column.shape)
    uv = np.stack([column, row], -1)
    flat = uv.reshape(-1, 2)
    shown = (sample(classes.hair, flat) > 0.4) & (sample(np.ascontiguousarray(fit.matte, np.float32), flat) > 0.5)
    keep = shown.reshape(column.shape) & (reach > rim + 1)
    color = sample(photo, flat).astype(np.float64).reshape(*column.shape, 3)
    return _grid(fit, uv, depth, color, keep, 0.8, away=False)


def _rear(
    fit: PortraitFit, photo: np.ndarray, classes: PixelClasses, hanging: HangingHair, lines: np.ndarray, step: float,
    rng: np.random.Generator,
) -> Cloud | None:  # fmt: skip
    """What no photo shows: the hair behind the neck, in the colours of its row, with the photo's contrast."""
    left, right, axis, behind, middle = (
        _at(hanging, lines, f)[:, None]
        for f in (hanging.reach[:, 0], hanging.reach[:, 1], hanging.axis, hanging.behind, hanging.middle)
    )
    wide = np.maximum(left, right)
    per_metre = fit.camera.K[0, 0] / (1.0 if fit.camera.orthographic else float(np.median(hanging.axis)))
    across = int(np.ceil(float((wide + behind * per_metre).max()) * np.pi / 2 / step)) + 2
    angle = np.linspace(-np.pi / 2, np.pi / 2, across)[None]
    u = np.sin(angle)
    column = middle + np.where(u < 0, left, right) * u
    depth = axis + behind * np.cos(angle) ** 0.8
    uv = np.stack([column, np.broadcast_to(lines[:, None] + hanging.first, column.shape)], -1)
    keep = np.where(u < 0, left, right) > 1
    hair = (classes.hair > 0.7) & (fit.matte > 0.9)
    if hair.sum() < 200:
        return None
    table = detail_table(photo, hair)
    noise = rng.normal(size=(4, _STREAKS))
    v = np.linspace(0, 3, lines.size)[:, None] * np.ones_like(u)
    level = map_coordinates(
        noise, [v, (angle / np.pi + 0.5) * (_STREAKS - 1) * np.ones_like(v)], order=3, mode="nearest"
    )
    rank = 0.5 + 0.5 * np.tanh(_STREAK_GAIN * level)
    ratio = np.interp(rank * (table.size - 1), np.arange(table.size), table)
    color = _row_color(photo, hair, hanging, lines)[:, None] * ratio[..., None]
    return _grid(fit, uv, depth, color, keep, 0.0, away=True)


def _row_color(photo: np.ndarray, hair: np.ndarray, hanging: HangingHair, lines: np.ndarray) -> np.ndarray:
    """(L, 3) mean of the row's hair, smoothed along the rows; the whole hair's where a row shows none."""
    low = hair[hanging.first :]
    count = low.sum(1).astype(float)
    total = (photo[hanging.first :] * low[..., None]).sum(1).astype(float)
    overall = photo[hair].mean(0)
    sigma = 0.04 * photo.shape[0]
    weight = gaussian_filter1d(count, sigma) + 3.0
    color = (gaussian_filter1d(total, sigma, axis=0) + 3.0 * overall) / weight[:, None]
    return np.stack([_at(hanging, lines, color[:, c]) for c in range(3)], 1)


def _grid(
    fit: PortraitFit, uv: np.ndarray, depth: np.ndarray, color: np.ndarray, keep: np.ndarray, trust: float, *,
    away: bool,
) -> Cloud | None:  # fmt: skip
    """Splats on a grid of pixels (L, A, 2) at ``depth`` (L, A); their long axis runs along the columns, as strands."""
    camera = fit.camera
    keep = np.broadcast_to(keep, depth.shape)
    if keep.sum() < 20 or min(depth.shape) < 3:
        return None
    xy = (uv - camera.K[:2, 2]) / camera.K[[0, 1], [0, 1]] * (1.0 if camera.orthographic else depth[..., None])
    R, t = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
    point = (np.concatenate([xy, depth[..., None]], -1) - t) @ R
    down, across = np.gradient(point, axis=0), np.gradient(point, axis=1)
    normal = np.cross(across, down)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    toward = point - camera.position if not camera.orthographic else np.broadcast_to(R[2], point.shape)
    flip = np.sign((normal * toward).sum(-1, keepdims=True) + 1e-12) * (1.0 if away else -1.0)
    normal = normal * flip / np.maximum(length, 1e-12)
    size = [np.linalg.norm(a, axis=-1) for a in (down, across)]
    tangent = down / np.maximum(size[0][..., None], 1e-9)
    tangent -= normal * (normal * tangent).sum(-1, keepdims=True)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-9)
    usual = [float(np.median(a[keep])) for a in size]
    keep = keep & (size[0] < 3 * usual[0]) & (size[1] < 4 * usual[1])  # nothing across a jump of the outline
    if keep.sum() < 20:
        return None
    pick = lambda a: np.ascontiguousarray(a[keep])  # noqa: E731
    sigma = TANGENT_SIGMA * np.stack(
        [1.25 * size[0], 1.05 * np.minimum(size[1], 3 * size[0]), NORMAL_SIGMA * size[0]], -1
    )
    n = int(keep.sum())
    mean = pick(point)
    return Cloud(
        triangle=np.zeros(n, np.int32), bary=np.full((n, 3), 1 / 3, np.float32),
        part=np.full(n, PARTS.index("skin"), np.uint8), region=np.full(n, REGIONS.index("hair"), np.uint8),
        hair=np.ones(n), clothes=np.zeros(n), lid=np.zeros(n, bool), mean=mean, rest=mean.copy(), posed=mean.copy(),
        normal=pick(normal), posed_normal=pick(normal), tangent=pick(tangent), sigma=np.maximum(pick(sigma), 1e-5),
        color=np.clip(pick(color), 0, 1), confidence=np.full(n, trust), opacity_logit=np.full(n, OPACITY_LOGIT),
    )  # fmt: skip
