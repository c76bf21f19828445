"""Contact sheets: many photographs in one picture, with what is known about each where asked for."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ...files import write_atomic
from ...protocol.transfer import linear_to_srgb
from .sample import SHOTS, USUAL, Drawing, Sample
from .workers import each_sample

PALETTE = np.array(
    [[20, 20, 24], [238, 178, 140], [92, 52, 30], [245, 245, 245], [214, 62, 84], [120, 20, 40], [240, 130, 60],
     [130, 90, 210], [150, 120, 60], [40, 200, 230], [60, 170, 90], [60, 100, 200]], np.uint8,
)  # fmt: skip
"""(12, 3) sRGB, a colour for each of ``LABELS``."""
LAYERS = ("image", "labels", "matte", "albedo", "landmarks")


def one_shot_each(first_person: int, count: int) -> list[int]:
    """Seeds of ``count`` persons, one photograph of each, not always their first."""
    return [(first_person + i) * SHOTS + i % SHOTS for i in range(count)]


def cell(sample: Sample, layers: Sequence[str] = ("image",), size: int = 192) -> np.ndarray:
    """(size, size * layers, 3) uint8: the photograph and its truth side by side."""
    return np.concatenate([_small(_layer(sample, name), size) for name in layers], 1)


def sheet(cells: Iterable[np.ndarray], columns: int) -> np.ndarray:
    """(H, W, 3) uint8: cells of one size in rows; the last row is filled up with black."""
    rows = list(cells)
    rows += [np.zeros_like(rows[0])] * (-len(rows) % columns)
    return np.concatenate([np.concatenate(rows[i : i + columns], 1) for i in range(0, len(rows), columns)], 0)


def make_sheet(
    first_person: int = 0, count: int = 64, how: Drawing = USUAL, *, layers: Sequence[str] = ("image",),
    cell_size: int = 192, workers: int = 1,
) -> np.ndarray:  # fmt: skip
    """The contact sheet of ``count`` people."""
    each = partial(cell, layers=tuple(layers), size=cell_size)
    seeds = one_shot_each(first_person, count)
    cells = each_sample(seeds, how, workers=workers, then=each)
    columns = max(1, round(np.sqrt(count / len(layers)) + 0.25)) if len(layers) > 1 else max(1, round(np.sqrt(count)))
    return sheet([np.asarray(c) for c in cells], columns)


def save_jpeg(path: str | Path, picture: np.ndarray, limit: int = 500_000) -> int:
    """Write a picture as the best JPEG below ``limit`` bytes (or the worst that is still decent); its quality."""
    for quality in (92, 88, 84, 80, 75, 70, 64):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= limit or quality == 64:
            write_atomic(path, buffer.getvalue())
            return quality
    raise AssertionError


def _layer(sample: Sample, name: str) -> np.ndarray:
    if name == "labels":
        return (0.55 * PALETTE[sample.labels] + 0.45 * sample.image).astype(np.uint8)
    if name == "matte":
        return np.repeat((sample.matte[..., None] * 255 + 0.5).astype(np.uint8), 3, 2)
    if name == "albedo":
        return (np.clip(linear_to_srgb(sample.albedo), 0, 1) * 255 + 0.5).astype(np.uint8)
    out = sample.image.copy()
    if name == "landmarks":
        for x, y in sample.landmarks:
            cv2.circle(out, (int(x * 8), int(y * 8)), 8 + out.shape[0] // 64, (0, 255, 80), -1, cv2.LINE_AA, 3)
    return out


def _small(picture: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
