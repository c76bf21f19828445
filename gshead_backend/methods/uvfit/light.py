"""The photo's light as nine spherical-harmonic coefficients of brightness, so that colours can be moved between sides.

Order-2 irradiance after Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment Maps"
(SIGGRAPH 2001); here one brightness channel is fitted to the visible skin under a constant albedo.
"""

from __future__ import annotations

import numpy as np

_RANGE = (0.45, 1.6)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB-encoded 0..1 to linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB-encoded, clipped to 0..1."""
    x = np.clip(linear, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def basis(normals: np.ndarray) -> np.ndarray:
    """(N, 9) real spherical harmonics without their constants."""
    x, y, z = normals[:, 0], normals[:, 1], normals[:, 2]
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], 1)


def fit_light(normals: np.ndarray, srgb: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(9,) coefficients; ``shading`` is 1 on average over the evidence. Uniform light without enough evidence."""
    uniform = np.zeros(9)
    uniform[0] = 1.0
    use = weight > 0.05
    if use.sum() < 200:
        return uniform
    brightness = to_linear(srgb[use]) @ np.array([0.2126, 0.7152, 0.0722])
    y = brightness / max(float(np.median(brightness)), 1e-4)
    B, w = basis(normals[use]), weight[use].copy()
    ridge = np.diag([1e-6, 0.02, 0.02, 0.02, 0.08, 0.08, 0.08, 0.08, 0.08]) * w.sum()
    x = uniform
    for _ in range(4):
        A = B.T @ (w[:, None] * B) + ridge
        x = np.linalg.solve(A, B.T @ (w * y) + ridge @ uniform)
        residual = y - B @ x
        w = weight[use] / (1 + (residual / 0.2) ** 2)  # brows, lips and highlights are outliers
    return x


def shading(coefficients: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N,) brightness relative to the average, kept within plausible bounds."""
    return np.clip(basis(normals) @ coefficients, *_RANGE)


def relight(srgb: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Colours seen under shading ``before`` as they look under ``after``, both (N,)."""
    return to_srgb(to_linear(srgb) * (after / before)[:, None])
