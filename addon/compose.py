"""Backend frames to what Blender's render result wants. No bpy here.

A frame arrives as scene-linear Rec.709, premultiplied, row 0 on top. Blender wants its own working space,
premultiplied, row 0 at the bottom, flat float32; depth is 1e10 where nothing is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gshead_backend.errors import RenderError

FAR_AWAY = 1e10
# CIE xy chromaticities of red, green, blue and white. Rec.709 and Rec.2020: ITU-R; AP1: SMPTE ST 2065-1 / ACES.
PRIMARIES = {
    "Linear Rec.709": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290)),
    "Linear Rec.2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    "ACEScg": ((0.713, 0.293), (0.165, 0.830), (0.128, 0.044), (0.32168, 0.33767)),
}
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _xyz(xy: tuple[float, float]) -> np.ndarray:
    return np.array([xy[0] / xy[1], 1.0, (1 - xy[0] - xy[1]) / xy[1]])


def _rgb_to_xyz(space: str) -> np.ndarray:
    *rgb, white = PRIMARIES[space]
    columns = np.stack([_xyz(c) for c in rgb], 1)
    return columns * np.linalg.solve(columns, _xyz(white))


@lru_cache
def rec709_to(space: str) -> np.ndarray:
    """(3, 3) linear Rec.709 to a working space, white adapted by Bradford's method. Raises ``RenderError``."""
    if space not in PRIMARIES:
        raise RenderError(
            f"The working space '{space}' is not known to gshead.",
            remedy=f"Use one of: {', '.join(PRIMARIES)} (Render properties, Color Management).",
        )
    source, target = (BRADFORD @ _xyz(PRIMARIES[s][3]) for s in ("Linear Rec.709", space))
    adapt = np.linalg.solve(BRADFORD, (target / source)[:, None] * BRADFORD)
    return np.linalg.solve(_rgb_to_xyz(space), adapt @ _rgb_to_xyz("Linear Rec.709"))


def combined_pass(rgba: np.ndarray, background: np.ndarray | None, space: str) -> np.ndarray:
    """Flat float32 Combined pass.

    Args:
        rgba: (H, W, 4) linear Rec.709 premultiplied, row 0 on top.
        background: (3,) colour in the working space, or None for a transparent film.
        space: name of the working space.
    """
    out = np.ascontiguousarray(rgba[::-1], np.float32).copy()
    if space != "Linear Rec.709":
        out[..., :3] = out[..., :3] @ rec709_to(space).T.astype(np.float32)
    if background is not None:
        out[..., :3] += (1 - out[..., 3:]) * np.asarray(background, np.float32)
        out[..., 3] = 1
    return out.ravel()


def depth_pass(depth: np.ndarray) -> np.ndarray:
    """Flat float32 Depth pass from (H, W) metres, +inf outside, row 0 on top."""
    flipped = np.ascontiguousarray(depth[::-1], np.float32)
    return np.where(np.isfinite(flipped), flipped, np.float32(FAR_AWAY)).astype(np.float32).ravel()


def mask_pass(mask: np.ndarray) -> np.ndarray:
    """Flat float32 pass from (H, W) coverage, row 0 on top."""
    return np.ascontiguousarray(mask[::-1], np.float32).ravel()


def empty_frame(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """What a scene without heads looks like: transparent RGBA and infinite depth."""
    return np.zeros((height, width, 4), np.float32), np.full((height, width), np.inf, np.float32)
