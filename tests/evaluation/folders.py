"""A multi-view folder with truth: the painted head of the method tests, seen by our own rasterizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from synthetic_portrait import arkit_pose, camera_at, landmarks, painted_head

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import Avatar
from gshead_backend.head import HeadModel
from gshead_backend.raster import rasterize

FRAMES: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "jawOpen": 0.2},
}
YAWS = (0.0, -30.0, 30.0, -60.0)


def painted(head: HeadModel) -> Avatar:
    betas = (np.random.default_rng(1).standard_normal(head.identity_count) * 0.4).astype(np.float32)
    return painted_head(head, betas)


def write_folder(
    folder: Path, truth: Avatar, *, size: int = 320, scale: float = 1.0, marks: bool = True, mattes: bool = True,
    frames: dict[str, dict[str, float]] = FRAMES, yaws: tuple[float, ...] = YAWS,
) -> dict[str, Any]:  # fmt: skip
    """Render and write the folder; the world is ``scale`` times as large as the head. Returns its document."""
    folder.mkdir(parents=True, exist_ok=True)
    background = np.array([0.45, 0.5, 0.55], np.float32)
    views, points = [], []
    for frame, channels in frames.items():
        pose = arkit_pose(truth.head, **channels)
        vertices = truth.personal.vertices(pose)
        for i, yaw in enumerate(yaws if frame == "neutral" else yaws[:1]):
            camera = camera_at(truth.head, vertices, yaw, size=size)
            seen = rasterize(drive(truth, pose), camera, background=background)
            name = f"{frame}_{i}"
            cv2.imwrite(
                str(folder / f"{name}.png"), (np.clip(seen.color, 0, 1) * 255 + 0.5).astype(np.uint8)[..., ::-1]
            )
            cv2.imwrite(str(folder / f"{name}_matte.png"), (np.clip(seen.alpha, 0, 1) * 255 + 0.5).astype(np.uint8))
            viewmat = camera.viewmat.copy()
            viewmat[:3, 3] *= scale
            view = {"image": f"{name}.png", "frame": frame, "K": camera.K.tolist(), "viewmat": viewmat.tolist()}
            views.append(view | ({"matte": f"{name}_matte.png"} if mattes else {}))
            points.append(landmarks(truth.personal, vertices, camera))
    still = {"left": [0.0, 0.0], "right": [0.0, 0.0]}
    document = {
        "format": "gshead-multiview", "version": 1, "name": "painted", "license": "CC0-1.0",
        "frames": {name: {"arkit": channels, "gaze_deg": still} for name, channels in frames.items()},
        "views": views, "source": 0, "head": truth.head.name, "betas": truth.betas.tolist(),
    }  # fmt: skip
    if marks:
        np.savez(folder / "landmarks.npz", landmarks=np.array(points, np.float32))
        document["landmarks"] = "landmarks.npz"
    (folder / "scene.json").write_text(json.dumps(document))
    return document
