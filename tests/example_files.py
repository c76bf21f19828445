"""What the examples of docs/api.md find in their folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
from tiny import make_tiny_head
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.file import save_avatar

ROOT = Path(__file__).parents[1]


def make_example_files(folder: Path) -> None:
    """``photo.jpg``, ``take.json``, a tiny ``head.gshead`` and ``clip.mp4``: a quarter of a second of the portrait."""
    portrait = cv2.imread(str(ROOT / "samples" / "astronaut.png"))
    assert portrait is not None
    cv2.imwrite(str(folder / "photo.jpg"), portrait, [cv2.IMWRITE_JPEG_QUALITY, 95])
    shutil.copy(ROOT / "samples" / "take_demo.json", folder / "take.json")
    save_avatar(make_tiny_avatar(make_tiny_head()), folder / "head.gshead")
    video = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 24, (512, 512))
    assert video.isOpened()
    for _ in range(6):
        video.write(portrait)
    video.release()
