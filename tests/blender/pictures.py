"""Reading what Blender rendered."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenEXR


def read_passes(path: Path) -> dict[str, np.ndarray]:
    """Channels of an EXR by name: ``R`` of a plain picture, ``Combined.R`` of a multilayer one (layer left out)."""
    parts = OpenEXR.File(str(path), separate_channels=True).parts  # Blender 5 writes one part for each pass
    channels = {name: channel.pixels for part in parts for name, channel in part.channels.items()}
    return {name.split(".", 1)[1] if name.count(".") > 1 else name: pixels for name, pixels in channels.items()}


def read_rgba(path: Path) -> np.ndarray:
    """(H, W, 4) premultiplied linear picture of either kind."""
    channels = read_passes(path)
    prefix = "Combined." if "Combined.R" in channels else ""
    return np.stack([channels[f"{prefix}{c}"] for c in "RGBA"], -1)


def read_png(path: Path) -> np.ndarray:
    """(H, W, 4) values from 0 to 1 of a PNG of any depth."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA) / (65535.0 if pixels.dtype == np.uint16 else 255.0)


def over(front: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Premultiplied *over*."""
    return front + (1 - front[..., 3:]) * back
