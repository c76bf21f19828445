"""How far hair or clothes reach beyond the head's mesh: the matte's outline against the mesh's, angle by angle."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from ...avatar.facing import vertex_normals
from ...portrait.types import PortraitFit
from .photo import View
from .surface import HeadSurface, smoothstep
from .votes import away

_ANGLES = 240
_SPLAT_REACH = 0.002  # splats are drawn beyond their centres


class Outline:
    """Thickness of hair or clothes from the matte: per image angle about ``centre`` on the outline, their median
    toward and away from the camera."""

    def __init__(
        self, fit: PortraitFit, surface: HeadSurface, mask: np.ndarray, posed: np.ndarray, worn: np.ndarray,
        centre: np.ndarray, limits: tuple[float, float],
    ) -> None:  # fmt: skip
        camera = fit.camera
        self._camera, self._surface, self._limits = camera, surface, limits
        self._mask, self._person = mask, fit.matte > 0.5
        self._outer = surface.skin & worn
        self._centre = camera.project(centre[None])[0]
        self._metres = (self._centre[2] if not camera.orthographic else 1.0) / camera.K[0, 0]
        self._bins, self._bald = self._polar(posed)
        facing = View.of(posed, surface.faces, camera).facing(posed, vertex_normals(posed, surface.faces))
        self._back = away(camera, posed, surface)
        self._rim = 1 - smoothstep(np.maximum(facing, self._back), 0.25, 0.75)
        self._spread = np.zeros(_ANGLES)

    def _polar(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(V,) angle bin and radius in pixels about the cranium's centre; angle 0 is up in the image."""
        delta = self._camera.project(points)[:, :2] - self._centre[:2]
        angle = np.arctan2(delta[:, 0], -delta[:, 1])
        bins = ((angle + np.pi) / (2 * np.pi) * _ANGLES).astype(int) % _ANGLES
        return bins, np.linalg.norm(delta, axis=1)

    def correct(self, points: np.ndarray) -> None:
        """Add what ``points`` (V, 3), the shell so far, still miss to the outline."""
        bins, radius = self._polar(points)
        reached, whole = np.zeros(_ANGLES), np.zeros(_ANGLES)
        np.maximum.at(reached, bins[self._outer], radius[self._outer])
        np.maximum.at(whole, bins[self._surface.skin], radius[self._surface.skin])
        outline = _outline(self._person, self._mask, self._centre[:2], reached)
        valid = (reached > 0.9 * whole) & (outline > 0)
        if valid.sum() < _ANGLES // 20:
            self._spread = np.maximum(self._spread, self._limits[0])
            return
        centres = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
        gap = ((outline - reached) * self._metres)[valid] - _SPLAT_REACH
        missing = np.interp(centres, centres[valid], gap, period=2 * np.pi)
        spread = self._spread + missing
        spread = gaussian_filter1d(median_filter(spread, 9, mode="wrap"), 2.0, mode="wrap")
        self._spread = np.clip(spread, *self._limits)

    def thickness(self) -> np.ndarray:
        """(V,) metres."""
        centres = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
        middle = float(np.median(self._spread[np.abs(centres) < np.radians(75)]))
        inner = np.where(self._back > 0, middle, 0.75 * middle)
        return self._rim * self._spread[self._bins] + (1 - self._rim) * inner


def _outline(person: np.ndarray, mask: np.ndarray, centre: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(_ANGLES,) pixels: how far the person reaches outward without a gap; 0 where it does not end in ``mask``."""
    angles = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
    direction = np.stack([np.sin(angles), -np.cos(angles)], 1)
    steps = np.arange(0, 0.7 * mask.shape[0], 0.5)
    radius = np.maximum(0.6 * start, 1)[:, None] + steps
    point = centre + radius[..., None] * direction[:, None]
    column = np.clip(point[..., 0], 0, mask.shape[1] - 1).astype(int)
    row = np.clip(point[..., 1], 0, mask.shape[0] - 1).astype(int)
    inside = (point[..., 0] >= 0) & (point[..., 1] >= 0)
    inside &= (point[..., 0] < mask.shape[1]) & (point[..., 1] < mask.shape[0])
    solid = person[row, column] & inside & (mask[row, column] | (radius < start[:, None]))
    last = np.maximum(np.cumprod(solid, axis=1).sum(1) - 1, 0)
    at = np.arange(_ANGLES)
    back = np.maximum(last - 4, 0)  # two pixels inside the edge, where the classes are sure
    ends = solid[:, 0] & mask[row[at, back], column[at, back]] & inside[at, np.minimum(last + 1, steps.size - 1)]
    return np.where(ends, radius[at, last], 0.0)
