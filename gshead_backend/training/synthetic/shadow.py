"""Who stands in whose light: z-buffers of splats seen from the light, for cast shadows and for ambient occlusion."""

from __future__ import annotations

import numpy as np
from numba import njit

from ...parallel import kernel_array
from .light import sh_basis

SUN_MAP = 384
SKY_MAP = 160
SKY_DIRECTIONS = 48
SKY_BLUR = 0.008  # metres: single strands must not leave blotches on a cheek
BIAS, RAMP = 0.003, 0.004
"""Metres behind the nearest splat at which shadow begins, and over which it becomes full."""
SLANT = 1.5  # times its own radius: the map knows discs, and a large one that slants must not shade its neighbours
VOLUME_RAMP = 0.016
"""The same for hair, which lets light through."""
OPAQUE = 0.3
TAPS, FEW_TAPS = 14, 7
"""Comparisons a splat for a sun with a penumbra, and for each direction of the sky."""


def sphere_directions(count: int) -> np.ndarray:
    """(count, 3) unit vectors spread evenly (Fibonacci lattice)."""
    i = np.arange(count) + 0.5
    y, a = 1 - 2 * i / count, np.pi * (1 + np.sqrt(5)) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(a), y, r * np.sin(a)], 1)


def visibility(
    means: np.ndarray, radii: np.ndarray, opacities: np.ndarray, direction: np.ndarray, ramp: np.ndarray, *,
    size: int = SUN_MAP, blur: float = 0.0, targets: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Share of a distant light that reaches each splat.

    Args:
        means: (N, 3) metres. radii: (N,) metres that a splat covers. opacities: (N,); faint splats cast no shadow.
        direction: (3,) unit, toward the light. ramp: (N,) metres over which shadow becomes full.
        size: pixels of the shadow map. blur: metres, radius of the penumbra.
        targets: (M,) indices of the splats asked about; all when None.
    Returns:
        (N,) or (M,) float32 0..1.
    """
    d = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    side = np.cross(d, [0.0, 1.0, 0.0] if abs(d[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(d, side), -d]).astype(np.float32)  # third: depth away from the light
    points = kernel_array(means)
    low, high = _bounds(points, axes)
    pixel = float((high - low).max()) / (size - 8)
    local = np.empty_like(points)
    nearest = np.full((size, size), np.inf, np.float32)
    _fill(points, axes, low, pixel, kernel_array(radii), kernel_array(opacities), OPAQUE, local, nearest)
    wanted = np.arange(len(local)) if targets is None else np.asarray(targets)
    taps = _taps(max(blur / pixel, 0.7), TAPS if size >= SUN_MAP else FEW_TAPS)
    bias = BIAS + SLANT * kernel_array(radii)
    return _compare(local, kernel_array(wanted, np.int64), kernel_array(ramp), taps, bias, nearest)


def sky_transfer(
    means: np.ndarray, radii: np.ndarray, opacities: np.ndarray, normals: np.ndarray, ramp: np.ndarray,
    targets: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Precomputed radiance transfer (Sloan et al. 2002): how ``targets`` (M,) turn SH radiance into irradiance.

    Args: as of :func:`visibility`; normals: (N, 3) of the splats that ``targets`` index.

    Returns:
        (M, 2, 9) float32: ``transfer[:, 0] @ sh`` is the irradiance with everything else in the way,
        ``transfer[:, 1] @ sh`` without, both by the same quadrature so that their ratio is exact in the open.
    """
    wanted = np.asarray(targets)
    directions = sphere_directions(SKY_DIRECTIONS)
    basis = sh_basis(directions) * (4 * np.pi / SKY_DIRECTIONS)
    facing = np.maximum(normals[wanted] @ directions.T, 0).astype(np.float32)
    seen = np.empty_like(facing)
    for k, direction in enumerate(directions):
        seen[:, k] = visibility(means, radii, opacities, direction, ramp, size=SKY_MAP, blur=SKY_BLUR, targets=wanted)
    basis = basis.astype(np.float32)
    return np.stack([(facing * seen) @ basis, facing @ basis], 1)


def _taps(radius: float, count: int) -> np.ndarray:
    i = np.arange(count) + 0.5
    r, a = radius * np.sqrt(i / count), 2.39996 * i
    return np.stack([r * np.cos(a), r * np.sin(a)], 1).astype(np.float32)


@njit(cache=True, nogil=True)
def _bounds(points: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2,) lowest and highest coordinates across the light's direction."""
    low, high = np.full(2, np.inf, np.float32), np.full(2, -np.inf, np.float32)
    for i in range(points.shape[0]):
        for k in range(2):
            value = axes[k, 0] * points[i, 0] + axes[k, 1] * points[i, 1] + axes[k, 2] * points[i, 2]
            low[k] = min(low[k], value)
            high[k] = max(high[k], value)
    return low, high


@njit(cache=True, nogil=True)
def _fill(
    points: np.ndarray, axes: np.ndarray, low: np.ndarray, pixel: float, radii: np.ndarray, opacities: np.ndarray,
    opaque: float, local: np.ndarray, nearest: np.ndarray,
) -> None:  # fmt: skip
    """``local`` becomes pixel x, pixel y, metres away from the light; ``nearest`` the least of these per pixel."""
    size = nearest.shape[0]
    for i in range(points.shape[0]):
        px, py, pz = points[i, 0], points[i, 1], points[i, 2]
        x = (axes[0, 0] * px + axes[0, 1] * py + axes[0, 2] * pz - low[0]) / pixel + 4
        y = (axes[1, 0] * px + axes[1, 1] * py + axes[1, 2] * pz - low[1]) / pixel + 4
        z = np.float32(axes[2, 0] * px + axes[2, 1] * py + axes[2, 2] * pz)
        local[i, 0], local[i, 1], local[i, 2] = x, y, z
        if opacities[i] < opaque:
            continue
        r = min(radii[i] / pixel, 6.0)
        x0, x1 = max(int(x - r + 0.5), 0), min(int(x + r + 0.5), size - 1)
        y0, y1 = max(int(y - r + 0.5), 0), min(int(y + r + 0.5), size - 1)
        for row in range(y0, y1 + 1):
            for column in range(x0, x1 + 1):
                if z < nearest[row, column]:
                    nearest[row, column] = z


@njit(cache=True, nogil=True)
def _compare(
    local: np.ndarray, wanted: np.ndarray, ramp: np.ndarray, taps: np.ndarray, bias: np.ndarray, nearest: np.ndarray
) -> np.ndarray:
    size = nearest.shape[0]
    out = np.empty(wanted.shape[0], np.float32)
    for n in range(wanted.shape[0]):
        i = wanted[n]
        lit = 0.0
        for t in range(taps.shape[0]):
            x = min(max(int(local[i, 0] + taps[t, 0]), 0), size - 1)
            y = min(max(int(local[i, 1] + taps[t, 1]), 0), size - 1)
            behind = (local[i, 2] - nearest[y, x] - bias[i]) / ramp[i]
            lit += 1.0 - min(max(behind, 0.0), 1.0)
        out[n] = lit / taps.shape[0]
    return out
