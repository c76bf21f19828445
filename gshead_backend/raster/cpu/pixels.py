"""Numba functions of one pixel: from blended colour to what a frame holds. For kernels here and in the server."""

from __future__ import annotations

import numpy as np
from numba import njit

from .layout import FAST

BINS = 8192
"""Transfer functions come as tables of ``BINS + 2`` values at k / BINS."""
OPAQUE = np.float32(1.0 - 1.0 / 512.0)
_ZERO, _ONE, _HALF, _LEVELS = np.float32(0), np.float32(1), np.float32(0.5), np.float32(255)
_GAIN, _LIFT, _POWER = np.float32(1.055), np.float32(0.055), np.float32(2.4)


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def looked_up(x, table):
    """The table at x, held within 0..1 (NaN at 0), between its values."""
    place = (min(x, _ONE) if x > _ZERO else _ZERO) * np.float32(BINS)
    i = np.int32(place)
    return table[i] + (place - np.float32(i)) * (table[i + 1] - table[i])


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def decoded(x, table):
    """sRGB to linear: by the table within 0..1, by the formula beyond; negative values mirrored."""
    a = abs(x)
    y = looked_up(a, table) if a <= _ONE else ((a + _LIFT) / _GAIN) ** _POWER
    return y if x >= _ZERO else -y


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def level(x):
    """0..1 to 0..255, rounded; NaN is 0."""
    return np.uint8(min(x, _ONE) * _LEVELS + _HALF) if x > _ZERO else np.uint8(0)


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def to_srgb8(encoded, a, decode, encode):
    """A channel of an encoded, premultiplied colour of alpha ``a`` > 0: the sRGB encoding of linear times alpha."""
    if a >= OPAQUE:  # the splats' own colour
        return level(encoded)
    return level(looked_up(decoded(encoded / a, decode) * a, encode))


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def together(red, green, blue, alpha):
    """Four levels as the bytes of a little-endian uint32, red first."""
    return (
        np.uint32(red)
        | np.uint32(green) << np.uint32(8)
        | np.uint32(blue) << np.uint32(16)
        | np.uint32(alpha) << np.uint32(24)
    )


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def packed(red, green, blue, alpha):
    """``together`` of the levels of four values, without a branch."""
    return together(_plain(red), _plain(green), _plain(blue), _plain(alpha))


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def _plain(x):
    return np.int32(min(x if x > _ZERO else _ZERO, _ONE) * _LEVELS + _HALF)
