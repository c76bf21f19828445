"""Soft maps made to follow a picture's edges."""

from __future__ import annotations

import cv2
import numpy as np

_LARGE = 640
_UPPER = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


class GuidedFilter:
    """Guided filter with a colour guide (He, Sun, Tang 2013, eqs. 19-21); it is linear in what it filters.

    Large pictures get their coefficients at half the resolution (He, Sun 2015, "Fast guided filter").

    Args:
        guide: (H, W, 3) float32 0..1. radius: pixels. epsilon: variance of the guide below which values are averaged.
    """

    def __init__(self, guide: np.ndarray, radius: int, epsilon: float) -> None:
        h, w = guide.shape[:2]
        self._full = _planes(guide)
        self._halved = max(h, w) > _LARGE
        if self._halved:
            guide = cv2.resize(guide, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
            radius = max(1, radius // 2)
        self._guide, self._size = _planes(guide), (2 * radius + 1, 2 * radius + 1)
        self._mean = [self._box(g) for g in self._guide]
        g, mean = self._guide, self._mean
        moments = [self._box(g[i] * g[j]) - mean[i] * mean[j] for i, j in _UPPER]
        self._inverse = _inverse3(moments, epsilon)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(H, W) float32 to the same; edges overshoot a little."""
        if self._halved:
            values = cv2.resize(values, self._guide[0].shape[::-1], interpolation=cv2.INTER_AREA)
        mean = self._box(values)
        x, y, z = (self._box(g * values) - m * mean for g, m in zip(self._guide, self._mean, strict=True))
        a, b, c, d, e, f = self._inverse
        slopes = [a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z]
        out = self._enlarged(self._box(mean - sum(s * m for s, m in zip(slopes, self._mean, strict=True))))
        for slope, g in zip(slopes, self._full, strict=True):
            out += self._enlarged(self._box(slope)) * g
        return out

    def _box(self, values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, self._size, borderType=cv2.BORDER_REFLECT)

    def _enlarged(self, values: np.ndarray) -> np.ndarray:
        size = self._full[0].shape[::-1]
        return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR) if self._halved else values


def _planes(picture: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(picture[..., k]) for k in range(3)]


def _inverse3(m: list[np.ndarray], ridge: float) -> list[np.ndarray]:
    """The six upper entries (H, W) of symmetric 3x3 matrices to those of their inverses, by cofactors."""
    a, b, c, d, e, f = m
    a, d, f = a + ridge, d + ridge, f + ridge
    upper = [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b]
    determinant = np.maximum(a * upper[0] + b * upper[1] + c * upper[2], 1e-14)
    return [v / determinant for v in upper]
