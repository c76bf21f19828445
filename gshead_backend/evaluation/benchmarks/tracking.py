"""Benchmark ``tracking``: a clip of a person that our own generator did not make, against its truth."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import EvaluationError
from ...head.arkit import ARKIT_INDEX
from ...head.model import HeadModel
from ...head.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from ...portrait.tracking import Track, open_clip, track
from ...portrait.types import Progress, no_progress
from ..truth import BLINKS, angle_between, channel_scores, gaze_directions
from .common import Metrics

CLOSED, OPEN = 0.08, 0.2  # of jawOpen
NEAR = 5  # frames before and after a closure in which the mouth was open
KEPT = 0.4
"""A closure is kept when the tracked jaw falls below this share of how far it opens on either side."""
_JAW = ARKIT_INDEX["jawOpen"]


@dataclass(frozen=True)
class ClipTruth:
    """arkit: (F, 52). gaze: (F, 2, 2) radians. R: (F, 3, 3) head to OpenCV camera. focal: pixels."""

    name: str
    fps: float
    arkit: np.ndarray
    gaze: np.ndarray
    R: np.ndarray
    focal: float


def read_clip(folder: Path) -> ClipTruth:
    """``clip.json`` of a rendered clip. Raises ``EvaluationError``."""
    try:
        document: dict[str, Any] = json.loads((folder / "clip.json").read_text("utf-8"))
        if document.get("format") != "gshead-clip" or document.get("version") != 1:
            raise ValueError("it is of another format or version")
        frames = document["frames"]
        arkit = np.zeros((len(frames), 52), np.float32)
        for i, frame in enumerate(frames):
            for name, value in frame["arkit"].items():
                arkit[i, ARKIT_INDEX[name]] = value
        gaze = np.radians([[f["gaze_deg"]["left"], f["gaze_deg"]["right"]] for f in frames])
        R = np.array([f["viewmat"] for f in frames], float)[:, :3, :3]
        return ClipTruth(str(document["name"]), float(document["fps"]), arkit, gaze, R, float(frames[0]["K"][0][0]))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise EvaluationError(
            f"'{folder}' is not a clip with truth: {error}.", remedy="'gshead evaluate clips' renders some."
        ) from error


def run_clip(folder: Path, head: HeadModel, *, smooth: float = 1.0, progress: Progress = no_progress) -> Metrics:
    """Track a rendered clip and compare. Raises ``EvaluationError``, ``NoFaceError``."""
    truth = read_clip(folder)
    clip = open_clip(folder, truth.fps)
    began = time.perf_counter()
    found = track(clip, head, smooth=smooth, progress=progress)
    seconds = time.perf_counter() - began
    if len(found.arkit) != len(truth.arkit):
        raise EvaluationError(f"'{folder}' has {len(found.arkit)} pictures and {len(truth.arkit)} frames of truth.")
    return {**compared(truth, found), "frames_per_second": len(truth.arkit) / seconds}


def compared(truth: ClipTruth, found: Track) -> Metrics:
    """Errors of a track.

    Head rotation is compared after the clip's mean offset is taken out (``head_offset_deg`` tells it): which
    orientation of a face is "straight" is a convention, how it moves is not.
    """
    scores = channel_scores(truth.arkit, found.arkit)
    out: Metrics = {f"arkit_{k}": scores[k] for k in ("mae", "corr", "blink_recall", "quiet")}
    out["zero_mae"] = scores["mae_zero"]
    turns = matrix_to_axis_angle(found.viewmat[:, :3, :3] @ truth.R.transpose(0, 2, 1))
    offset = turns.mean(0)
    back = matrix_to_axis_angle(axis_angle_to_matrix(-offset) @ axis_angle_to_matrix(turns))
    out["head_deg"] = float(np.degrees(np.linalg.norm(back, axis=1)).mean())
    out["head_offset_deg"] = float(np.degrees(np.linalg.norm(offset)))
    awake = np.flatnonzero(truth.arkit[:, BLINKS].max(1) < 0.5)
    looked = _gaze(found)
    for name, gaze in (("gaze_deg", looked), ("zero_gaze_deg", np.zeros_like(truth.gaze))):
        away = [angle_between(gaze_directions(gaze[i]), gaze_directions(truth.gaze[i])) for i in awake]
        out[name] = float(np.mean(away)) if away else None
    kept = closures(truth.arkit[:, _JAW], found.arkit[:, _JAW])
    out["closures"], out["closures_kept"] = float(len(kept)), float(np.mean(kept)) if kept else None
    out["found"] = float(found.found.mean())
    out["focal_error"] = abs(found.focal / truth.focal - 1)
    return out


def closures(true: np.ndarray, seen: np.ndarray) -> list[bool]:
    """Whether each closure of the true jaw (F,) between two openings is one of the tracked jaw (F,), too."""
    kept = []
    for i in range(1, len(true) - 1):
        before, after = slice(max(0, i - NEAR), i), slice(i + 1, i + 1 + NEAR)
        closed = true[i] < CLOSED and true[i] <= true[i - 1] and true[i] < true[i + 1]
        if closed and true[before].max() > OPEN and true[after].max() > OPEN:
            opened = min(seen[before].max(), seen[after].max())
            kept.append(bool(seen[max(0, i - 1) : i + 2].min() < KEPT * opened))
    return kept


def _gaze(found: Track) -> np.ndarray:
    """(F, 2, 2) yaw and pitch in radians of a track's eyeballs."""
    return np.radians(np.stack([found.gaze[..., 1], -found.gaze[..., 0]], -1))
