"""Pictures of a report: truth, rendering and difference side by side."""

from __future__ import annotations

import base64

import cv2
import numpy as np

TILE = 256
GREY = 0.5
_GAIN = 3.0
_GAP = 4


def strip(truth: np.ndarray, render: np.ndarray, alpha: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
    """Truth | rendering on grey | difference, times three, where it counts (dimmed elsewhere).

    Args:
        truth, render: (H, W, 3) float 0..1. alpha: (H, W) of the rendering. counted: (H, W) bool.
    Returns:
        (TILE, 3 TILE + gaps, 3) uint8.
    """
    shown = render * alpha[..., None] + GREY * (1 - alpha[..., None])
    off = np.clip(np.abs(truth - shown) * _GAIN, 0, 1)
    if counted is not None:
        off = np.where(counted[..., None], off, 0.25 * off + 0.1)
    return row([truth, shown, off])


def row(images: list[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) float 0..1 beside each other, each ``TILE`` high."""
    tiles = []
    for image in images:
        width = max(1, round(TILE * image.shape[1] / image.shape[0]))
        small = cv2.resize(image.astype(np.float32), (width, TILE), interpolation=cv2.INTER_AREA)
        tiles += [(np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8), np.full((TILE, _GAP, 3), 255, np.uint8)]
    return np.concatenate(tiles[:-1], 1)


def with_marks(image: np.ndarray, truth: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """A copy (H, W, 3) float with landmarks: the truth green, the estimate red."""
    out = np.ascontiguousarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    radius = max(1, image.shape[0] // 340)
    for points, color in ((truth, (0, 230, 0)), (estimate, (255, 40, 40))):
        for x, y in points[:468]:
            if np.isfinite([x, y]).all() and max(abs(x), abs(y)) < 1e5:
                cv2.circle(out, (round(float(x)), round(float(y))), radius, color, -1, cv2.LINE_AA)
    return out.astype(np.float32) / 255


def jpeg_uri(image: np.ndarray) -> str:
    """(H, W, 3) uint8 as a ``data:`` address."""
    ok, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert ok
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
