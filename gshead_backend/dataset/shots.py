"""Where a clip is cut, and which of its frames one person can be seen in without a break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ..portrait.tracking.clip import Clip
from ..portrait.tracking.follow import CHUNK, Seen, follow
from .settings import Settings

THUMB = (48, 27)
FACE = 96
CUT, CUT_RATIO = 0.03, 5.0
"""Change between two frames (0..1, mean over a thumbnail) that is a cut: so much, and so many times the usual near it.
"""
NEAR = 12
JUMP, GROWN = 1.0, 1.6
"""Between two looked-at frames, a face that moved by so many of its widths or grew by such a factor is another one."""
AWAY = 1.0
"""Seconds without a face, or two looked-at frames if that is longer, after which it is not known to be the same."""


@dataclass(frozen=True)
class Shot:
    """Frames that show one face, followed without a break.

    Attributes:
        numbers: (n,) of the frames in the clip. seen: what they show; every frame of it has a face.
        sharpness: (n,) variance of the face's Laplacian at a fixed size.
    """

    numbers: np.ndarray
    seen: Seen
    sharpness: np.ndarray


@dataclass(frozen=True)
class Taken:
    """Frames of a clip that are looked at.

    Attributes:
        number: (n,) of the frames. cut: (n,) bool: a cut lies between this one and the one before. unreadable: frames
            that should have been looked at and could not be decoded.
    """

    number: np.ndarray
    cut: np.ndarray
    unreadable: int


def take(clip: Clip, settings: Settings) -> Taken:
    """Choose frames by the settings, and find the cuts between all frames."""
    numbers, seconds, changes, bad = [], [], [], set()
    before: np.ndarray | None = None
    for number, at, image in clip.frames():
        numbers.append(number)
        seconds.append(at)
        if image is None:
            bad.add(number)
            changes.append(0.0)
            continue
        small = cv2.resize(image, THUMB, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        changes.append(0.0 if before is None else float(np.abs(small - before).mean()))
        before = small
    if settings.every:
        chosen = np.arange(0, len(numbers), settings.every)
    else:  # the first frame of every interval
        slot = np.floor(np.array(seconds) * settings.fps + 1e-6).astype(int)
        chosen = np.flatnonzero(np.diff(slot, prepend=-1) > 0)
    cuts = np.cumsum(_cuts(np.array(changes)))
    good = np.array([k for k in chosen if numbers[k] not in bad], int)
    cut = np.diff(cuts[good], prepend=cuts[good[0]] if good.size else 0) > 0
    return Taken(np.array(numbers, int)[good], cut, len(chosen) - len(good))


def _cuts(changes: np.ndarray) -> np.ndarray:
    """(n,) bool: a cut lies before this frame."""
    out = np.zeros(changes.size, bool)
    for k in np.flatnonzero(changes > CUT):
        near = np.concatenate([changes[max(k - NEAR, 1) : k], changes[k + 1 : k + 1 + NEAR]])
        out[k] = near.size == 0 or changes[k] > CUT_RATIO * float(np.median(near))
    return out


def shots(clip: Clip, taken: Taken, progress: Callable[[float], None] = lambda fraction: None) -> list[Shot]:
    """Follow the largest face of every shot. Frames without a face belong to none."""
    wanted = {int(n): bool(c) for n, c in zip(taken.number, taken.cut, strict=True)}
    parts: list[tuple[np.ndarray, Seen, np.ndarray]] = []  # of one shot: chunks of it
    found: list[Shot] = []
    done = 0
    for chunk, first in _chunks(clip, wanted):
        if first and parts:
            found += _unbroken(parts)
            parts = []
        near = next((b for _, s, _ in reversed(parts) if (b := s.last_box()) is not None), None)
        seen = follow([(t, image) for _, t, image in chunk], near)
        sharp = [sharpness(image, seen.points[i]) if seen.found[i] else 0.0 for i, (_, _, image) in enumerate(chunk)]
        parts.append((np.array([n for n, _, _ in chunk]), seen, np.array(sharp)))
        done += len(chunk)
        progress(done / max(len(wanted), 1))
    return found + (_unbroken(parts) if parts else [])


def _chunks(
    clip: Clip, wanted: dict[int, bool]
) -> Iterator[tuple[list[tuple[int, float, np.ndarray]], bool]]:  # fmt: skip
    """Wanted frames, at most ``CHUNK`` together and never beyond a cut; with whether they begin a shot."""
    chunk: list[tuple[int, float, np.ndarray]] = []
    first = True
    for number, seconds, image in clip.frames():
        if number not in wanted or image is None:
            continue
        if chunk and (wanted[number] or len(chunk) == CHUNK):
            yield chunk, first
            chunk, first = [], wanted[number]
        chunk.append((number, seconds, image))
    if chunk:
        yield chunk, first


def _unbroken(parts: list[tuple[np.ndarray, Seen, np.ndarray]]) -> list[Shot]:
    """One shot, parted where the face jumps, or comes back after a while."""
    numbers, sharp = np.concatenate([p[0] for p in parts]), np.concatenate([p[2] for p in parts])
    seen = Seen.joined([p[1] for p in parts])
    rows = np.flatnonzero(seen.found)
    if not rows.size:
        return []
    boxes = np.stack([np.concatenate([p.min(0), p.max(0)]) for p in seen.points[rows, :468, :2]])
    middle, side = (boxes[:, :2] + boxes[:, 2:]) / 2, np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    moved = np.linalg.norm(np.diff(middle, axis=0), axis=1) / side[:-1]
    usual = float(np.median(np.diff(seen.seconds))) if len(seen) > 1 else 0.0
    away = np.diff(seen.seconds[rows]) > max(AWAY, 2.5 * usual)
    jumps = (moved > JUMP) | (np.abs(np.diff(np.log(side))) > np.log(GROWN)) | away
    out = []
    for part in np.split(rows, np.flatnonzero(jumps) + 1):
        out.append(Shot(numbers[part], Seen(*(getattr(seen, n)[part] for n in Seen.names())), sharp[part]))
    return out


def sharpness(image: np.ndarray, points: np.ndarray) -> float:
    """Variance of the Laplacian of a face (points (478, 3)), brought to ``FACE`` pixels and a common brightness."""
    low, high = np.floor(points[:468, :2].min(0)).astype(int), np.ceil(points[:468, :2].max(0)).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, image.shape[1::-1])
    if (high - low).min() < 8:
        return 0.0
    grey = cv2.cvtColor(image[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
    face = cv2.resize(grey, (FACE, FACE), interpolation=cv2.INTER_AREA).astype(np.float32)
    face = (cv2.GaussianBlur(face, (0, 0), 0.8) / max(float(face.mean()), 1.0)).astype(np.float32)
    return float(cv2.Laplacian(face, cv2.CV_32F).var()) * 1e4
