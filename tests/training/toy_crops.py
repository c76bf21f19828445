"""A few drawn faces in the form of training crops: enough to see whether a network learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.numpy

from gshead_backend.head import PersonalHead, default_head
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.portrait.matte import FACE_OVAL
from gshead_backend.portrait.nets.face_inputs import face_window
from gshead_backend.portrait.nets.inputs import EYE_RINGS, LIP_RING
from gshead_backend.training.config import TrainConfig
from gshead_backend.training.crops import FIRST_SEED, STORED
from gshead_backend.training.loop import Outcome, train
from gshead_backend.training.tasks import make_task


def run(config: TrainConfig, crops: Path, out: Path, **options: Any) -> Outcome:
    """Train what a configuration says."""
    return train(make_task(config), config, crops, out, **options)


def weights(folder: Path, network: str) -> dict[str, np.ndarray]:
    """The arrays that a training left, by name."""
    return safetensors.numpy.load_file(folder / f"{network}.safetensors")


def face_points(size: int, rng: np.random.Generator) -> np.ndarray:
    """(478, 2) float32 landmarks of the default head seen from the front, shaken a little."""
    head = default_head()
    rest = PersonalHead.create(head, np.zeros(head.identity_count, np.float32)).rest
    at = (rest[head.faces[head.landmark_triangles]] * head.landmark_bary[:, :, None]).sum(1)
    flat = at[:, :2] * np.array([1, -1])
    flat = (flat - flat.mean(0)) / np.ptp(flat[:, 1])
    irises = [np.tile(flat[list(ring)].mean(0), (5, 1)) for ring in EYE_RINGS]
    points = np.concatenate([flat, *irises]) * size * rng.uniform(0.4, 0.5)
    return (points + size * rng.uniform(0.45, 0.55, 2)).astype(np.float32)


def solid_points(points: np.ndarray) -> np.ndarray:
    """(478, 3): points (478, 2) with the depth that the default head has there."""
    head = default_head()
    rest = PersonalHead.create(head, np.zeros(head.identity_count, np.float32)).rest
    at = (rest[head.faces[head.landmark_triangles]] * head.landmark_bary[:, :, None]).sum(1)
    depth = -at[:, 2] * np.ptp(points[:, 1]) / np.ptp(at[:, 1])
    eyes = [depth[list(ring)].mean().repeat(5) for ring in EYE_RINGS]
    return np.column_stack([points, np.concatenate([depth, *eyes])]).astype(np.float32)


def draw_face(rng: np.random.Generator, size: int = STORED) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture (size, size, 3) uint8, labels (size, size) uint8, landmarks (478, 2)."""
    points = face_points(size, rng)
    labels = np.zeros((size, size), np.uint8)
    center, height = points[:468].mean(0), float(np.ptp(points[:468, 1]))
    middle, wide = (int(center[0]), int(center[1] - 0.2 * height)), int(height * 0.55)
    shapes = [
        ("clothes", cv2.ellipse2Poly((int(center[0]), size), (int(height * 0.8), int(height * 0.6)), 0, 0, 360, 10)),
        ("hair", cv2.ellipse2Poly(middle, (wide, wide), 0, 0, 360, 10)),
        ("skin", points[list(FACE_OVAL)]), *(("eyes", points[list(ring)]) for ring in EYE_RINGS),
        ("lips", points[list(LIP_RING)]),
    ]  # fmt: skip
    image = np.empty((size, size, 3), np.uint8)
    image[:] = rng.integers(0, 256, 3)
    for name, polygon in shapes:
        color = [int(c) for c in rng.integers(0, 256, 3)]
        cv2.fillPoly(image, [polygon.astype(np.int32)], color)
        cv2.fillPoly(labels, [polygon.astype(np.int32)], LABEL_INDEX[name])
    return image, labels, points


def toy_sample(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    image, labels, points = draw_face(rng)
    window, marks, roll = face_window(image, solid_points(points))
    matte = np.where(labels > 0, 255, 0).astype(np.uint8)
    arkit = np.where(rng.random(52) < 0.2, rng.random(52), 0).astype(np.float32)
    return {
        "image": image, "person": matte, "labels": labels, "matte": matte, "marks": points, "window": window,
        "window_marks": marks, "roll": np.float32(roll), "arkit": arkit,
        "gaze": rng.normal(0, 0.2, (2, 2)).astype(np.float32), "head": rng.normal(0, 0.2, 3).astype(np.float32),
        "light": rng.normal(0, 1, (9, 3)).astype(np.float32), "seed": np.int64(seed),
    }  # fmt: skip


def write_crops(folder: Path, count: int, split: str = "train", first: int = 0) -> None:
    """One chunk of drawn faces."""
    start = FIRST_SEED[split] + first
    samples = [toy_sample(start + i) for i in range(count)]
    arrays = {key: np.ascontiguousarray(np.stack([s[key] for s in samples])) for key in samples[0]}
    (folder / split).mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(arrays, folder / split / f"{start:09d}.safetensors")
