"""Loading and running the TFLite networks through OpenCV's DNN module."""

from __future__ import annotations

import threading
from functools import lru_cache

import cv2
import numpy as np

from .assets import asset_path

_LOCK = threading.Lock()  # a cv2.dnn.Net holds its blobs: one call at a time


@lru_cache(maxsize=8)
def _load(path: str) -> cv2.dnn.Net:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # the importer lists every layer otherwise
    try:
        return cv2.dnn.readNetFromTFLite(path)
    finally:
        cv2.utils.logging.setLogLevel(level)


@lru_cache(maxsize=8)
def _path(name: str) -> str:
    return str(asset_path(name))


def run(name: str, pixels: np.ndarray, *, low: float, high: float, outputs: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    """One forward pass.

    Args:
        name: asset name. pixels: (H, W, 3) uint8 sRGB. low, high: what 0 and 255 become.
        outputs: names of the output layers.
    Raises:
        MissingAssetError: the network is not installed.
    """
    scale = (high - low) / 255.0
    blob = (pixels.astype(np.float32) * scale + low).transpose(2, 0, 1)[None]
    with _LOCK:
        net = _load(_path(name))
        net.setInput(np.ascontiguousarray(blob))
        return tuple(np.array(out) for out in net.forward(outputs))
