"""Smoothing of expression and motion in time, without lag. Only numpy."""

from __future__ import annotations

import numpy as np

from .arkit import ARKIT_NAMES

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
    Symmetric in time, so nothing is late. The first and last half window take the polynomial of the outermost one."""
    window = 2 * round(seconds * fps / 2) + 1
    window = min(window, len(values) if len(values) % 2 else len(values) - 1)
    if window <= order + 1:
        return values.copy()
    half = window // 2
    powers = np.linspace(-1, 1, window)[:, None] ** np.arange(order + 1)
    fit = powers @ np.linalg.pinv(powers)  # (window, window): samples to their polynomial's values
    out = np.empty(values.shape, np.float64)
    out[:half] = fit[:half] @ values[:window]
    out[len(values) - half :] = fit[half + 1 :] @ values[-window:]
    middle = np.zeros((len(values) - 2 * half, values.shape[1]))
    for k, weight in enumerate(fit[half]):
        middle += weight * values[k : k + len(middle)]
    out[half : len(values) - half] = middle
    return out
