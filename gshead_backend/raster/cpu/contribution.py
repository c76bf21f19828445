"""How much of every splat a picture shows."""

from __future__ import annotations

import numpy as np

from ...avatar.types import Splats
from ...camera import Camera
from ...parallel import NUMBA_LOCK
from . import blending, layout
from .pipeline import as_arrays, blend, build_tiles


def contribution(splats: Splats, camera: Camera) -> np.ndarray:
    """(N,) float64: each splat's blending weight, summed over the pixels.

    It is the gradient of the summed picture by the splat's colour, and computed as that.
    """
    splats = as_arrays(splats)
    one = np.ones((len(splats), 3), np.float32)
    with NUMBA_LOCK:
        tiles = build_tiles(splats, camera, slots=True)
        color, alpha, depth = blend(tiles, one, camera, None, finished=False)
        pixel = np.concatenate([alpha[..., None], depth[..., None], color], -1)
        grad = np.zeros_like(pixel)
        grad[..., 2] = 1
        rows = np.zeros((tiles.members.size, layout.MOMENTS + 3), np.float32)
        blending.blend_rgb_backward(
            tiles.geometry,
            tiles.extent,
            one,
            tiles.start,
            tiles.shares,
            tiles.members,
            tiles.slots,
            tiles.tiles_x,
            pixel,
            grad,
            rows,
        )
    running = np.concatenate([[0.0], np.cumsum(rows[:, layout.MOMENTS], dtype=np.float64)])
    return np.maximum(running[tiles.first_pair[1:]] - running[tiles.first_pair[:-1]], 0.0)
