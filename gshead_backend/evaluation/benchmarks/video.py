"""Benchmark ``video``: self-reenactment. The first frame makes the avatar, the others drive it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ...errors import EvaluationError, PortraitError
from ...portrait.tracking import open_video
from ...portrait.types import Progress
from ..align import LANDMARKS, head_marks, rigid_pose
from ..metrics import iou, psnr, ssim
from ..pictures import strip
from ..regions import above_neck, eye_distance, face_region, inside_both
from .common import Candidate, Clock, Item, Metrics, draw, mean_metrics, take_shot

FRAMES = 12
"""So many frames, spread evenly, drive the avatar; each costs a fit."""
MAX_SIDE = 8192
_PICTURES = 4


def run_video(path: Path, candidate: Candidate, progress: Progress, frames: int = FRAMES) -> Item:
    """Benchmark ``video`` on one file that OpenCV can read.

    Raises ``EvaluationError`` when it cannot, and ``PortraitError`` when the first frame shows no usable face.
    """
    clock = Clock()
    item = Item("video", path.stem)
    pictures = read_frames(path, frames + 1)
    _, first = next(pictures)
    started = time.perf_counter()
    source = take_shot(_bmp(first), candidate.head).fit
    clock.add("fit", started)
    started = time.perf_counter()
    avatar = candidate.reconstruct(source, progress)
    clock.add("reconstruct", started)
    scored: list[Metrics] = []
    for number, image in pictures:
        started = time.perf_counter()
        try:
            fit = take_shot(_bmp(image), candidate.head).fit
        except PortraitError as error:
            item.notes.append(f"frame {number}: {error.message}")
            continue
        clock.add("fit", started)
        # The person is the source's; only where the head stands is solved again, so that its own shape fits the frame.
        points, _ = head_marks(avatar.head, avatar.personal.vertices(fit.pose))
        seen = fit.landmarks[:LANDMARKS].astype(np.float64)
        camera = replace(fit.camera, viewmat=rigid_pose(points, seen, fit.camera, fit.camera.viewmat))
        color, alpha = draw(avatar, fit.pose, camera)
        truth = fit.image.astype(np.float32) / 255
        above = above_neck(seen, camera)
        both = inside_both(fit.matte, alpha)
        face = face_region(seen, alpha.shape) & both
        away = float(np.linalg.norm(camera.project(points)[:, :2] - seen, axis=1).mean())
        metrics: Metrics = {
            "face_psnr": psnr(color, truth, face), "face_ssim": ssim(color, truth, face),
            "head_psnr": psnr(color, truth, above & both), "head_ssim": ssim(color, truth, above & both),
            "iou": iou((alpha > 0.5) & above, (fit.matte > 0.5) & above),
            "landmarks_px": away * 512 / alpha.shape[1], "landmarks_iod": 100 * away / max(eye_distance(seen), 1e-6),
        }  # fmt: skip
        scored.append(metrics)
        if len(item.pictures) < _PICTURES:
            item.pictures.append((f"frame {number}: face {metrics['face_psnr'] or 0:.2f} dB",
                                  strip(truth, color, alpha, above & both)))  # fmt: skip
    if not scored:
        raise EvaluationError(f"'{path.name}': no frame after the first shows a face that can be fitted.")
    item.metrics |= mean_metrics(scored)
    item.notes += [f"{len(scored)} frames", *source.warnings]
    item.seconds = clock.seconds
    return item


def read_frames(path: Path, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """The first frame and ``count - 1`` others, evenly spread: number and (H, W, 3) uint8 RGB.

    Raises ``EvaluationError`` when the file is no video, or has one frame only.
    """
    video = open_video(path)
    try:
        total = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        size = max(video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) if total else 0
        if total < 2 or not 0 < size <= MAX_SIDE:
            raise EvaluationError(
                f"'{path.name}' is not a video of two or more frames that can be read here.",
                remedy="Convert it, for example to MP4 (H.264) or AVI (MJPG).",
            )
        wanted = set(np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int)).tolist())
        found = 0
        for number in range(total):
            if not video.grab():
                break
            if number in wanted:
                ok, image = video.retrieve()
                if ok:
                    found += 1
                    yield number, np.ascontiguousarray(image[..., ::-1])
        if found < 2:
            raise EvaluationError(f"'{path.name}': only {found} frames could be decoded.")
    finally:
        video.release()


def _bmp(image: np.ndarray) -> bytes:
    ok, data = cv2.imencode(".bmp", image[..., ::-1])
    assert ok
    return data.tobytes()
