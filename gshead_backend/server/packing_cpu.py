"""``protocol.transfer.pack_frame`` in numba: one pass over the pixels, on all cores.

The formulas are those of the numpy twin; a test keeps both equal.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..parallel import NUMBA_LOCK, kernel_array
from ..protocol.messages import Dtype
from ..protocol.transfer import ALPHA_FLOOR, linear_to_srgb, srgb_to_linear

_FLOOR, _OPAQUE = np.float32(ALPHA_FLOOR), np.float32(1.0 - 1.0 / 512.0)
_ZERO, _ONE, _HALF, _LEVELS = np.float32(0), np.float32(1), np.float32(0.5), np.float32(255)
_GAIN, _LIFT, _POWER = np.float32(1.055), np.float32(0.055), np.float32(2.4)
_BINS = 8192
_PLACES = np.arange(_BINS + 2, dtype=np.float32) / np.float32(_BINS)
# Between two of these values decoding bends by less than 1e-8, encoding by less than 5e-6, an 8-bit step's thousandth.
_DECODE, _ENCODE = srgb_to_linear(_PLACES), linear_to_srgb(_PLACES)


def pack_frame(color: np.ndarray, alpha: np.ndarray, dtype: Dtype) -> np.ndarray:
    """(H, W, 3) float32 encoded premultiplied colour and (H, W) alpha to the frame of that ``dtype``, (H, W, 4)."""
    color, alpha = kernel_array(color), kernel_array(alpha)
    with NUMBA_LOCK:
        if dtype == "uint8":
            out = np.empty((*alpha.shape, 4), np.uint8)
            _to_srgb8(color, alpha, _DECODE, _ENCODE, out)
            return out
        linear = np.empty((*alpha.shape, 4), np.float32)
        _to_linear(color, alpha, _DECODE, linear)
    return linear if dtype == "float32" else np.clip(linear, -65504, 65504).astype(np.float16)


def warm_up() -> None:
    """Compile (or load from numba's cache) what a frame needs."""
    color, alpha = np.zeros((1, 1, 3), np.float32), np.ones((1, 1), np.float32)
    pack_frame(color, alpha, "uint8")
    pack_frame(color, alpha, "float32")


@njit(forceinline=True, error_model="numpy")
def _looked_up(x, table):
    """The table at x, held within 0..1 (NaN at 0), between its values."""
    place = (min(x, _ONE) if x > _ZERO else _ZERO) * np.float32(_BINS)
    i = np.int32(place)
    return table[i] + (place - np.float32(i)) * (table[i + 1] - table[i])


@njit(forceinline=True, error_model="numpy")
def _decoded(x, table):
    """sRGB to linear: by the table within 0..1, by the formula beyond; negative values mirrored."""
    a = abs(x)
    y = _looked_up(a, table) if a <= _ONE else ((a + _LIFT) / _GAIN) ** _POWER
    return y if x >= _ZERO else -y


@njit(forceinline=True, error_model="numpy")
def _level(x):
    """0..1 to 0..255, rounded; NaN is 0."""
    return np.uint8(min(x, _ONE) * _LEVELS + _HALF) if x > _ZERO else np.uint8(0)


@njit(parallel=True, cache=True, error_model="numpy")
def _to_linear(color, alpha, table, out):
    for y in prange(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            a = min(max(alpha[y, x], _ZERO), _ONE)
            if not a >= _FLOOR:
                a = _ZERO
            inverse = _ONE / max(a, _FLOOR)
            for c in range(3):
                out[y, x, c] = _decoded(color[y, x, c] * inverse, table) * a if a > _ZERO else _ZERO
            out[y, x, 3] = a


@njit(parallel=True, cache=True, error_model="numpy")
def _to_srgb8(color, alpha, decode, encode, out):
    for y in prange(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            a = alpha[y, x]
            if a >= _OPAQUE:  # the splats' own colour
                for c in range(3):
                    out[y, x, c] = _level(color[y, x, c])
            elif a >= _FLOOR:
                inverse = _ONE / a
                for c in range(3):
                    linear = _decoded(color[y, x, c] * inverse, decode) * a
                    out[y, x, c] = _level(_looked_up(linear, encode))
            else:
                out[y, x, 0] = out[y, x, 1] = out[y, x, 2] = 0
            out[y, x, 3] = _level(a) if a >= _FLOOR else np.uint8(0)
