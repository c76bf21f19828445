"""Benchmark ``photos``: real portraits, of which only the photo itself is known."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np

from ...avatar.drive import drive
from ...avatar.types import Avatar
from ...head.pose import HeadPose
from ...portrait.detect import Face
from ...portrait.landmarks import find_landmarks
from ...portrait.types import PortraitFit, Progress
from ...raster import rasterize
from ..align import LANDMARKS
from ..metrics import dilated, eroded, psnr, ssim
from ..pictures import row, strip, with_marks
from ..regions import above_neck, eye_distance, face_region
from ..standard_take import slow_take, standard_take
from .common import Candidate, Clock, Item, Metrics, draw, take_shot
from .stage import SIZE, Stage

_BORDER = 4
_FLOATER_REACH = 6
_HIDDEN_DEPTH = 0.015  # metres behind what the photo's camera sees: surely hidden
MOVED = {"offset": 5e-4, "color": 0.02, "log_scale": 0.1, "opacity_logit": 0.3}
"""A splat has moved when one of its values changed by more: metres, sRGB, log, logit."""


def run_photo(path: Path, candidate: Candidate, progress: Progress) -> Item:
    """All of ``photos`` on one picture file. Raises ``PortraitError`` and what reading a file raises."""
    clock = Clock()
    item = Item("photos", path.stem)
    started = time.perf_counter()
    fit = take_shot(path.read_bytes(), candidate.head).fit
    clock.add("fit", started)
    started = time.perf_counter()
    avatar = candidate.reconstruct(fit, progress)
    clock.add("reconstruct", started)
    for name, measure in (("source", _source), ("drift", _drift), ("jitter", _jitter), ("floaters", _floaters)):
        started = time.perf_counter()
        item.metrics |= measure(avatar, fit, item)
        clock.add(name, started)
    started = time.perf_counter()
    item.metrics |= moved_splats(candidate.reconstruct(fit, fit_steps=0), avatar, fit)
    clock.add("hidden", started)
    item.metrics["fit_landmarks_px"] = fit.error_px * SIZE / fit.image.shape[1]
    item.notes += list(fit.warnings)
    item.seconds = clock.seconds
    return item


def _source(avatar: Avatar, fit: PortraitFit, item: Item) -> Metrics:
    """The photo itself, inside its eroded matte."""
    color, alpha = draw(avatar, fit.pose, fit.camera)
    shown = color * alpha[..., None]
    truth = fit.image.astype(np.float32) / 255
    pixels = max(1, round(_BORDER * fit.image.shape[0] / SIZE))
    inside = eroded(fit.matte > 0.9, pixels)
    bottom = np.flatnonzero((alpha > 0.5).any(1))
    if bottom.size:  # the bust ends somewhere; what hangs below is not modelled
        inside[int(bottom[-1]) - 4 * pixels :] = False
    quality = psnr(shown, truth, inside)
    item.pictures.append((f"source: {quality or 0:.2f} dB inside the matte", strip(truth, color, alpha, inside)))
    above = above_neck(fit.landmarks, fit.camera) & inside
    return {
        "source_psnr": quality,
        "source_ssim": ssim(shown, truth, inside),
        "source_head_psnr": psnr(shown, truth, above),
        "source_face_psnr": psnr(shown, truth, face_region(fit.landmarks, alpha.shape) & inside),
    }


def _drift(avatar: Avatar, fit: PortraitFit, item: Item) -> Metrics:
    """How far the detector sees the landmarks of the renderings from the head's own, over the standard take; and how
    much of that comes with the motion: what it saw of the neutral face (the take's first frame) taken off. The
    detector's own idea of where a landmark lies is most of the first and drops out of the second."""
    stage = Stage.of(avatar)
    take, names = standard_take()
    away, offsets, worst, shown = [], [], (0.0, ""), []
    unit = eye_distance(stage.marks(take.pose(avatar.head, 1)))
    for i, name in enumerate(names):
        pose = take.pose(avatar.head, i + 1)
        picture, _ = stage.picture(pose)
        own = stage.marks(pose)
        seen = _detected(picture, own)
        far = float(np.linalg.norm(seen - own, axis=1).mean())
        away.append(far)
        offsets.append(seen - own)
        worst = max(worst, (far, name))
        shown.append(_close(with_marks(picture, own, seen), own))
    for start in range(0, len(shown), 5):
        label = ", ".join(f"{n} {a:.1f} px" for n, a in zip(names[start:], away[start : start + 5], strict=False))
        item.pictures.append((f"standard take (green: the head's landmarks, red: seen): {label}",
                              row(shown[start : start + 5])))  # fmt: skip
    item.notes.append(f"largest landmark drift: {worst[1]}, {worst[0]:.1f} px")
    mean = float(np.mean(away))
    moved = float(np.linalg.norm(np.array(offsets[1:]) - offsets[0], axis=2).mean())
    return {"drift_px": mean, "drift_iod": 100 * mean / unit, "drift_worst_px": worst[0],
            "drift_motion_iod": 100 * moved / unit}  # fmt: skip


def _close(picture: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """The square around the face."""
    low, high = marks.min(0), marks.max(0)
    reach = 0.62 * float((high - low).max())
    x, y = (np.clip((low + high) / 2, reach, SIZE - reach)).astype(int)
    r = int(min(reach, x, y, SIZE - x, SIZE - y))
    return picture[y - r : y + r, x - r : x + r]


def _detected(picture: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(468, 2) detector landmarks in a rendering; where the face is, is known."""
    low, high = near.min(0), near.max(0)
    face = Face(np.concatenate([low, high]), np.zeros((6, 2)), 1.0)
    return find_landmarks((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8), face).points[:LANDMARKS]


def _jitter(avatar: Avatar, fit: PortraitFit, item: Item) -> Metrics:
    """Second differences in time of the pixels of a slow, even motion, in 8-bit steps: what flickers or pops."""
    stage = Stage.of(avatar)
    take = slow_take()
    frames, alphas = zip(*(stage.picture(take.pose(avatar.head, f)) for f in take.frames), strict=True)
    stack = np.stack(frames)
    inside = eroded(np.min(alphas, axis=0) > 0.9, 3)
    second = np.abs(stack[:-2] - 2 * stack[1:-1] + stack[2:])[:, inside]
    return {"jitter": float(255 * second.mean()), "jitter_p99": float(255 * np.percentile(second, 99))}


def _floaters(avatar: Avatar, fit: PortraitFit, item: Item) -> Metrics:
    """Share of the alpha outside the widened largest part, from eight sides."""
    stage = Stage.of(avatar)
    pose = HeadPose.neutral(avatar.head.expression_count)
    outside = total = 0.0
    pictures = []
    for yaw in range(0, 360, 45):
        picture, alpha = stage.picture(pose, yaw)
        stray = stray_alpha(alpha)
        outside += float(stray.sum())
        total += float(alpha.sum())
        pictures.append(np.where(stray[..., None] > 0.02, [1.0, 0.0, 1.0], picture))
    item.pictures.append(("from eight sides, what floats in magenta", row(pictures[:4])))
    item.pictures.append(("", row(pictures[4:])))
    return {"floaters_pct": 100 * outside / max(total, 1e-9)}


def stray_alpha(alpha: np.ndarray) -> np.ndarray:
    """(H, W): ``alpha`` outside the widened silhouette of its largest connected part."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.3).astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(alpha)
    main = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.where(dilated(main, _FLOATER_REACH), 0, alpha)


def moved_splats(before: Avatar, after: Avatar, fit: PortraitFit) -> Metrics:
    """Share of the splats that the photo does not show and that its fit changed nevertheless, percent."""
    if len(before) != len(after):
        return {"hidden_moved_pct": None}
    hidden = hidden_splats(before, fit)
    moved = np.zeros(len(before), bool)
    for key, limit in MOVED.items():
        change = np.abs(getattr(after, key).astype(np.float32) - getattr(before, key).astype(np.float32))
        moved |= change.reshape(len(before), -1).max(1) > limit
    share = float(moved[hidden].mean()) if hidden.any() else 0.0
    return {"hidden_moved_pct": 100 * share, "hidden_pct": 100 * float(hidden.mean())}


def hidden_splats(avatar: Avatar, fit: PortraitFit) -> np.ndarray:
    """(N,) bool: surely behind the surface that the photo's camera sees, or outside its frame."""
    splats = drive(avatar, fit.pose)
    depth = np.asarray(rasterize(splats, fit.camera).depth)
    u, v, z = fit.camera.project(splats.means).T
    h, w = depth.shape
    inside = (u >= 0) & (u < w) & (v >= 0) & (v < h) & (z > 0)
    at = depth[np.clip(v, 0, h - 1).astype(int), np.clip(u, 0, w - 1).astype(int)]
    return ~inside | (z > at + _HIDDEN_DEPTH)
