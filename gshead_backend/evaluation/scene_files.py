"""Pictures of a multi-view folder: their size without decoding them, and their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import SceneError

MAX_SIDE = 4096
_FORMATS = ("PNG", "JPEG")


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of a PNG or JPEG file. Raises ``SceneError``."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            size = image.size
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, DecompressionBombError ...
        raise SceneError(f"'{path.name}' is not a PNG or JPEG picture.") from error
    if max(size) > MAX_SIDE or min(size) < 16:
        raise SceneError(f"'{path.name}' has {size[0]}x{size[1]} pixels; a side has 16 to {MAX_SIDE}.")
    return size


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    return _read(path, "RGB")


def read_grey(path: Path) -> np.ndarray:
    """(H, W) uint8; an indexed picture gives its indices."""
    return _read(path, "L")


def _read(path: Path, mode: str) -> np.ndarray:
    image_size(path)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.mode == "P" and mode == "L":
                return np.asarray(image)
            return np.asarray(image.convert(mode))
    except Exception as error:
        raise SceneError(f"'{path.name}' is damaged: {error}.") from error
