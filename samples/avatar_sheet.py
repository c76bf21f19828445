"""A contact sheet of an avatar: what it looks like from five angles, at rest and with the expressions that matter.

    python samples/avatar_sheet.py avatar.gshead -o sheet.jpg

Runs in the backend's environment (``.venvs/backend``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.file import load_avatar
from gshead_backend.avatar.types import Avatar
from gshead_backend.camera import orbit_camera
from gshead_backend.head import ARKIT_INDEX, HeadPose, pose_from_arkit
from gshead_backend.raster import rasterize

ANGLES = (-60, -30, 0, 30, 60)
ROWS: tuple[tuple[str, dict[str, float]], ...] = (
    ("neutral", {}),
    ("eyeBlink", {"eyeBlink": 1}),
    ("mouthSmile", {"mouthSmile": 0.9, "cheekSquint": 0.4}),
    ("jawOpen", {"jawOpen": 0.8}),
    ("gaze left", {"eyeLookOutLeft": 0.85, "eyeLookInRight": 0.8}),
    ("mouthPucker", {"mouthPucker": 0.8, "browInnerUp": 0.7}),
)


def pose_of(avatar: Avatar, channels: dict[str, float]) -> HeadPose:
    """A pose from ARKit channels; a name without Left or Right sets both sides."""
    values = np.zeros(52, np.float32)
    for name, value in channels.items():
        for key in [name] if name in ARKIT_INDEX else [name + "Left", name + "Right"]:
            values[ARKIT_INDEX[key]] = value
    return pose_from_arkit(avatar.head, values)


def picture(avatar: Avatar, channels: dict[str, float], yaw: float, size: int) -> np.ndarray:
    """(size, size, 3) uint8 over light grey."""
    pose = pose_of(avatar, channels)
    camera = orbit_camera(yaw, 0, size=(size, size), focal_mm=85, distance=1.1, target=(0.0, -0.01, 0.0))
    seen = rasterize(drive(avatar, pose), camera, background=np.full(3, 0.82, np.float32))
    return (np.clip(seen.color, 0, 1) * 255 + 0.5).astype(np.uint8)


def sheet(avatar: Avatar, size: int = 256) -> np.ndarray:
    """(rows * size, 5 * size, 3) uint8, labelled."""
    lines = []
    for label, channels in ROWS:
        cells = [picture(avatar, channels, yaw, size) for yaw in ANGLES]
        line = np.ascontiguousarray(np.concatenate(cells, 1))
        cv2.putText(line, label, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 20, 20), 1, cv2.LINE_AA)
        lines.append(line)
    return np.concatenate(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("sheet.jpg"))
    parser.add_argument("--size", type=int, default=256, help="pixels of one picture")
    options = parser.parse_args()
    if not cv2.imwrite(str(options.out), sheet(load_avatar(options.avatar), options.size)[..., ::-1]):
        raise SystemExit(f"{options.out} could not be written: is its folder there, and its name a picture's?")
    print(options.out)


if __name__ == "__main__":
    main()
