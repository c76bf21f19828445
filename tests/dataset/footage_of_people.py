"""Footage whose truth is known: painted heads, seen by our own rasterizer, as videos."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "methods"))

from synthetic_portrait import (  # pyright: ignore[reportMissingImports]
    arkit_pose,
    camera_at,
    landmarks,
    painted_head,
)

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import Avatar
from gshead_backend.dataset.settings import Settings
from gshead_backend.head import HeadModel
from gshead_backend.raster import rasterize

SIZE, FPS = 400, 10
SETTINGS = Settings(size=256, every=1, licence="filmed with consent")
BLURRED, GREY, OTHERS = 4, 2, 5
"""Of the clip: which frame is blurred, how many are grey, how many show somebody else."""
BEHIND = np.array([0.45, 0.5, 0.55], np.float32)


@dataclass(frozen=True)
class Shown:
    """A picture (S, S, 3) uint8 sRGB, its true landmarks (478, 2) and matte (S, S) 0..1."""

    image: np.ndarray
    marks: np.ndarray
    matte: np.ndarray


def somebody(head: HeadModel, seed: int) -> Avatar:
    betas = (np.random.default_rng(seed).standard_normal(head.identity_count) * 0.5).astype(np.float32)
    return painted_head(head, betas)


def performance(truth: Avatar, count: int, *, turn: float = 18.0, size: int = SIZE) -> list[Shown]:
    """A head that turns from one side to the other and opens its mouth."""
    out = []
    for t in np.linspace(-1, 1, count):
        pose = arkit_pose(truth.head, jawOpen=0.4 * (1 - abs(float(t))), mouthSmile=0.3)
        vertices = truth.personal.vertices(pose)
        camera = camera_at(truth.head, vertices, turn * float(t), size=size)
        seen = rasterize(drive(truth, pose), camera, background=BEHIND)
        image = (np.clip(seen.color, 0, 1) * 255 + 0.5).astype(np.uint8)
        marks = landmarks(truth.personal, vertices, camera)
        out.append(Shown(image, marks, np.clip(np.asarray(seen.alpha), 0, 1)))
    return out


def write_video(path: Path, images: Sequence[np.ndarray], fps: float = FPS) -> Path:
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for image in images:
        writer.write(np.ascontiguousarray(image[..., ::-1]))
    writer.release()
    return path
