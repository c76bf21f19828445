"""Benchmark ``networks``: parser and regressor by themselves, on the fronts of test people, without any fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import EvaluationError, PortraitError
from ...portrait.image import decode_photo
from ...portrait.labels import LABEL_INDEX, LABELS
from ...portrait.locate import locate_face
from ...portrait.matte import head_window
from ...portrait.nets.parser import parse
from ...portrait.nets.regressor import read_face
from ...portrait.types import Progress, no_progress
from ...training.crops import UNKNOWN, cut_labels
from ..metrics import confusion_of
from ..multiview import Scene, View, read_scene
from .common import Metrics, mean_metrics
from .readings import Readings, fronts, reading_errors

ALL, SEEN = "all", "eyes visible"
CLASSES = [f"parser_iou_{name}" for name in LABELS]


def run_networks(folders: Sequence[Path], progress: Progress = no_progress) -> dict[str, Metrics]:
    """What the networks say of each person, of all together, and of those whose eyes dark glasses do not hide.

    Pixels and channels are summed over people before ratios are taken.

    Returns:
        Person, ``ALL`` or ``SEEN`` (only where somebody's eyes are hidden) to ``parser_miou``, ``parser_iou_*``,
        ``regressor_mae`` and its kin, ``zero_mae``, ``faces`` (pictures read), ``missed`` (no face found).
    Raises:
        SceneError: a folder is broken. EvaluationError: no face in any of them. MissingWeightsError: no weights.
    """
    told: dict[str, Metrics] = {}
    sums = {ALL: Readings.empty(), SEEN: Readings.empty()}
    errors: dict[str, list[Metrics]] = {ALL: [], SEEN: []}
    for i, folder in enumerate(folders):
        progress(i / len(folders), folder.name)
        scene = read_scene(folder)
        own, mine = Readings.empty(), list[Metrics]()
        for view in fronts(scene):
            mine.append(_read(scene, view, own))
        told[scene.name] = _summary(own, mine)
        for group in (ALL, SEEN) if _eyes_show(scene) else (ALL,):
            sums[group].add(own)
            errors[group] += mine
    if not sums[ALL].parser.any() and not sums[ALL].read:
        raise EvaluationError("No face was found on any picture.", remedy="Render people: 'gshead evaluate people'.")
    for group in (ALL, SEEN) if 0 < len(errors[SEEN]) < len(errors[ALL]) else (ALL,):
        told[group] = _summary(sums[group], errors[group])
    return told


def _read(scene: Scene, view: View, total: Readings) -> Metrics:
    try:
        found = locate_face(decode_photo(view.image.read_bytes()))
    except PortraitError:
        return {"missed": 1.0}
    image, marks = found.photo.image, found.landmarks
    height, width = image.shape[:2]
    frame, labels = scene.frames[view.frame], view.read_labels()
    if labels is not None and labels.shape == (height, width):
        crop, person = head_window(image, marks.points)
        best = parse(crop.cut(image), crop.to_crop(marks.points), person).probabilities.argmax(0)
        truth = cut_labels(labels, crop)
        known = truth != UNKNOWN
        total.parser += confusion_of(truth[known], best[known], len(LABELS))
    reading = read_face(image, marks.solid, view.camera.resized(width, height).K)
    if frame.arkit is not None:
        total.truth.append(frame.arkit)
        total.read.append(reading.arkit)
    return {"missed": 0.0, **reading_errors(reading, frame, view)}


def _summary(readings: Readings, errors: list[Metrics]) -> Metrics:
    missed = sum(e["missed"] or 0.0 for e in errors)
    means = {k: v for k, v in mean_metrics(errors).items() if k != "missed"}
    return {**readings.metrics(), **means, "faces": len(errors) - missed, "missed": missed}


def _eyes_show(scene: Scene) -> bool:
    """Whether any pixel of the portrait is an eye's; where there are no labels, nothing says otherwise."""
    labels = scene.views[scene.source].read_labels()
    return labels is None or bool(np.any(labels == LABEL_INDEX["eyes"]))
