"""Changing training pictures: geometry shared with labels, light and camera faults for the picture alone."""

from __future__ import annotations

import cv2
import numpy as np

from .config import Augment


def similarity(rng: np.random.Generator, how: Augment, size: int) -> tuple[np.ndarray, float]:
    """(2, 3) random turn, zoom and shift about the middle of a picture, and the turn in radians (clockwise)."""
    angle = float(np.radians(how.turn) * np.clip(rng.standard_normal() / 2, -1, 1))
    zoom = float(np.exp(how.zoom * rng.uniform(-1, 1)))
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    A = np.array([[c, -s], [s, c]])
    middle = np.full(2, size / 2)
    return np.concatenate([A, (middle - A @ middle + how.shift * size * rng.uniform(-1, 1, 2))[:, None]], 1), angle


def moved_points(points: np.ndarray, rng: np.random.Generator, how: Augment, unit: float) -> np.ndarray:
    """Landmarks (N, 2 or 3) as another run of the detector might give them: a common and a separate error."""
    if how.points == 0:
        return points
    common = rng.standard_normal(points.shape[1]) * 1.5
    return (points + unit * how.points * (rng.standard_normal(points.shape) + common)).astype(np.float32)


def photographed(image: np.ndarray, rng: np.random.Generator, how: Augment) -> np.ndarray:
    """(H, W, 3) uint8 as another camera and another exposure would show it."""
    if how.small and rng.random() < how.small:
        image = _small(image, rng)
    if how.blur and rng.random() < how.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6)))
    if how.shade and rng.random() < how.shade:
        image = shaded(image, rng)
    if how.light:
        image = _light(image, rng, how.light)
    if how.grey and rng.random() < how.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if how.noise and rng.random() < how.noise:
        image = _noise(image, rng)
    if how.jpeg and rng.random() < how.jpeg:
        image = _jpeg(image, int(rng.integers(25, 90)))
    return image


def covered(shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A patch in front of the person: (H, W) bool where, and its colour (3,) uint8."""
    h, w = shape
    mask = np.zeros(shape, np.uint8)
    center = (int(rng.integers(0, w)), int(rng.integers(0, h)))
    axes = (int(w * rng.uniform(0.03, 0.16)), int(h * rng.uniform(0.03, 0.16)))
    if rng.random() < 0.5:
        cv2.ellipse(mask, center, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    else:
        low, high = (center[0] - axes[0], center[1] - axes[1]), (center[0] + axes[0], center[1] + axes[1])
        cv2.rectangle(mask, low, high, 1, -1)
    return mask > 0, rng.integers(0, 256, 3).astype(np.uint8)


def _light(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Exposure, white balance and gamma through one table a channel."""
    x = np.arange(256) / 255
    gamma = np.exp(strength * 1.5 * rng.standard_normal())
    gain = np.exp(strength * (rng.standard_normal() + 0.6 * rng.standard_normal(3)))
    lift = strength * 0.25 * rng.standard_normal()
    table = np.clip(gain * (x**gamma)[:, None] * (1 - lift) + max(lift, 0), 0, 1)
    return cv2.LUT(image, (table * 255 + 0.5).astype(np.uint8)[:, None, :].transpose(1, 0, 2).copy())


def shaded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Less light, by one factor, on one side of an edge that is straight or wanders, sharp or soft."""
    h, w = image.shape[:2]
    if rng.random() < 0.5:
        cells = rng.standard_normal(rng.integers(3, 7, 2)).astype(np.float32)
        field = cv2.resize(cells, (w, h), interpolation=cv2.INTER_CUBIC)
    else:
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[:h, :w].astype(np.float32)
        field = (x / w - 0.5) * np.cos(angle) + (y / h - 0.5) * np.sin(angle)
    dark = (field > np.quantile(field, rng.uniform(0.3, 0.8))).astype(np.float32)
    dark = cv2.GaussianBlur(dark, (0, 0), float(w * np.exp(rng.uniform(np.log(0.003), np.log(0.06)))))
    left = rng.uniform(0.04, 0.6) * np.exp(0.08 * rng.standard_normal(3))  # of the light, linear
    factor = np.minimum(left, 1) ** (1 / 2.2)
    return (image * (1 - dark[..., None] * (1 - factor.astype(np.float32))) + 0.5).astype(np.uint8)


def _noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sd = float(rng.uniform(1, 12))
    grain = rng.standard_normal(image.shape[:2], dtype=np.float32)
    color = rng.standard_normal((image.shape[0] // 2, image.shape[1] // 2, 3), dtype=np.float32)
    both = grain[..., None] + 0.7 * cv2.resize(color, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(image + sd * both, 0, 255).astype(np.uint8)


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)) if done else image


def _small(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    share = float(rng.uniform(0.3, 0.8))
    size = (max(8, round(image.shape[1] * share)), max(8, round(image.shape[0] * share)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
