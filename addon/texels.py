"""Frames as texels that ``gpu`` can upload without a conversion. No bpy here; made on the client's I/O thread.

``gpu`` uploads floats only. Red, green and blue are one exactly representable integer (24 bits) a pixel, and so are the
alphas of three rows: 1.33 floats a pixel instead of four, and never a NaN or a subnormal that a driver might change, as
reinterpreted bytes would form. Only the rectangle that holds something is kept: a head seldom fills a viewport.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BLOCK = 96  # rows at a time, so that what is between stays in the cache; a multiple of three


@dataclass(frozen=True)
class Texels:
    """One frame, ready for textures.

    Attributes:
        size: (width, height) of the frame.
        place: (left, top, width, height) of its part that is not zero; what follows covers that part alone.
        color: (height + ceil(height / 3), width) float32 integers: rows of r + 256 g + 65536 b from the top, then rows
            of alphas, three frame rows in each, the upper one in the lowest byte.
        depth: (height, width) float32 metres along the view axis, +inf where nothing is; None without depth.
    """

    size: tuple[int, int]
    place: tuple[int, int, int, int]
    color: np.ndarray
    depth: np.ndarray | None = None


def texels(rgba: np.ndarray, depth: np.ndarray | None = None) -> Texels:
    """From (H, W, 4) uint8 and (H, W) float32 metres, +inf where nothing is; row 0 on top."""
    size = rgba.shape[1], rgba.shape[0]
    words = np.ascontiguousarray(rgba).view("<u4").reshape(rgba.shape[:2])
    left, top, width, height = place = _filled(words)
    words = words[top : top + height, left : left + width]
    color = np.empty((height + -(-height // 3), width), np.float32)
    for row in range(0, height, _BLOCK):
        block = words[row : row + _BLOCK]
        color[row : row + len(block)] = block & np.uint32(0xFFFFFF)
        alpha = block >> np.uint32(24)
        rows = alpha[0::3]
        for k in (1, 2):
            rows[: len(alpha[k::3])] |= alpha[k::3] << np.uint32(8 * k)
        color[height + row // 3 : height + row // 3 + len(rows)] = rows
    if depth is not None:
        depth = np.ascontiguousarray(depth[top : top + height, left : left + width], np.float32)
    return Texels(size, place, color, depth)


def alpha_at(frame: Texels, u: float, v: float) -> float:
    """Coverage, 0..1, of the frame's pixel at ``u``, ``v`` in 0..1 from its upper left corner."""
    left, top, width, height = frame.place
    x, y = int(u * frame.size[0]) - left, int(v * frame.size[1]) - top
    if not (0 <= x < width and 0 <= y < height):
        return 0.0
    return (int(frame.color[height + y // 3, x]) >> 8 * (y % 3) & 255) / 255


def _filled(words: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, width, height) of the smallest rectangle with every non-zero word; one texel when there is none."""
    rows = np.flatnonzero(words.max(1))
    if rows.size == 0:
        return 0, 0, 1, 1
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(words[top:bottom].max(0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return left, top, right - left, bottom - top
