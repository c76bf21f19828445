"""From light on the sensor to a file: lens, exposure, colours, noise, sharpening and JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from ...protocol.transfer import linear_to_srgb


def develop(linear: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """(S, S, 3) uint8 sRGB of an (S, S, 3) linear picture.

    Args:
        strength: 0 gives the plain encoding, 1 phones and cameras of all kinds.
    """
    draw = rng.normal(size=12)
    kind = rng.random(8)
    image = linear.astype(np.float32)
    if strength <= 0:
        return _to_bytes(np.clip(linear_to_srgb(np.clip(image, 0, 1)), 0, 1))
    size = image.shape[0]
    image = image * np.exp(strength * (0.25 * draw[0] + np.array([0.07 * draw[1], 0, 0.09 * draw[2]], np.float32)))
    if kind[0] < 0.35 * strength:  # a soft lens, or a hand that moved
        image = cv2.GaussianBlur(image, (0, 0), size / 512 * (0.4 + 1.2 * kind[1]))
    elif kind[0] > 1 - 0.08 * strength:
        image = _moved(image, size / 512 * (3 + 5 * kind[1]), draw[3])
    if kind[2] < 0.3:
        v = (np.arange(size) + 0.5) / size - 0.5
        image *= (1 - 0.7 * strength * kind[3] * (v[:, None] ** 2 + v[None] ** 2))[..., None]
    gain = strength * 0.02 * kind[4] ** 2
    shot = rng.normal(size=image.shape).astype(np.float32)
    image = image + shot * np.sqrt(np.maximum(image, 0) * gain * 0.12 + (0.25 * gain) ** 2)
    encoded = np.clip(linear_to_srgb(np.clip(image, 0, 1)), 0, 1)
    encoded = _tone(encoded, strength * 0.25 * draw[4], strength * 0.12 * draw[5], strength * 0.18 * draw[6])
    if kind[5] < 0.4:  # phones sharpen
        encoded = encoded + strength * 0.8 * kind[6] * (encoded - cv2.GaussianBlur(encoded, (0, 0), size / 512 * 1.2))
    out = _to_bytes(np.clip(encoded, 0, 1))
    quality = int(np.clip(97 - strength * 45 * kind[7] ** 2, 30, 100))
    return _jpeg(out, quality)


def _tone(image: np.ndarray, contrast: float, lift: float, saturation: float) -> np.ndarray:
    curved = image + contrast * image * (1 - image) * (2 * image - 1) * 2
    curved = curved + 0.25 * lift * (1 - curved) ** 2
    grey = curved.mean(-1, keepdims=True)
    return np.clip(grey + (curved - grey) * (1 + saturation), 0, 1)


def _moved(image: np.ndarray, length: float, angle: float) -> np.ndarray:
    n = max(3, int(length) | 1)
    kernel = np.zeros((n, n), np.float32)
    kernel[n // 2] = 1
    kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D((n / 2 - 0.5, n / 2 - 0.5), angle * 90, 1), (n, n))
    return cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1e-6), borderType=cv2.BORDER_REPLICATE)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return (image * 255 + 0.5).astype(np.uint8)


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])
