"""Benchmark ``people``: test people of another generator, with their truth."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ...errors import PortraitError
from ...head.model import HeadModel
from ...head.rotation import matrix_to_axis_angle
from ...head.skinning import PersonalHead
from ...methods.uvfit.classes import classify_by_color
from ...methods.uvfit.surface import head_surface
from ...portrait.angles import head_angles
from ...portrait.labels import LABELS
from ...portrait.types import Progress
from ..align import LANDMARKS, head_marks
from ..metrics import confusion_of, iou
from ..multiview import Scene, View, read_scene
from ..pictures import GREY, row, with_marks
from ..regions import eye_distance
from ..truth import (
    angle_between,
    arkit_of_pose,
    gaze_directions,
    gaze_of_pose,
    similarity_error,
)
from .common import Candidate, Clock, Item, Metrics, Shot, mean_metrics, take_shot
from .readings import TO_MERGED, Readings, eyes_open, fronts, reading_errors
from .scenes import Placed, describe, held_out_expressions, novel_views, place


def run_person(folder: Path, candidate: Candidate, progress: Progress) -> tuple[Item, Readings]:
    """All of ``people`` on one folder. Raises ``SceneError``, ``EvaluationError``, ``PortraitError``."""
    scene = read_scene(folder)
    clock = Clock()
    item = Item("people", scene.name)
    placed = place(scene, candidate, clock, progress)
    novel_views(placed, item, clock)
    held_out_expressions(placed, item, clock)
    started = time.perf_counter()
    item.metrics |= neutral_error(placed)
    readings = read_fronts(scene, placed, candidate, item)
    clock.add("readings", started)
    item.metrics |= readings.metrics()
    describe(placed, item)
    item.seconds = clock.seconds
    return item, readings


def neutral_error(placed: Placed) -> Metrics:
    """Identity: millimetres between neutral faces after rotation, translation and scale, where the truth has betas of
    the avatar's own head model. Expression that a neutral picture gets is told by ``arkit_quiet``."""
    scene, avatar = placed.scene, placed.avatar
    if scene.betas is None or scene.head is None or scene.head != avatar.head.name:
        return {}
    head = avatar.head
    true = PersonalHead.create(head, scene.betas)
    face = np.unique(head.faces[head.landmark_triangles])
    return {"identity_mm": 1000 * similarity_error(avatar.personal.rest[face].astype(float), true.rest[face])}


def read_fronts(scene: Scene, placed: Placed, candidate: Candidate, item: Item) -> Readings:
    """Fit the most frontal picture of every frame; gaze, head angles, landmarks, expression, classes, matte."""
    total, scored = Readings.empty(), []
    source = scene.views[scene.source]
    for view in fronts(scene):
        try:
            shot = placed.shot if view is source else take_shot(view.image.read_bytes(), candidate.head)
        except PortraitError as error:
            item.notes.append(f"{view.frame}: {error.message}")
            continue
        scored.append(_read_one(scene, view, shot, placed.avatar.head, total))
        if view is source:
            picture = _marks_picture(scene, view, shot, placed.avatar.head)
            item.pictures.insert(1, ("portrait; landmarks: green true, red fitted; matte", picture))
    item.metrics |= mean_metrics(scored)
    return total


def _read_one(scene: Scene, view: View, shot: Shot, model: HeadModel, total: Readings) -> Metrics:
    fit, frame, out = shot.fit, scene.frames[view.frame], Metrics()
    head = PersonalHead.create(model, fit.betas, fit.vertex_offsets)
    if frame.gaze is not None:
        if eyes_open(frame):
            out["gaze_deg"] = angle_between(gaze_of_pose(fit.pose), gaze_directions(frame.gaze))
        fitted, true = fit.camera.viewmat[:3, :3], view.camera.viewmat[:3, :3]
        out["head_deg"] = float(np.degrees(np.linalg.norm(matrix_to_axis_angle(fitted @ true.T))))
        for name, a, b in zip(("yaw", "pitch", "roll"), head_angles(fitted), head_angles(true), strict=True):
            out[f"head_{name}_deg"] = abs((np.degrees(a - b) + 180) % 360 - 180)
        if fit.reading is not None:
            out |= reading_errors(fit.reading, frame, view)
    known = scene.marks(view)
    if known is not None:
        unit = eye_distance(known)
        points, _ = head_marks(head.model, head.vertices(fit.pose))
        own = (fit.camera.project(points)[:, :2] - shot.crop[:, 2]) / shot.crop[0, 0]
        for name, marks in (("fit", own), ("detector", shot.marks[:LANDMARKS])):
            away = float(np.linalg.norm(marks - known[:LANDMARKS], axis=1).mean())
            out[f"{name}_landmarks_px"] = away * 512 / view.camera.width
            out[f"{name}_landmarks_iod"] = 100 * away / unit
    estimate = arkit_of_pose(head.model, fit.pose)
    if frame.arkit is not None and estimate is not None:
        total.truth.append(frame.arkit)
        total.fitted.append(np.clip(estimate, 0, 1))
        if fit.reading is not None:
            total.read.append(fit.reading.arkit)
    return out | _classes(view, shot, head, total)


def _classes(view: View, shot: Shot, head: PersonalHead, total: Readings) -> Metrics:
    """Matte error inside the crop; the classes go into the sums."""
    fit, out = shot.fit, Metrics()
    seen = shot.cut(np.ones((view.camera.height, view.camera.width), np.uint8), nearest=True) > 0
    matte = view.read_matte()
    if matte is not None:
        true = shot.cut(matte)
        out["matte_mae"] = float(np.abs(fit.matte - true)[seen].mean())
        out["matte_iou"] = iou((fit.matte > 0.5) & seen, (true > 0.5) & seen)
    labels = view.read_labels()
    if labels is None:
        return out
    truth = shot.cut(labels, nearest=True)
    if fit.parsing is not None:
        best = fit.parsing.argmax(0)
        total.parser += confusion_of(truth[seen], best[seen], len(LABELS))
        total.merged_parser += confusion_of(TO_MERGED[truth[seen]], TO_MERGED[best[seen]], 4)
    posed = head.vertices(fit.pose).astype(np.float64)
    classes = classify_by_color(fit, head_surface(head.model), posed)
    stack = np.stack([classes.skin, classes.hair, classes.clothes])
    best = np.where(fit.matte > 0.5, 1 + stack.argmax(0), 0)
    total.merged_classical += confusion_of(TO_MERGED[truth[seen]], best[seen], 4)
    return out


def _marks_picture(scene: Scene, view: View, shot: Shot, head: HeadModel) -> np.ndarray:
    """The source's crop, true landmarks (where known; else the detector's) and the fit's; the fit's classes."""
    fit = shot.fit
    points, _ = head_marks(head, PersonalHead.create(head, fit.betas, fit.vertex_offsets).vertices(fit.pose))
    own = fit.camera.project(points)[:, :2]
    known = scene.marks(view)
    true = fit.landmarks if known is None else known * shot.crop[0, 0] + shot.crop[:, 2]
    image = fit.image.astype(np.float32) / 255
    cut = image * fit.matte[..., None] + GREY * (1 - fit.matte[..., None])
    return row([image, with_marks(image, true, own), cut])
