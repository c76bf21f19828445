"""``protocol.transfer.pack_frame`` in numba: one pass over the pixels, on all cores.

The formulas are those of the numpy twin; a test keeps both equal.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..avatar.types import Splats
from ..camera import Camera
from ..parallel import NUMBA_LOCK, kernel_array
from ..protocol.messages import Dtype
from ..protocol.transfer import ALPHA_FLOOR, linear_to_srgb, srgb_to_linear
from ..raster.cpu import rasterize_srgb8
from ..raster.cpu.pixels import BINS, decoded, level, to_srgb8

_FLOOR = np.float32(ALPHA_FLOOR)
_ZERO, _ONE = np.float32(0), np.float32(1)
_PLACES = np.arange(BINS + 2, dtype=np.float32) / np.float32(BINS)
# Between two of these values decoding bends by less than 1e-8, encoding by less than 5e-6, an 8-bit step's thousandth.
_TABLES = np.stack([srgb_to_linear(_PLACES), linear_to_srgb(_PLACES)])


def pack_frame(color: np.ndarray, alpha: np.ndarray, dtype: Dtype) -> np.ndarray:
    """(H, W, 3) float32 encoded premultiplied colour and (H, W) alpha to the frame of that ``dtype``, (H, W, 4)."""
    color, alpha = kernel_array(color), kernel_array(alpha)
    with NUMBA_LOCK:
        if dtype == "uint8":
            out = np.empty((*alpha.shape, 4), np.uint8)
            _to_srgb8(color, alpha, _TABLES, out)
            return out
        linear = np.empty((*alpha.shape, 4), np.float32)
        _to_linear(color, alpha, _TABLES[0], linear)
    return linear if dtype == "float32" else np.clip(linear, -65504, 65504).astype(np.float16)


def draw_frame(splats: Splats, camera: Camera, *, depth: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """``pack_frame(..., "uint8")`` of what ``rasterize`` gives, packed tile by tile as it is blended, and its depth.

    Depth that is not wanted has no pixels.
    """
    return rasterize_srgb8(splats, camera, _TABLES, depth=depth)


def warm_up() -> None:
    """Compile (or load from numba's cache) what a frame needs."""
    color, alpha = np.zeros((1, 1, 3), np.float32), np.ones((1, 1), np.float32)
    pack_frame(color, alpha, "uint8")
    pack_frame(color, alpha, "float32")
    camera = Camera(4, 4, np.array([[4.0, 0, 2], [0, 4, 2], [0, 0, 1]]), np.eye(4))
    one = np.ones((1, 3), np.float32)
    draw_frame(Splats(one, np.ones((1, 4), np.float32), one, one[:, 0], one), camera)


@njit(parallel=True, cache=True, error_model="numpy")
def _to_linear(color, alpha, table, out):
    for y in prange(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            a = min(max(alpha[y, x], _ZERO), _ONE)
            if not a >= _FLOOR:
                a = _ZERO
            inverse = _ONE / max(a, _FLOOR)
            for c in range(3):
                out[y, x, c] = decoded(color[y, x, c] * inverse, table) * a if a > _ZERO else _ZERO
            out[y, x, 3] = a


@njit(parallel=True, cache=True, error_model="numpy")
def _to_srgb8(color, alpha, tables, out):
    for y in prange(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            a = alpha[y, x]
            for c in range(3):
                out[y, x, c] = to_srgb8(color[y, x, c], a, tables[0], tables[1]) if a >= _FLOOR else np.uint8(0)
            out[y, x, 3] = level(a) if a >= _FLOOR else np.uint8(0)
