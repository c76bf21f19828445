"""What the portrait networks read in the front pictures of a folder, and how far it is from the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...portrait.angles import head_angles
from ...portrait.beliefs import toned
from ...portrait.labels import LABELS
from ...portrait.nets.regressor import FaceReading
from ..metrics import mean_iou
from ..multiview import Frame, Scene, View
from ..truth import BLINKS, angle_between, channel_scores, gaze_directions
from .common import Metrics
from .scenes import turn

# background, skin, hair, clothes: all that the classical classes tell apart
TO_MERGED = np.array(
    [0 if n == "background" else 2 if n in ("hair", "hat") else 3 if n == "clothes" else 1 for n in LABELS]
)


@dataclass
class Readings:
    """What was read in the front pictures of all frames; summed over people before ratios are taken.

    Attributes:
        truth, fitted, read: lists of (52,) ARKit weights: true, of the fit, of the regressor.
        parser, merged_parser, merged_classical: confusions (12, 12), (4, 4), (4, 4), rows truth.
    """

    truth: list[np.ndarray]
    fitted: list[np.ndarray]
    read: list[np.ndarray]
    parser: np.ndarray
    merged_parser: np.ndarray
    merged_classical: np.ndarray

    @classmethod
    def empty(cls) -> Readings:
        return cls([], [], [], np.zeros((12, 12)), np.zeros((4, 4)), np.zeros((4, 4)))

    def add(self, other: Readings) -> None:
        self.truth += other.truth
        self.fitted += other.fitted
        self.read += other.read
        self.parser += other.parser
        self.merged_parser += other.merged_parser
        self.merged_classical += other.merged_classical

    def metrics(self) -> Metrics:
        """``arkit_*`` of the fit, ``regressor_*`` as read, ``believed_*`` of it by a fit, ``zero_mae``, ``parser_miou``
        and its kin."""
        out: Metrics = {}
        truth, every = np.array(self.truth), ("mae", "corr", "blink_recall", "quiet")
        believed = [toned(read) for read in self.read]
        for name, values, keys in (
            ("arkit", self.fitted, every), ("regressor", self.read, every), ("believed", believed, ("mae", "quiet"))
        ):  # fmt: skip
            if values and len(values) == len(truth):
                scores = channel_scores(truth, np.array(values))
                out |= {f"{name}_{k}": scores[k] for k in keys}
                out["zero_mae"] = scores["mae_zero"]
        for name, confusion in (
            ("parser_miou", self.parser), ("parser_miou4", self.merged_parser),
            ("classical_miou4", self.merged_classical),
        ):  # fmt: skip
            if confusion.sum():
                out[name], each = mean_iou(confusion)
                if name == "parser_miou":
                    out |= {f"parser_iou_{n}": float(v) for n, v in zip(LABELS, each, strict=True) if np.isfinite(v)}
        return out


def fronts(scene: Scene) -> list[View]:
    """The most frontal picture of every frame; the portrait itself of its own."""
    source = scene.views[scene.source]
    out = []
    for name in scene.frames:
        views = [v for v in scene.views if v.frame == name]
        if views:
            out.append(source if name == source.frame else min(views, key=lambda v: turn(source, v)))
    return out


def eyes_open(frame: Frame) -> bool:
    """Nobody sees where closed eyes look."""
    return frame.arkit is None or frame.arkit[list(BLINKS)].max() < 0.5


def reading_errors(reading: FaceReading, frame: Frame, view: View) -> Metrics:
    """``regressor_*_deg``: gaze where the eyes are open, head yaw and pitch in the camera's frame."""
    out = Metrics()
    if frame.gaze is not None and eyes_open(frame):
        out["regressor_gaze_deg"] = angle_between(
            gaze_directions(reading.gaze.astype(float)), gaze_directions(frame.gaze)
        )
    true = head_angles(view.camera.viewmat[:3, :3])
    for name, a, b in zip(("yaw", "pitch"), reading.head, true, strict=False):
        out[f"regressor_{name}_deg"] = abs((np.degrees(float(a) - b) + 180) % 360 - 180)
    return out
