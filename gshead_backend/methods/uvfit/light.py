"""The photo's light as nine spherical-harmonic coefficients of brightness, so that colours can be moved between sides.

Order-2 irradiance after Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment Maps"
(SIGGRAPH 2001); here one brightness channel is fitted to the visible skin under a constant albedo.
"""

from __future__ import annotations

import numpy as np

from ...avatar.light import LUMA, fit_shading, polynomials

_RANGE = (0.45, 1.6)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB-encoded 0..1 to linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB-encoded, clipped to 0..1."""
    x = np.clip(linear, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def fit_light(normals: np.ndarray, srgb: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(9,) coefficients; ``shading`` is 1 on average over the evidence. Uniform light without enough evidence."""
    return fit_shading(normals, to_linear(srgb) @ LUMA, weight)


def shading(coefficients: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N,) brightness relative to the average, kept within plausible bounds."""
    return np.clip(polynomials(normals) @ coefficients, *_RANGE)


def relight(srgb: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Colours seen under shading ``before`` as they look under ``after``, both (N,)."""
    return to_srgb(to_linear(srgb) * (after / before)[:, None])
