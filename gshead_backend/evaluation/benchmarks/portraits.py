"""Benchmark ``portraits``: head pose, focal length and shape of synthetic portraits whose truth is known exactly.

The people are those of the test split, which no network is trained on, on the head that is fitted: nothing has to be
aligned, and a direction means the same in truth and fit.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ...errors import EvaluationError, PortraitError
from ...head.catalog import default_head
from ...head.skinning import PersonalHead
from ...portrait import fit_portrait
from ...portrait.angles import angles_as_seen
from ...portrait.types import Progress, no_progress
from ...training.synthetic.sample import FIRST_PERSON, SHOTS, Drawing, draw
from ..truth import similarity_error
from .common import Metrics

MAX_YAW, MAX_PITCH = 40.0, 20.0
BETWEEN_EYES = np.array([0.0, 0.02, 0.05])  # metres, head space
SHOTS_EACH = 3
NEAR = 2.0  # degrees


@dataclass(frozen=True)
class PortraitRead:
    """One portrait.

    Attributes:
        true, fitted: (3,) yaw, pitch, roll in degrees, as a camera sees them that looks at the eyes.
        distance, fitted_distance: metres to the eyes. focal_mm: the true focal length, 35 mm equivalent.
        identity_mm, mean_identity_mm: millimetres between the true neutral face and the fit's, the mean head's.
    """

    true: np.ndarray
    fitted: np.ndarray
    distance: float
    fitted_distance: float
    focal_mm: float
    identity_mm: float
    mean_identity_mm: float


def run_portraits(people: int, how: Drawing, progress: Progress = no_progress) -> Metrics:
    """Fit ``SHOTS_EACH`` portraits of each of the first ``people`` test people, those within the angles above.

    Raises ``EvaluationError`` when no face was found in any of them.
    """
    reads: list[PortraitRead] = []
    missed = 0
    for p in range(people):
        for k in range(SHOTS_EACH):
            progress((p * SHOTS_EACH + k) / (people * SHOTS_EACH), f"Portrait {k + 1} of person {p + 1}")
            sample = draw((FIRST_PERSON["test"] + p) * SHOTS + k, how)
            true = np.degrees(angles_as_seen(sample.camera.viewmat, BETWEEN_EYES))
            if abs(true[0]) > MAX_YAW or abs(true[1]) > MAX_PITCH:
                continue
            try:
                reads.append(_read(sample, true))
            except PortraitError:
                missed += 1
    if not reads:
        raise EvaluationError("No portrait could be read.", remedy="Draw more people with --people.")
    return summary(reads, missed)


def _read(sample: Any, true: np.ndarray) -> PortraitRead:
    file = io.BytesIO()
    Image.fromarray(sample.image).save(file, "PNG")
    head = default_head()
    fit = fit_portrait(file.getvalue(), head)
    face = np.unique(head.faces[head.landmark_triangles])
    shapes = [PersonalHead.create(head, b).rest[face].astype(float) for b in (sample.betas, 0 * sample.betas)]
    own = PersonalHead.create(head, fit.betas, fit.vertex_offsets).rest[face].astype(float)
    focal = float(sample.camera.K[0, 0]) / math.hypot(*sample.image.shape[:2]) * math.hypot(36, 24)
    return PortraitRead(
        true, np.degrees(angles_as_seen(fit.camera.viewmat, BETWEEN_EYES)), _away(sample.camera.viewmat),
        _away(fit.camera.viewmat), focal, 1000 * similarity_error(own, shapes[0]),
        1000 * similarity_error(shapes[1], shapes[0]),
    )  # fmt: skip


def _away(viewmat: np.ndarray) -> float:
    return float(np.linalg.norm(viewmat[:3, :3] @ BETWEEN_EYES + viewmat[:3, 3]))


def summary(reads: list[PortraitRead], missed: int) -> Metrics:
    """Means and medians; ``near_share`` are those whose yaw and pitch are both within ``NEAR``."""
    error = np.array([r.fitted - r.true for r in reads])
    error = (error + 180) % 360 - 180
    out: Metrics = {"portraits": float(len(reads)), "no_face": float(missed)}
    for i, name in enumerate(("yaw", "pitch", "roll")):
        out[f"{name}_deg"] = float(np.abs(error[:, i]).mean())
        out[f"{name}_median_deg"] = float(np.median(np.abs(error[:, i])))
        out[f"{name}_bias_deg"] = float(error[:, i].mean())
    out["near_share"] = float((np.abs(error[:, :2]) <= NEAR).all(1).mean())
    ratio = np.log([r.fitted_distance / r.distance for r in reads])
    for low, high in ((24, 35), (35, 60), (60, 90), (90, 135)):
        mine = np.array([low <= r.focal_mm <= high for r in reads])
        out[f"distance_ratio_{low}mm"] = float(np.exp(ratio[mine].mean())) if mine.any() else None
    out["identity_mm"] = float(np.mean([r.identity_mm for r in reads]))
    out["mean_head_identity_mm"] = float(np.mean([r.mean_identity_mm for r in reads]))
    return out
