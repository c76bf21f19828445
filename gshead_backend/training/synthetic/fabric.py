"""Cloth: flat surfels with a pattern."""

from __future__ import annotations

import numpy as np

from ...portrait.labels import LABEL_INDEX
from .paint import mix, noise, step
from .skin import facing_quats
from .surfels import ANCHORS, Surfels


def sheet(
    at: np.ndarray, normal: np.ndarray, spacing: np.ndarray, pattern_at: np.ndarray, color: np.ndarray,
    second: np.ndarray, pattern: str, label: str, rng: np.random.Generator, *, anchor: str = "cranium",
    opacity: float = 0.98, gloss: float = 0.05,
) -> Surfels:  # fmt: skip
    """Cloth at points (N, 3) that face ``normal``; patterns are laid out over ``pattern_at`` (N, 3) in metres."""
    n = len(at)
    folds = noise(pattern_at, 0.035, rng)
    tilt = np.stack([noise(pattern_at, 0.03, rng) for _ in range(3)], 1)
    shading = normal + 0.16 * tilt
    shading /= np.maximum(np.linalg.norm(shading, axis=1, keepdims=True), 1e-9)
    albedo = paint_cloth(pattern_at, np.asarray(color, float), np.asarray(second, float), pattern, rng)
    grain = rng.uniform(0.0, 0.05)  # silk to felt
    albedo = albedo * np.exp(0.05 * folds + grain * rng.standard_normal(n))[:, None]
    sigma = 0.62 * spacing
    return Surfels(
        at, facing_quats(normal), np.stack([sigma, sigma, 0.15 * sigma], 1), np.full(n, opacity),
        np.clip(albedo, 0.003, 0.9), shading, np.full(n, gloss), np.full(n, LABEL_INDEX[label], np.uint8),
        np.full(n, ANCHORS.index(anchor), np.uint8),
    )  # fmt: skip


def paint_cloth(
    at: np.ndarray, color: np.ndarray, second: np.ndarray, pattern: str, rng: np.random.Generator
) -> np.ndarray:
    """(N, 3) linear albedo."""
    base = np.tile(color, (len(at), 1))
    x, y, z = at.T
    if pattern == "stripes":
        period = rng.uniform(0.008, 0.04)
        axis = y if rng.random() < 0.6 else x
        return mix(base, second, step(np.sin(axis * 2 * np.pi / period), -0.1, 0.1))
    if pattern == "checks":
        period = rng.uniform(0.012, 0.05)
        a, b = (step(np.sin(v * 2 * np.pi / period), 0.2, 0.4) for v in (x + 0.5 * z, y))
        return mix(base, second, 0.45 * a + 0.45 * b)
    if pattern == "knit":
        rows = np.sin(y * 2 * np.pi / 0.006) * np.sin((x + 0.7 * z) * 2 * np.pi / 0.0045)
        return base * np.exp(0.16 * rows)[:, None]
    if pattern == "print":
        blobs = noise(at, rng.uniform(0.015, 0.05), rng)
        return mix(base, second, step(blobs, 0.4, 0.6))
    return base
