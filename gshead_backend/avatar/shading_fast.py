"""``shading.lit`` with numba, on all cores. Loads numba, so it is no part of the light room; a test compares both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit, prange

from ..parallel import NUMBA_LOCK, kernel_array
from ..srgb import linear_to_srgb, srgb_to_linear
from .shading import BRIGHTEST, BRIGHTEST_CODE, EVEN, GLOW, Shading, harmonics
from .types import Splats

BINS = 4096
# Decoding over 0..BRIGHTEST_CODE, encoding over the square root of linear, where it is nearly straight, up to
# BRIGHTEST: between two places neither bends by more than 2e-5.
_CODES = np.linspace(0, BRIGHTEST_CODE, BINS + 1, dtype=np.float32)
_ROOTS = np.linspace(0, np.sqrt(BRIGHTEST), BINS + 1, dtype=np.float32)
_DECODE = np.append(srgb_to_linear(_CODES), np.float32(0)).astype(np.float32)
_ENCODE = np.append(linear_to_srgb(_ROOTS.astype(np.float64) ** 2), np.float32(0)).astype(np.float32)
# Handed to the kernel: numba's cache on the disk would keep the values of globals that another module defines.
_NUMBERS = np.array([EVEN, BRIGHTEST_CODE, BINS / BRIGHTEST_CODE, BRIGHTEST, BINS / np.sqrt(BRIGHTEST)], np.float32)
_NO_SHADOW = np.empty((0, 3), np.float32)
_ZERO, _ONE, _TWO, _THREE = np.float32(0), np.float32(1), np.float32(2), np.float32(3)


def lit_fast(
    splats: Splats, shading: Shading, light: np.ndarray | None, strength: float = 1.0, shadow: np.ndarray | None = None
) -> Splats:
    """:func:`~gshead_backend.avatar.shading.lit`, on all cores."""
    colors, h = np.empty((len(splats), 3), np.float32), harmonics(np.zeros((9, 3)) if light is None else light)
    glow = np.square(np.float32(2 * GLOW) * h[0])
    fallen = _NO_SHADOW if shadow is None else kernel_array(shadow)
    with NUMBA_LOCK:
        _light(
            kernel_array(splats.quats), shading.axis, shading.gain, kernel_array(splats.colors), h, glow,
            np.float32(0 if light is None else strength), fallen, _NUMBERS, _DECODE, _ENCODE, colors,
        )  # fmt: skip
    return replace(splats, colors=colors)


def warm_up() -> None:
    """Compile (or load from numba's cache) the kernel."""
    one = np.ones((1, 3), np.float32)
    lit_fast(Splats(one, np.ones((1, 4), np.float32), one, one[:, 0], one), Shading(one, one.copy()), np.zeros((9, 3)))


@njit(parallel=True, cache=True, error_model="numpy")
def _light(quats, axis, gain, colors, h, glow, strength, shadow, numbers, decode, encode, out):
    even, most_code, per_code, most, per_root = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    for n in prange(quats.shape[0]):
        w, vx, vy, vz = quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3]
        mx, my, mz = axis[n, 0], axis[n, 1], axis[n, 2]
        tx, ty, tz = _TWO * (vy * mz - vz * my), _TWO * (vz * mx - vx * mz), _TWO * (vx * my - vy * mx)
        x = mx + w * tx + vy * tz - vz * ty
        y = my + w * ty + vz * tx - vx * tz
        z = mz + w * tz + vx * ty - vy * tx
        xy, yz, zz, xz, dd = x * y, y * z, _THREE * z * z - _ONE, x * z, x * x - y * y
        for c in range(3):
            got = h[0, c] + h[1, c] * y + h[2, c] * z + h[3, c] * x + h[4, c] * xy + h[5, c] * yz
            got += h[6, c] * zz + h[7, c] * xz + h[8, c] * dd
            got = (got + np.sqrt(got * got + glow[c])) * even
            ratio = _ONE - strength + strength * gain[n, c] * got
            if shadow.shape[0]:
                ratio *= shadow[n, c]
            place = min(max(colors[n, c], _ZERO), most_code) * per_code
            i = np.int32(place)
            linear = decode[i] + (place - np.float32(i)) * (decode[i + 1] - decode[i])
            place = np.sqrt(min(linear * ratio, most)) * per_root
            i = np.int32(place)
            out[n, c] = encode[i] + (place - np.float32(i)) * (encode[i + 1] - encode[i])
