"""Long hair below the shell, measured: a mass that goes around the neck, not a sheet beside it.

Row by row in the image, the hair's outline to the left and right and the back of the head give a horizontal cross
section: half an ellipse in front, from the bare head's rim to the outline, and half an ellipse around the nape behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_closing, gaussian_filter1d

from ...portrait.labels import LABEL_INDEX
from ...portrait.types import PortraitFit
from .classes import PixelClasses
from .photo import View, unit_scale
from .surface import CHIN, NOSE_TIP, HeadSurface

_BEHIND = 0.012  # metres of hair over the nape
_DRAPE = 0.45  # metres per metre: how fast hair falls inward from the back of the head
_LEAST = 0.035  # metres of hair below the nose, or it is not long
_EARS = 0.09  # squares as high as an ear: ears that take up more of the photo are not under hair
_BEHIND_EAR = 0.02  # metres behind the middle of the ear, where hair grows that does not fall over it


@dataclass(frozen=True)
class HangingHair:
    """Rows of the image from ``first`` on, each with one entry in (R,) or, left and right, (R, 2).

    Attributes:
        first: row of the nose's tip; the shell ends there beside the face. metres: per pixel.
        middle: column of the neck. reach: columns from there to the outline, 0 where no hair hangs.
        rim: columns to the bare head's rim. rim_depth: metres there.
        falls: (2,) bool, sides on which it is long. drapes: (2,) bool, on which it falls past the chin, and so over
            the ear and the edge of the cheek; shorter hair that shows beside a face grows behind the ear.
    """

    first: int
    metres: float
    middle: np.ndarray
    reach: np.ndarray
    rim: np.ndarray
    rim_depth: np.ndarray
    falls: np.ndarray
    drapes: np.ndarray

    def beside(self, pixels: np.ndarray, which: np.ndarray) -> np.ndarray:
        """(N,) bool: ``which`` (2,) of the side of the neck on which ``pixels`` (N, 2) are."""
        middle = np.interp(pixels[:, 1] - self.first, np.arange(self.middle.size), self.middle)
        return np.where(pixels[:, 0] < middle, *which)


def find_hanging(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, posed: np.ndarray
) -> HangingHair | None:
    """Measure hair that hangs beside the neck; None where there is none. ``posed`` (V, 3): the bare head."""
    view = View.of(posed, surface.faces, fit.camera)
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
        # Hair falls past the jaw to the shoulder, it does not go in to the neck.
        rim_depth[:, side] = gaussian_filter1d(np.interp(at, at[good], near[good]), 14 * scale)
    metres = (1.0 if fit.camera.orthographic else float(np.median(rim_depth))) / float(fit.camera.K[1, 1])
    long = ((reach > rim + 3 * scale) & (reach > 0)).sum(0) * metres
    falls = long >= _LEAST * surface.scale
    if not falls.any():
        return None
    ends = first + np.where(reach > 0, at[:, None], 0).max(0)
    drapes = falls & (ends >= fit.landmarks[CHIN, 1]) & (not _ears_show(fit, surface, posed))
    for side in np.flatnonzero(~drapes):
        ear = surface.ear & (posed[:, 0] < 0 if side == 0 else posed[:, 0] > 0)
        if ear.any():
            behind = np.median(posed[ear] @ fit.camera.viewmat[2, :3]) + fit.camera.viewmat[2, 3]
            rim_depth[:, side] = np.maximum(rim_depth[:, side], behind + _BEHIND_EAR * surface.scale)
    return HangingHair(first, metres, middle, reach, rim, rim_depth, falls, drapes)


def _ears_show(fit: PortraitFit, surface: HeadSurface, posed: np.ndarray) -> bool:
    if fit.parsing is None or not surface.ear.any():
        return False
    height = float(np.ptp(fit.camera.project(posed[surface.ear])[:, 1]))
    return bool((fit.parsing.argmax(0) == LABEL_INDEX["ears"]).sum() > _EARS * height**2)


def _whole(reach: np.ndarray, sigma: float) -> np.ndarray:
    """Gaps closed, the end rounded off, nothing beyond what was seen."""
    at, there = np.arange(reach.size), binary_closing(reach > 0, iterations=max(1, round(3 * sigma)))
    if (reach > 0).any():
        reach = np.where(there, np.interp(at, at[reach > 0], reach[reach > 0]), 0)
    seen = gaussian_filter1d((reach > 0).astype(float), sigma)
    mean = gaussian_filter1d(reach, sigma) / np.maximum(seen, 1e-6)
    return np.where(seen > 0.35, mean * np.clip((seen - 0.35) / 0.3, 0, 1) ** 0.5, 0)


def neck_back(
    fit: PortraitFit, surface: HeadSurface, posed: np.ndarray, outer: np.ndarray, hanging: HangingHair
) -> tuple[np.ndarray, np.ndarray]:
    """(R,) metres: depth of the neck's axis, and how far behind it hair lies: it falls inward from the head's back.

    ``posed``, ``outer`` (V, 3): the head as in the photo, bare and with its shell.
    """
    rows, metres = hanging.middle.size, hanging.metres
    shell, bare = (_far_rows(fit, surface, vertices[surface.skin], hanging) for vertices in (outer, posed))
    z = posed[surface.skin] @ fit.camera.viewmat[2, :3] + fit.camera.viewmat[2, 3]
    ear = np.abs(posed[surface.skin][:, 2] - surface.ear_z) < 0.01 * surface.scale
    axis = np.full(rows, float(np.median(z[ear] if ear.any() else z)))
    nape = np.maximum(shell, bare + _BEHIND * surface.scale) - axis
    hair = np.zeros(rows)
    for i in range(rows):
        hair[i] = max(nape[i], hair[i - 1] - _DRAPE * metres) if i else nape[i]
    return axis, np.maximum(gaussian_filter1d(hair, 4), 0.02 * surface.scale)


def _far_rows(fit: PortraitFit, surface: HeadSurface, skin: np.ndarray, hanging: HangingHair) -> np.ndarray:
    """(R,) metres: the farthest of the vertices ``skin`` (N, 3) near the middle of each row."""
    rows = hanging.middle.size
    seen = fit.camera.project(skin)
    z = skin @ fit.camera.viewmat[2, :3] + fit.camera.viewmat[2, 3]
    row = np.clip(np.round(seen[:, 1]).astype(int) - hanging.first, -1, rows)
    inner = np.abs(seen[:, 0] - np.median(seen[:, 0])) < 0.05 * surface.scale / hanging.metres
    far = np.full(rows + 2, -np.inf)
    np.maximum.at(far, row[inner] + 1, z[inner])
    known = np.isfinite(far[1:-1])
    at = np.arange(rows)
    return np.interp(at, at[known], far[1:-1][known]) if known.any() else np.full(rows, float(z.max()))
