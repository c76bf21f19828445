"""The photo's light as nine spherical-harmonic coefficients a channel, so that colours can be moved between sides.

Order-2 irradiance after Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment Maps"
(SIGGRAPH 2001), fitted to the visible skin under a constant albedo. A shadow's own colour counts: on skin it is redder.
"""

from __future__ import annotations

import numpy as np

from ...avatar.light import LUMA, fit_shading, polynomials

_RANGE = (0.45, 1.6)
_TINT = (0.7, 1.3)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB-encoded 0..1 to linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB-encoded, clipped to 0..1."""
    x = np.clip(linear, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def fit_light(normals: np.ndarray, srgb: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(9, 3) coefficients; ``shading`` is 1 on average over the evidence. Uniform light without enough evidence."""
    linear = to_linear(srgb)
    return np.stack([fit_shading(normals, linear[:, c], weight) for c in range(3)], 1)


def shading(coefficients: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N, 3) light relative to the average, kept within plausible bounds of brightness and colour."""
    light = np.maximum(polynomials(normals) @ coefficients, 0.05)
    brightness = (light @ LUMA)[:, None]
    return np.clip(brightness, *_RANGE) * np.clip(light / brightness, *_TINT)


def relight(srgb: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Colours seen under shading ``before`` as they look under ``after``, both (N, 3)."""
    return to_srgb(to_linear(srgb) * (after / before))
