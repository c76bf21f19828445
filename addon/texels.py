"""Frames as texels that ``gpu`` can upload without a conversion. No bpy here; made on the client's I/O thread.

``gpu`` uploads floats only. Red, green and blue are one exactly representable integer (24 bits) a pixel, and so are the
alphas of three rows: 1.33 floats a pixel instead of four, and never a NaN or a subnormal that a driver might change, as
reinterpreted bytes would form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BLOCK = 96  # rows at a time, so that what is between stays in the cache; a multiple of three


@dataclass(frozen=True)
class Texels:
    """One frame, ready for textures.

    Attributes:
        height: of the frame.
        color: (height + ceil(height / 3), width) float32 integers: rows of r + 256 g + 65536 b from the top, then rows
            of alphas, three frame rows in each, the upper one in the lowest byte.
        depth: (height, width) float32 metres along the view axis, +inf where nothing is; None without depth.
    """

    height: int
    color: np.ndarray
    depth: np.ndarray | None = None


def texels(rgba: np.ndarray, depth: np.ndarray | None = None) -> Texels:
    """From (H, W, 4) uint8 and (H, W) float32 metres, +inf where nothing is; row 0 on top."""
    height, width = rgba.shape[:2]
    words = np.ascontiguousarray(rgba).view("<u4").reshape(height, width)
    color = np.empty((height + -(-height // 3), width), np.float32)
    for top in range(0, height, _BLOCK):
        block = words[top : top + _BLOCK]
        color[top : top + len(block)] = block & np.uint32(0xFFFFFF)
        alpha = block >> np.uint32(24)
        rows = alpha[0::3]
        for k in (1, 2):
            rows[: len(alpha[k::3])] |= alpha[k::3] << np.uint32(8 * k)
        color[height + top // 3 : height + top // 3 + len(rows)] = rows
    return Texels(height, color, None if depth is None else np.ascontiguousarray(depth, np.float32))
