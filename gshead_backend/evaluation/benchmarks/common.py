"""What every benchmark uses: one reconstruction under test, its renderings, and what it hands on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from ...avatar.types import Avatar
from ...camera import Camera
from ...errors import FaceTooSmallError, NoFaceError
from ...head.model import HeadModel
from ...head.pose import HeadPose
from ...methods import Quality, ReconstructOptions, get_method
from ...methods.draw import drawer_of
from ...portrait.fit import fit_portrait
from ...portrait.image import decode_photo
from ...portrait.locate import locate_face
from ...portrait.types import PortraitFit, Progress, no_progress

Metrics = dict[str, float | None]
EYES = (33, 133, 263, 362)  # landmarks: the corners


@dataclass(frozen=True)
class Candidate:
    """What is under test: a method at a quality, on a head model and a device; with ``fitted`` off, before it has been
    fitted to the photo."""

    method: str
    quality: Quality
    head: HeadModel
    device: str = "cpu"
    seed: int = 0
    fitted: bool = True

    @property
    def label(self) -> str:
        """The quality as reports name it."""
        return self.quality if self.fitted else f"{self.quality}, not fitted"

    def options(self, **changes: Any) -> ReconstructOptions:
        steps = None if self.fitted else 0
        return replace(
            ReconstructOptions(self.quality, "evaluated", self.seed, self.device, fit_steps=steps), **changes
        )

    def reconstruct(self, fit: PortraitFit, progress: Progress = no_progress, **changes: Any) -> Avatar:
        return get_method(self.method)(fit, self.head, self.options(**changes), progress)


@dataclass
class Item:
    """One person, photo, folder or video with what was measured on it.

    Attributes:
        metrics: name to value, None where it could not be measured. pictures: caption to (H, W, 3) uint8.
        notes: sentences. seconds: by stage.
    """

    benchmark: str
    name: str
    metrics: Metrics = field(default_factory=dict)
    pictures: list[tuple[str, np.ndarray]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


class Clock:
    """Seconds by name, added up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, name: str, since: float) -> None:
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - since, 3)


@dataclass(frozen=True)
class Shot:
    """A fitted portrait, and where its crop lies in the picture.

    Attributes:
        marks: (478, 2) landmarks in pixels of the picture, as the fit took them.
        crop: (2, 3) picture pixels to ``fit.image`` pixels.
    """

    fit: PortraitFit
    marks: np.ndarray
    crop: np.ndarray

    def cut(self, image: np.ndarray, *, nearest: bool = False) -> np.ndarray:
        """A picture of the same view, (H, W[, C]), to the crop of the fit; black outside."""
        shifted = self.crop.copy()
        shifted[:, 2] += self.crop[:, :2] @ np.full(2, 0.5) - 0.5
        size = self.fit.image.shape[1], self.fit.image.shape[0]
        small = self.crop[0, 0] < 0.75
        how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA if small else cv2.INTER_LINEAR
        return cv2.warpAffine(image, shifted, size, flags=how)


def take_shot(data: bytes, head: HeadModel) -> Shot:
    """Fit a picture as ``reconstruct`` does. Raises what ``fit_portrait`` raises."""
    marks = locate_face(decode_photo(data)).landmarks.points
    fit = fit_portrait(data, head)
    eyes, there = marks[list(EYES)], fit.landmarks[list(EYES)]  # a fit may move what lies below the nose
    a, b = eyes - eyes.mean(0), there - there.mean(0)
    scale = float((a * b).sum() / (a * a).sum())
    shift = there.mean(0) - scale * eyes.mean(0)
    crop = np.concatenate([np.eye(2) * scale, shift[:, None]], 1)
    return Shot(fit, (fit.landmarks - shift) / scale, crop.astype(np.float64))


def detect(image: np.ndarray) -> np.ndarray | None:
    """(478, 2) landmarks in an (H, W, 3) uint8 picture, None where no face is found."""
    ok, data = cv2.imencode(".bmp", image[..., ::-1])
    try:
        return locate_face(decode_photo(data.tobytes())).landmarks.points if ok else None
    except (NoFaceError, FaceTooSmallError):
        return None


def draw(avatar: Avatar, pose: HeadPose, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Straight colours (H, W, 3) float32 0..1 (black where nothing is) and alpha (H, W)."""
    if "evaluation_drawer" not in avatar._cache:
        avatar._cache["evaluation_drawer"] = drawer_of(avatar)
    seen = avatar._cache["evaluation_drawer"](pose, camera)
    alpha = np.clip(np.asarray(seen.alpha), 0, 1)
    color = np.asarray(seen.color) / np.maximum(alpha, 1e-3)[..., None]
    return np.clip(color, 0, 1).astype(np.float32), alpha.astype(np.float32)


def mean_metrics(metrics: Sequence[Mapping[str, float | None]]) -> Metrics:
    """Means by name over those that have a value; None where none has."""
    names = dict.fromkeys(name for m in metrics for name in m)
    out: Metrics = {}
    for name in names:
        values = [v for m in metrics if (v := m.get(name)) is not None]
        out[name] = float(np.mean(values)) if values else None
    return out
