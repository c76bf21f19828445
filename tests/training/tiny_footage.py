"""Footage of made-up people on the made-up head, in milliseconds, and a network small enough to learn them."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny_avatar import make_tiny_avatar  # pyright: ignore[reportMissingImports]

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import Avatar
from gshead_backend.camera import orbit_camera
from gshead_backend.head import HeadModel, HeadPose
from gshead_backend.head.file import save_head
from gshead_backend.raster import rasterize
from gshead_backend.training.config import Augment, TrainConfig
from gshead_backend.training.footage_shard import About, coded, write_shard

SIDE = 64
SHAPE = {
    "image": 28, "patch": 7, "width": 32, "depth": 4, "heads": 2, "level0": 8, "level1": 12, "level2": 16, "level3": 16,
    "fused": 12, "embedding": 8, "features": 8, "lift_hidden": 16, "point_hidden": 16, "size": 32, "style": 16,
    "unet_most": 16, "unet_total": 256,
}  # fmt: skip


def install_head(data_folder: Path, head: HeadModel) -> None:
    """The head as an imported one of a data folder (``$GSHEAD_DATA_DIR``)."""
    (data_folder / "heads").mkdir(parents=True, exist_ok=True)
    save_head(head, data_folder / "heads" / "tiny.safetensors")


def person(head: HeadModel, seed: int) -> Avatar:
    """A head of one colour with darker and lighter spots, in front of nothing."""
    avatar = make_tiny_avatar(head, 1500, seed=seed)
    hue = np.random.default_rng((seed, 9)).uniform(0.15, 0.95, 3)
    color = np.clip(hue + 0.25 * (avatar.color - 0.5), 0, 1).astype(np.float32)
    return dataclasses.replace(avatar, color=color, log_scale=avatar.log_scale + 0.7)


def write_people(folder: Path, head: HeadModel, seeds: range, *, frames: int = 4, split: str = "train") -> None:
    """One shard a person; frame k looks another way with another mouth."""
    for seed in seeds:
        avatar, stored = person(head, seed), []
        for k in range(frames):
            rng = np.random.default_rng((seed, k))
            pose = HeadPose.neutral(head.expression_count)
            expression = (rng.random(head.expression_count) * 0.3 * (rng.random(head.expression_count) < 0.1)).astype(
                np.float32
            )
            pose = dataclasses.replace(pose, expression=expression)
            camera = orbit_camera(float(rng.uniform(-25, 25)), float(rng.uniform(-8, 8)), size=(SIDE, SIDE))
            seen = rasterize(drive(avatar, pose), camera)
            matte = np.clip(seen.alpha, 0, 1)
            straight = np.clip(seen.color / np.maximum(matte, 0.02)[..., None], 0, 1)
            stored.append(
                coded((straight * 255).astype(np.uint8), (matte * 255).astype(np.uint8), camera, pose, time=float(k),
                      view=0, number=k, error_px=0.5, covers=np.array([0.0, 0, SIDE, SIDE]))
            )  # fmt: skip
        about = About(head.name, head.sha256, f"{seed:08x}", f"{seed:08x}", "made up", split, "clip", "k", SIDE)
        write_shard(
            folder / "footage" / f"{split}-{seed}.safetensors", about, avatar.betas, avatar.vertex_offsets, stored
        )


def tiny_config(**changes: Any) -> TrainConfig:
    values = {
        "network": "gagavatar", "shape": SHAPE, "batch": 2, "steps": 4, "warmup": 2, "decay": 0.0, "lr": 2e-3,
        "validate_every": 1000, "validation_samples": 8, "perceptual": 0.01, "reenact": {},
        "augment": msgspec.to_builtins(Augment.none()), **changes,
    }  # fmt: skip
    return msgspec.convert(values, TrainConfig)
