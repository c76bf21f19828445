"""The sRGB transfer function, numpy. Formula: IEC 61966-2-1."""

from __future__ import annotations

import numpy as np


def srgb_to_linear(encoded: np.ndarray) -> np.ndarray:
    """sRGB-encoded values to linear, float32, any shape; negative values are mirrored, values over 1 extended."""
    x = np.asarray(encoded, np.float32)
    a = np.abs(x)
    out = a + np.float32(0.055)
    out *= np.float32(1 / 1.055)
    np.power(out, np.float32(2.4), out=out)
    np.multiply(a, np.float32(1 / 12.92), out=out, where=a <= np.float32(0.04045))
    return np.copysign(out, x, out=out)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Inverse of :func:`srgb_to_linear`."""
    x = np.asarray(linear, np.float32)
    a = np.abs(x)
    out = np.where(a <= 0.0031308, a * 12.92, 1.055 * a ** np.float32(1 / 2.4) - 0.055)
    return np.copysign(out, x).astype(np.float32, copy=False)
