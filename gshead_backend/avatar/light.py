"""Light as nine spherical harmonics per colour, and what it gives to a surface.

Order-2 irradiance after Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment Maps"
(SIGGRAPH 2001). A light is (9, 3): linear Rec.709 radiance in head space, in the order 1, y, z, x, xy, yz, 3z²-1, xz,
x²-y². Irradiance pi shows a white surface as white: its radiance is albedo * irradiance / pi.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ArgumentError

BAND = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2])
COSINE = np.array([np.pi, 2 * np.pi / 3, np.pi / 4])[BAND]
"""The clamped cosine's factor per band (Ramamoorthi & Hanrahan 2001, eq. 9)."""
CONSTANTS = (0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274)
LUMA = np.array([0.2126, 0.7152, 0.0722])
LARGEST = 1e6
"""Largest magnitude of a coefficient of a light that is taken from elsewhere."""
_ENOUGH = 200  # splats or pixels that tell a light; of fewer it counts as even


def sh_basis(d: np.ndarray) -> np.ndarray:
    """(n, 3) unit vectors to (n, 9) real spherical harmonics: order 1, y, z, x, xy, yz, 3z²-1, xz, x²-y²."""
    x, y, z = np.moveaxis(np.asarray(d), -1, 0)
    shapes = [np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    return np.stack([c * shape for c, shape in zip(CONSTANTS, shapes, strict=True)], -1)


def irradiance(sh: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(n, 3) irradiance from SH radiance (9, 3); a sky of constant radiance 1 gives pi."""
    return np.maximum(sh_basis(normals) @ (COSINE[:, None] * sh), 0)


def project(directions: np.ndarray, irradiances: np.ndarray) -> np.ndarray:
    """(9, 3) SH radiance of small sources.

    Args:
        directions: (n, 3) unit vectors toward them. irradiances: (n, 3) of each, on a surface that faces it.
    """
    return sh_basis(np.asarray(directions, np.float64)).T @ np.asarray(irradiances, np.float64)


def even_light(radiance: ArrayLike = 1.0) -> np.ndarray:
    """(9, 3) SH of the same radiance, a number or (3,), from everywhere."""
    sh = np.zeros((9, 3))
    sh[0] = np.sqrt(4 * np.pi) * np.asarray(radiance, np.float64)
    return sh


def lamp(
    yaw: float, pitch: float, *, soft: float = 0.35, color: tuple[float, float, float] = (1.0, 1.0, 1.0),
    power: float = 1.0,
) -> np.ndarray:  # fmt: skip
    """(9, 3) SH radiance of one distant lamp and an even light around, of the lamp's colour.

    Args:
        yaw, pitch: degrees; yaw 0 is in front and grows toward the person's left, pitch upward.
        soft: 0 lamp alone .. 1 even light alone. color: linear RGB of the lamp.
        power: 1 shows a white surface that faces the lamp as just white.
    Raises ``ArgumentError`` when ``soft`` is outside 0..1, or power or colour are negative or not finite.
    """
    if not 0 <= soft <= 1:
        raise ArgumentError(f"The share of even light lies in 0..1, not {soft}.")
    strength = power * np.asarray(color, np.float64)
    if not (np.isfinite(strength).all() and (strength >= 0).all() and strength.max() <= LARGEST / 100):
        raise ArgumentError(f"A lamp's power and color are 0 or more, not {power} and {color}.")
    a, b = np.radians(yaw), np.radians(pitch)
    toward = np.array([[np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)]])
    return (1 - soft) * project(toward, np.pi * strength[None]) + soft * even_light(strength)


def checked_light(values: object, what: str = "A light") -> np.ndarray:
    """(9, 3) float64 from 27 numbers in any shape; raises ``ArgumentError`` when they are not, not finite or huge."""
    light = np.asarray(values, np.float64)
    if light.size != 27 or not np.isfinite(light).all() or np.abs(light).max() > LARGEST:
        raise ArgumentError(f"{what} is 27 finite numbers up to {LARGEST:g}: nine harmonics of red, green and blue.")
    return light.reshape(9, 3)


def polynomials(normals: np.ndarray) -> np.ndarray:
    """(N, 9) the harmonics of unit vectors without their constants: 1, x, y, z, xy, yz, xz, x²-y², 3z²-1."""
    x, y, z = normals[:, 0], normals[:, 1], normals[:, 2]
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], 1)


def fit_shading(normals: np.ndarray, brightness: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(9,) coefficients of ``polynomials``: how bright skin of one albedo looks, 1 on average over the evidence.

    Uniform without enough evidence.

    Args:
        normals: (N, 3). brightness: (N,) linear. weight: (N,) 0..1; below 0.05 is left out.
    """
    uniform = np.zeros(9)
    uniform[0] = 1.0
    use = weight > 0.05
    if use.sum() < _ENOUGH:
        return uniform
    y = brightness[use] / max(float(np.median(brightness[use])), 1e-4)
    B, w = polynomials(normals[use]), weight[use].copy()
    ridge = np.diag([1e-6, 0.02, 0.02, 0.02, 0.08, 0.08, 0.08, 0.08, 0.08]) * w.sum()
    x = uniform
    for _ in range(4):
        A = B.T @ (w[:, None] * B) + ridge
        x = np.linalg.solve(A, B.T @ (w * y) + ridge @ uniform)
        residual = y - B @ x
        w = weight[use] / (1 + (residual / 0.2) ** 2)  # brows, lips and highlights are outliers
    return x


def shading_light(coefficients: np.ndarray) -> np.ndarray:
    """(9, 3) grey SH radiance whose irradiance is pi times that shading (``fit_shading``)."""
    one, x, y, z, xy, yz, xz, xx_yy, zz = coefficients
    ours = np.array([one, y, z, x, xy, yz, zz, xz, xx_yy])
    return np.repeat((np.pi * ours / (COSINE * CONSTANTS))[:, None], 3, 1)
