"""Frames of a video file or of a folder of pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...errors import ArgumentError, ImageError
from ..image import decode_photo

MAX_SIDE = 1280
"""Larger frames are reduced: the landmark network looks at 192 pixels of face, and frames travel between processes."""
MAX_VIDEO_SIDE = 16384
FOLDER_FPS = 25.0
CONTAINERS = (
    "mov", "mp4", "matroska", "webm", "avi", "mpeg", "mpegts", "ogg", "asf", "flv", "mxf", "gif", "m4v", "h264", "hevc",
    "mjpeg", "dv",
)  # fmt: skip
"""FFmpeg's names."""
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Clip:
    """Pictures in order.

    Attributes:
        path: the video file or the folder. fps: nominal frames per second. count: frames, as the container tells.
        stamp: what tells this clip from a changed one. max_side: longer pictures are reduced to so many pixels.
    """

    path: Path
    fps: float
    count: int
    stamp: str
    max_side: int = MAX_SIDE

    def frames(self, start: int = 0) -> Iterator[tuple[int, float, np.ndarray | None]]:
        """(number from 0, seconds, (H, W, 3) uint8 sRGB or None when it cannot be decoded), from frame ``start``.

        Seconds are the container's where it tells them (phones vary their frame rate).
        """
        if self.path.is_dir():
            yield from self._pictures(start)
        else:
            yield from self._video(start)

    def _pictures(self, start: int) -> Iterator[tuple[int, float, np.ndarray | None]]:
        for i, path in enumerate(_pictures(self.path)):
            if i >= start:
                try:
                    image = reduced(decode_photo(path.read_bytes()).image, self.max_side)
                except (OSError, ImageError):
                    image = None
                yield i, i / self.fps, image

    def _video(self, start: int) -> Iterator[tuple[int, float, np.ndarray | None]]:
        video = open_video(self.path)
        try:
            last, i = -1.0, 0
            while video.grab():
                told = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                seconds = told if told > last else last + 1 / self.fps
                last = seconds
                if i >= start:
                    ok, image = video.retrieve()
                    yield i, seconds, reduced(np.ascontiguousarray(image[..., ::-1]), self.max_side) if ok else None
                i += 1
        finally:
            video.release()


def open_clip(path: str | Path, fps: float | None = None) -> Clip:
    """A video that OpenCV can read, or a folder of pictures in the order of the numbers in their names.

    Args:
        fps: overrides what a video says; of a folder, 25 when None.
    Raises:
        ArgumentError: nothing there, no pictures, or not a video.
    """
    path = Path(path)
    if fps is not None and not 1 <= fps <= 1000:
        raise ArgumentError(f"A clip has 1 to 1000 frames per second, got {fps:g}.")
    if path.is_dir():
        pictures = _pictures(path)
        if not pictures:
            raise ArgumentError(f"There are no pictures in '{path}'.", remedy=f"It reads {', '.join(PICTURES)}.")
        newest = max(p.stat().st_mtime_ns for p in pictures)
        return Clip(path, fps or FOLDER_FPS, len(pictures), f"{len(pictures)} {newest}")
    if not path.is_file():
        raise ArgumentError(f"'{path}' does not exist.", remedy="Name a video file or a folder of pictures.")
    video = open_video(path)
    try:
        told = video.get(cv2.CAP_PROP_FPS) if video.isOpened() else 0.0
        size = max(video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if not video.isOpened() or not 0 < size <= MAX_VIDEO_SIDE:
            raise ArgumentError(
                f"'{path}' is not a video that can be read here.",
                remedy="Convert it, for example to MP4 (H.264), or give a folder of pictures.",
            )
        count = int(max(video.get(cv2.CAP_PROP_FRAME_COUNT), 0))
    finally:
        video.release()
    stat = path.stat()
    return Clip(path, fps or (told if 1 <= told <= 1000 else FOLDER_FPS), count, f"{stat.st_size} {stat.st_mtime_ns}")


def open_video(path: Path) -> cv2.VideoCapture:
    """A video file, and nothing that it may name: playlists and numbered pictures would open other files.

    What FFmpeg sees in the bytes decides, not the name, so containers are listed here.
    """
    before = os.environ.get(_OPTIONS)
    os.environ[_OPTIONS] = f"protocol_whitelist;file|format_whitelist;{','.join(CONTAINERS)}"
    try:
        return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        os.environ.pop(_OPTIONS, None)
        if before is not None:
            os.environ[_OPTIONS] = before


def reduced(image: np.ndarray, side: int = MAX_SIDE) -> np.ndarray:
    """The picture with its longer side at most ``side`` pixels."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _pictures(folder: Path) -> list[Path]:
    def order(path: Path) -> tuple[list[int], str]:
        return [int(n) for n in re.findall(r"\d+", path.stem)][-1:], path.name

    found = [p for p in folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith(".")]
    return sorted(found, key=order)
