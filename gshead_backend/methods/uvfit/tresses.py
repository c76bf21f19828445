"""Splats of long hair: what lies on cheeks, neck and chest, what hangs beside them, and what is behind the neck."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates

from ...portrait.types import PortraitFit
from .classes import PixelClasses
from .cloud import NORMAL_SIGMA, TANGENT_SIGMA, Cloud
from .hanging import HangingHair, neck_back
from .photo import View, sample
from .shell import Shell
from .strands import detail_table
from .surface import HeadSurface, smoothstep
from .zbuffer import far_depth_map

_STREAKS, _STREAK_GAIN = 70, 0.5
_LIFT = (0.001, 0.006)  # metres above the skin: at the hair's inner edge, farther in
_EDGE = 0.012  # metres of hair until it is as thick as that
_RIM = 0.004  # metres inside the head's rim, where a pixel off is much of a cheek: hair there hangs beside it
_OVERLAP = 0.012  # metres that it reaches up under the shell
_TURNS = 0.1  # metres below the shell until hair behind the neck has the colours of that in front
_UNDER = 0.002  # metres under the shell there


def hanging_splats(
    fit: PortraitFit, surface: HeadSurface, photo: np.ndarray, classes: PixelClasses, hanging: HangingHair,
    shell: Shell, unseen: np.ndarray, posed: np.ndarray, view: View, count: int, seed: int,
) -> Cloud | None:  # fmt: skip
    """About ``count`` splats, unbound (triangle 0). Pixels: the front's colours are the photo's.

    Args:
        unseen: (3,) colour of the shell's hair behind. posed: (V, 3) the bare head as in the photo. view: of it with
            the shell.
    """
    tresses = _Tresses(fit, surface, photo, classes, hanging, shell, posed, view, count)
    found = [
        tresses.front(0),
        tresses.front(1),
        tresses.on_skin(),
        tresses.rear(unseen, np.random.default_rng(seed + 11)),
    ]
    out: Cloud | None = None
    for part in found:
        if part is not None:
            out = part if out is None else out.join(part)
    return out


def hanging_pixels(fit: PortraitFit, classes: PixelClasses, hanging: HangingHair) -> float:
    """How many pixels of surface it has."""
    below = np.arange(fit.matte.shape[0])[:, None] >= hanging.first
    return 1.3 * float(hanging.reach.sum()) + 0.5 * float(((classes.hair > 0.5) & (fit.matte > 0.5) & below).sum())


class _Tresses:
    def __init__(
        self, fit: PortraitFit, surface: HeadSurface, photo: np.ndarray, classes: PixelClasses, hanging: HangingHair,
        shell: Shell, posed: np.ndarray, view: View, count: int,
    ) -> None:  # fmt: skip
        self._fit, self._photo, self._classes, self._hanging = fit, photo, classes, hanging
        self._matte = np.ascontiguousarray(fit.matte, np.float32)
        outer = posed + shell.displacement
        self._axis, self._behind = neck_back(fit, surface, posed, outer, hanging)
        self._step = max(np.sqrt(2.0 * hanging_pixels(fit, classes, hanging) / max(count, 1)), 0.7)  # pixels
        self._rim = _RIM * surface.scale / hanging.metres
        self._overlap = _OVERLAP * surface.scale / hanging.metres
        self._lines = np.arange(0.5 - self._overlap, hanging.middle.size, 0.87 * self._step)
        self._scale = surface.scale
        is_hair = shell.hair[surface.faces].mean(1) > 0.4
        seen = is_hair[view.triangle] & (view.triangle >= 0)
        depth = cv2.distanceTransform(seen.astype(np.uint8), cv2.DIST_L2, 3)
        self._shell = depth.astype(np.float32)  # pixels from the shell's edge inward
        self._near = np.where(np.isfinite(view.depth), view.depth, 1e3).astype(np.float32)
        far, triangle = far_depth_map(outer, surface.faces, fit.camera)
        self._shell_behind = np.where(is_hair[triangle] & (triangle >= 0), far, np.inf)

    def _at(self, field: np.ndarray) -> np.ndarray:
        return np.interp(self._lines, np.arange(self._hanging.middle.size), field)[:, None]

    def _pixels(self, column: np.ndarray) -> np.ndarray:
        return np.stack([column, np.broadcast_to(self._lines[:, None] + self._hanging.first, column.shape)], -1)

    def _look(self, image: np.ndarray, uv: np.ndarray) -> np.ndarray:
        return sample(image, uv.reshape(-1, 2)).reshape(*uv.shape[:2], *image.shape[2:])

    def _nearest(self, image: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """Without blending across the image's edges."""
        row = np.clip(uv[..., 1], 0, image.shape[0] - 1).astype(int)
        return image[row, np.clip(uv[..., 0], 0, image.shape[1] - 1).astype(int)]

    def _shown(self, uv: np.ndarray) -> np.ndarray:
        """Hair in the photo, and not far under the shell."""
        hair = (self._look(self._classes.hair, uv) > 0.4) & (self._look(self._matte, uv) > 0.5)
        return hair & (self._nearest(self._shell, uv) < self._overlap)

    def front(self, side: int) -> Cloud | None:
        """What hangs beside the neck, as seen from the front: from the bare head's rim to the outline."""
        hanging = self._hanging
        reach, rim, near = (self._at(f[:, side]) for f in (hanging.reach, hanging.rim, hanging.rim_depth))
        axis, middle = self._at(self._axis), self._at(hanging.middle)
        beside = reach > rim + 1
        rim = np.minimum(rim - self._rim, 0.97 * np.maximum(reach, 1))
        near = near - _LIFT[1] * self._scale
        start = np.arcsin(np.clip(rim / np.maximum(reach, 1), 0, 0.97))
        across = int(np.ceil(float((reach * (np.pi / 2 - start)).max()) / self._step)) + 2
        angle = start + (np.pi / 2 - start) * np.linspace(-0.04, 1, across)
        u = np.sin(angle)
        depth = axis + (near - axis) * np.sqrt(np.maximum(1 - u**2, 0) / np.maximum(1 - np.sin(start) ** 2, 1e-3))
        uv = self._pixels(middle + (-1.0 if side == 0 else 1.0) * reach * u)
        under = self._nearest(self._shell, uv) > 0
        depth = np.where(under, np.maximum(depth, self._nearest(self._near, uv) + _UNDER), depth)
        color = self._look(self._photo, uv).astype(np.float64)
        return _grid(self._fit, uv, depth, color, self._shown(uv) & beside, 0.8, away=False)

    def on_skin(self) -> Cloud | None:
        """What lies on cheeks, neck, shoulders and chest."""
        width = self._fit.camera.width
        column = np.broadcast_to(
            np.arange(0.5, width, self._step), (self._lines.size, int(np.ceil((width - 0.5) / self._step)))
        )
        uv = self._pixels(column)
        hair = ((self._classes.hair > 0.5) & (self._fit.matte > 0.5)).astype(np.uint8)
        inward = cv2.distanceTransform(hair, cv2.DIST_L2, 3) * self._hanging.metres / self._scale
        lift = self._scale * (_LIFT[0] + (_LIFT[1] - _LIFT[0]) * smoothstep(self._look(inward, uv), 0, _EDGE))
        near = self._nearest(self._near, uv)
        inside = cv2.distanceTransform((self._near < 1e2).astype(np.uint8), cv2.DIST_L2, 3)
        covered = self._nearest(inside, uv) > self._rim
        under = self._nearest(self._shell, uv) > 0
        depth = np.where(under, near + _UNDER, near - lift)
        side = self._hanging.beside(uv.reshape(-1, 2), self._hanging.falls).reshape(covered.shape)
        color = self._look(self._photo, uv).astype(np.float64)
        return _grid(self._fit, uv, depth, color, covered & side & self._shown(uv), 0.8, away=False)

    def rear(self, unseen: np.ndarray, rng: np.random.Generator) -> Cloud | None:
        """What no photo shows: hair behind the neck, first ``unseen`` in colour, then as the hair of its row."""
        hanging, photo = self._hanging, self._photo
        left, right, axis, behind, middle = (
            self._at(f) for f in (hanging.reach[:, 0], hanging.reach[:, 1], self._axis, self._behind, hanging.middle)
        )
        wide = np.maximum(left, right)
        across = int(np.ceil(float((wide + behind / hanging.metres).max()) * np.pi / 2 / self._step)) + 2
        angle = np.linspace(-np.pi / 2, np.pi / 2, across)[None]
        u = np.sin(angle)
        reach = np.where(u < 0, left, right)
        depth = axis + behind * np.cos(angle) ** 0.8
        uv = self._pixels(middle + reach * u)
        shell = self._nearest(self._shell_behind, uv)
        free = smoothstep(self._lines[:, None] / self._overlap, 0.0, 3.0)  # it comes out from under the shell
        inside = np.minimum(shell - _UNDER, depth)
        depth = free * depth + (1 - free) * inside
        keep = reach > 1
        hair = (self._classes.hair > 0.7) & (self._fit.matte > 0.9)
        if hair.sum() < 200:
            return None
        table = detail_table(photo, hair)
        noise = rng.normal(size=(4, _STREAKS))
        v = np.linspace(0, 3, self._lines.size)[:, None] * np.ones_like(u)
        level = map_coordinates(
            noise, [v, (angle / np.pi + 0.5) * (_STREAKS - 1) * np.ones_like(v)], order=3, mode="nearest"
        )
        rank = 0.5 + 0.5 * np.tanh(_STREAK_GAIN * level)
        ratio = np.interp(rank * (table.size - 1), np.arange(table.size), table)
        lower = smoothstep(self._lines[:, None] * hanging.metres / self._scale, 0.0, _TURNS)[..., None]
        color = ((1 - lower) * unseen + lower * self._row_color(hair)[:, None]) * ratio[..., None]
        return _grid(self._fit, uv, depth, color, keep, 0.0, away=True)

    def _row_color(self, hair: np.ndarray) -> np.ndarray:
        """(L, 3) mean of the row's hair, smoothed along the rows; the whole hair's where a row shows none."""
        low, photo = hair[self._hanging.first :], self._photo
        count = low.sum(1).astype(float)
        total = (photo[self._hanging.first :] * low[..., None]).sum(1).astype(float)
        overall = photo[hair].mean(0)
        sigma = 0.04 * photo.shape[0]
        weight = gaussian_filter1d(count, sigma) + 3.0
        color = (gaussian_filter1d(total, sigma, axis=0) + 3.0 * overall) / weight[:, None]
        return np.concatenate([self._at(color[:, c]) for c in range(3)], 1)


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
    size[0] = np.minimum(size[0], 1.5 * usual[0])  # where the outline jumps, long ones would stick out of it
    sigma = TANGENT_SIGMA * np.stack(
        [1.25 * size[0], 1.05 * np.minimum(size[1], 3 * size[0]), NORMAL_SIGMA * size[0]], -1
    )
    return Cloud.loose("hair", pick(point), pick(normal), pick(tangent), pick(sigma), pick(color), trust)
