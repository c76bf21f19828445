"""Frames as pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import ArgumentError
from ..export.png import encode_png
from ..files import write_atomic
from ..protocol import Frame
from ..protocol.transfer import linear_to_srgb, unpack_linear, unpremultiply


def srgb8(frame: Frame, background: Sequence[float] | None = None) -> np.ndarray:
    """A frame as 8-bit sRGB pixels.

    Args:
        background: (r, g, b) 0..1, sRGB-encoded, to put behind the head; None keeps it transparent.
    Returns:
        (H, W, 4) uint8 with straight alpha, or (H, W, 3) over the background. Row 0 on top.
    """
    linear = unpack_linear(frame.rgba)
    alpha = linear[..., 3]
    color = linear_to_srgb(unpremultiply(linear[..., :3], alpha))
    if background is None:
        out = np.concatenate([color, alpha[..., None]], 2)
    else:
        behind = np.asarray(background, np.float32)
        if behind.shape != (3,):
            raise ArgumentError(f"A background is three numbers from 0 to 1, got {background!r}.")
        out = color * alpha[..., None] + (1 - alpha[..., None]) * behind
    return np.round(np.clip(out, 0, 1) * 255).astype(np.uint8)


def write_picture(path: str | Path, frame: Frame, background: Sequence[float] | None = None) -> None:
    """Write a frame as PNG (atomically), as :func:`srgb8` makes it. Raises ``ExportError``."""
    write_atomic(Path(path), encode_png(srgb8(frame, background)))
