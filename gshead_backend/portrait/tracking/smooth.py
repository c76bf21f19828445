"""Smoothing in time without lag, and frames without a face."""

from __future__ import annotations

import numpy as np
from scipy.signal import savgol_filter

from ...head.arkit import ARKIT_NAMES

SUDDEN = ("eyeBlink",)
"""Shut within a frame or two: left as they were seen."""
QUICK = ("eyeLook", "mouthClose", "mouthPress", "mouthRoll", "jawOpen", "mouthPucker", "mouthFunnel")
"""Eyes and lips close and open again within three frames: their filter keeps such peaks."""
QUICK_SECONDS, SLOW_SECONDS, HEAD_SECONDS = 0.2, 0.36, 0.44
_QUICK = np.array([name.startswith(QUICK) for name in ARKIT_NAMES])
_SLOW = ~_QUICK & ~np.array([name.startswith(SUDDEN) for name in ARKIT_NAMES])


def smooth_channels(values: np.ndarray, fps: float, strength: float) -> np.ndarray:
    """(F, 52) ARKit weights, by cubic polynomials over short windows (Savitzky and Golay 1964) that keep peaks."""
    out = values.copy()
    out[:, _QUICK] = smoothed(values[:, _QUICK], fps, QUICK_SECONDS * strength)
    out[:, _SLOW] = smoothed(values[:, _SLOW], fps, SLOW_SECONDS * strength)
    return np.clip(out, 0, 1)


def smoothed(values: np.ndarray, fps: float, seconds: float, order: int = 3) -> np.ndarray:
    """(F, C) filtered over windows of so many seconds; as they were where a window holds no more than ``order`` frames.
    Symmetric in time, so nothing is late."""
    window = 2 * round(seconds * fps / 2) + 1
    window = min(window, len(values) if len(values) % 2 else len(values) - 1)
    if window <= order + 1:
        return values.copy()
    return np.asarray(savgol_filter(values, window, order, axis=0))


def filled(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(F, ...) with rows that were not found taken from a straight line between their neighbours; ends hold."""
    at, good = np.arange(len(values)), np.flatnonzero(found)
    flat = values.reshape(len(values), -1)
    return np.stack([np.interp(at, good, column[good]) for column in flat.T], 1).reshape(values.shape)


def gaps(found: np.ndarray) -> list[tuple[int, int]]:
    """First and last row of every run of rows that were not found."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~found, [0]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
