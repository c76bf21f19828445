"""Who stands in whose light: z-buffers of splats seen from the light, for cast shadows and for ambient occlusion."""

from __future__ import annotations

import numpy as np
from numba import njit

from ...parallel import kernel_array
from .light import sh_basis

SUN_MAP = 384
SKY_MAP = 160
SKY_DIRECTIONS = 48
BIAS, RAMP = 0.003, 0.004
"""Metres behind the nearest splat at which shadow begins, and over which it becomes full."""
VOLUME_RAMP = 0.016
"""The same for hair, which lets light through."""
OPAQUE = 0.3


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
    local = np.asarray(means, np.float32) @ axes.T
    low, high = local[:, :2].min(0), local[:, :2].max(0)
    pixel = float((high - low).max()) / (size - 8)
    local[:, :2] = (local[:, :2] - low) / pixel + 4
    local = kernel_array(local)
    nearest = np.full((size, size), np.inf, np.float32)
    _fill(local, kernel_array(radii / pixel), kernel_array(opacities), np.float32(OPAQUE), nearest)
    wanted = np.arange(len(local)) if targets is None else np.asarray(targets)
    taps = _taps(max(blur / pixel, 0.7))
    return _compare(local, kernel_array(wanted, np.int64), kernel_array(ramp), taps, np.float32(BIAS), nearest)


def sky_transfer(
    means: np.ndarray, normals: np.ndarray, radii: np.ndarray, opacities: np.ndarray, ramp: np.ndarray,
    targets: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Precomputed radiance transfer (Sloan et al. 2002): how each splat turns SH radiance into irradiance.

    Returns:
        (N or M, 2, 9) float32: ``transfer[:, 0] @ sh`` is the irradiance with everything else in the way,
        ``transfer[:, 1] @ sh`` without, both by the same quadrature so that their ratio is exact in the open.
    """
    wanted = np.arange(len(means)) if targets is None else np.asarray(targets)
    directions = sphere_directions(SKY_DIRECTIONS)
    basis = sh_basis(directions) * (4 * np.pi / SKY_DIRECTIONS)
    facing = np.maximum(normals[wanted] @ directions.T, 0).astype(np.float32)
    seen = np.empty_like(facing)
    for k, direction in enumerate(directions):
        seen[:, k] = visibility(means, radii, opacities, direction, ramp, size=SKY_MAP, targets=wanted)
    basis = basis.astype(np.float32)
    return np.stack([(facing * seen) @ basis, facing @ basis], 1)


def _taps(radius: float) -> np.ndarray:
    i = np.arange(12) + 0.5
    r, a = radius * np.sqrt(i / 12), 2.39996 * i
    return np.stack([r * np.cos(a), r * np.sin(a)], 1).astype(np.float32)


@njit(cache=True, nogil=True)
def _fill(local: np.ndarray, radii: np.ndarray, opacities: np.ndarray, opaque: float, nearest: np.ndarray) -> None:
    size = nearest.shape[0]
    for i in range(local.shape[0]):
        if opacities[i] < opaque:
            continue
        x, y, z, r = local[i, 0], local[i, 1], local[i, 2], min(radii[i], np.float32(6.0))
        x0, x1 = max(int(np.floor(x - r + 0.5)), 0), min(int(np.floor(x + r + 0.5)), size - 1)
        y0, y1 = max(int(np.floor(y - r + 0.5)), 0), min(int(np.floor(y + r + 0.5)), size - 1)
        for row in range(y0, y1 + 1):
            for column in range(x0, x1 + 1):
                if z < nearest[row, column]:
                    nearest[row, column] = z


@njit(cache=True, nogil=True)
def _compare(
    local: np.ndarray, wanted: np.ndarray, ramp: np.ndarray, taps: np.ndarray, bias: float, nearest: np.ndarray
) -> np.ndarray:
    size = nearest.shape[0]
    out = np.empty(wanted.shape[0], np.float32)
    for n in range(wanted.shape[0]):
        i = wanted[n]
        lit = np.float32(0.0)
        for t in range(taps.shape[0]):
            x = min(max(int(local[i, 0] + taps[t, 0]), 0), size - 1)
            y = min(max(int(local[i, 1] + taps[t, 1]), 0), size - 1)
            behind = (local[i, 2] - nearest[y, x] - bias) / ramp[i]
            lit += np.float32(1.0) - min(max(behind, np.float32(0.0)), np.float32(1.0))
        out[n] = lit / taps.shape[0]
    return out
