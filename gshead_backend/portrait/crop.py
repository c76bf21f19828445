"""The square crop around a head, with edges continued where it leaves the photo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MIN_SIZE, MAX_SIZE = 512, 1024


@dataclass(frozen=True)
class Crop:
    """A square window of a photo and its size after scaling.

    Attributes:
        origin: (2,) x, y of the top-left corner in photo pixels. side: photo pixels. size: pixels of the crop.
    """

    origin: np.ndarray
    side: float
    size: int

    @property
    def scale(self) -> float:
        return self.size / self.side

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) photo pixels to crop pixels."""
        return (points - self.origin) * self.scale

    def resized(self, size: int) -> Crop:
        return Crop(self.origin, self.side, size)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The window of an (H, W[, C]) uint8 image; outside the photo the nearest edge pixels continue."""
        matrix = np.array(
            [[self.scale, 0, -self.origin[0] * self.scale], [0, self.scale, -self.origin[1] * self.scale]]
        )
        return _sample(image, matrix, self.size, cv2.BORDER_REPLICATE)

    def inside(self, shape: tuple[int, ...]) -> np.ndarray:
        """(size, size) bool: pixels that the photo of this shape covers."""
        x, y = (self.origin[k] + (np.arange(self.size) + 0.5) / self.scale for k in (0, 1))
        return ((y >= 0) & (y <= shape[0]))[:, None] & ((x >= 0) & (x <= shape[1]))[None, :]

    def covered(self, shape: tuple[int, ...]) -> np.ndarray:
        """(4,) left, top, right and bottom of the window's part that a photo of this shape covers, in its pixels."""
        low = np.clip(-self.origin * self.scale, 0, self.size)
        high = np.clip((np.array(shape[1::-1]) - self.origin) * self.scale, 0, self.size)
        return np.concatenate([low, high]).astype(np.float32)


def head_crop(points: np.ndarray, factor: float) -> Crop:
    """Square of ``factor`` face heights around a head, from its landmarks (at least 468, 2) in photo pixels.

    The face sits a little above the middle: hair needs less room than neck and shoulders.
    """
    top, chin = points[10], points[152]
    height = face_height(points)
    center = (top + chin) / 2 + (chin - top) * 0.02
    side = factor * height
    size = int(np.clip(16 * round(side / 16), MIN_SIZE, MAX_SIZE))
    return Crop(center - side / 2, side, size)


def face_height(points: np.ndarray) -> float:
    """Pixels from the top of the forehead to the chin; a nodding face is taken by its width instead."""
    height = float(np.linalg.norm(points[10] - points[152]))
    width = float(np.linalg.norm(points[234] - points[454]))
    return max(height, 1.1 * width)


def _sample(image: np.ndarray, matrix: np.ndarray, size: int, border: int) -> np.ndarray:
    """Warp by ``matrix`` (photo to crop, pixel centres at +0.5): cubic when growing, area-averaged when shrinking."""
    scale = matrix[0, 0]
    if scale < 0.75:  # average blocks first, then sample what remains
        low = np.floor(-matrix[:, 2] / scale).astype(int)
        high = np.ceil((size - matrix[:, 2]) / scale).astype(int)
        low, high = np.maximum(low - 4, 0), np.minimum(high + 4, image.shape[1::-1])
        target = np.maximum(np.round((high - low) * scale).astype(int), 1)
        window = image[low[1] : high[1], low[0] : high[0]]
        image = cv2.resize(window, (int(target[0]), int(target[1])), interpolation=cv2.INTER_AREA)
        ratio = target / (high - low)
        matrix = np.array(
            [[scale / ratio[0], 0, matrix[0, 2] + scale * low[0]], [0, scale / ratio[1], matrix[1, 2] + scale * low[1]]]
        )
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.full(2, 0.5) - 0.5
    flags = cv2.INTER_CUBIC if scale >= 0.75 else cv2.INTER_LINEAR
    return cv2.warpAffine(image, shifted, (size, size), flags=flags, borderMode=border)
