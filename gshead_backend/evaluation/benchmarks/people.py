"""Benchmark ``people``: test people of another generator, with their truth."""

from __future__ import annotations

import time
from dataclasses import dataclass
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
from ..metrics import confusion_of, iou, mean_iou
from ..multiview import Scene, View, read_scene
from ..pictures import GREY, row, with_marks
from ..regions import eye_distance
from ..truth import (
    BLINKS,
    angle_between,
    arkit_of_pose,
    channel_scores,
    gaze_directions,
    gaze_of_pose,
    similarity_error,
)
from .common import Candidate, Clock, Item, Metrics, Shot, mean_metrics, take_shot
from .scenes import Placed, describe, held_out_expressions, novel_views, place, turn

# background, skin, hair, clothes: all that the classical classes tell apart
_TO_MERGED = np.array(
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
        """``arkit_*`` of the fit, ``regressor_*``, ``zero_mae``, ``parser_miou`` and its kin."""
        out: Metrics = {}
        truth = np.array(self.truth)
        for name, values in (("arkit", self.fitted), ("regressor", self.read)):
            if values and len(values) == len(truth):
                scores = channel_scores(truth, np.array(values))
                out |= {f"{name}_{k}": scores[k] for k in ("mae", "corr", "blink_recall", "quiet")}
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
    for frame in scene.frames.values():
        views = [v for v in scene.views if v.frame == frame.name]
        if not views:
            continue
        view = source if frame.name == source.frame else min(views, key=lambda v: turn(source, v))
        try:
            shot = placed.shot if view is source else take_shot(view.image.read_bytes(), candidate.head)
        except PortraitError as error:
            item.notes.append(f"{frame.name}: {error.message}")
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
        open_eyes = frame.arkit is None or frame.arkit[list(BLINKS)].max() < 0.5  # nobody sees where closed eyes look
        if open_eyes:
            out["gaze_deg"] = angle_between(gaze_of_pose(fit.pose), gaze_directions(frame.gaze))
        fitted, true = fit.camera.viewmat[:3, :3], view.camera.viewmat[:3, :3]
        out["head_deg"] = float(np.degrees(np.linalg.norm(matrix_to_axis_angle(fitted @ true.T))))
        for name, a, b in zip(("yaw", "pitch", "roll"), head_angles(fitted), head_angles(true), strict=True):
            out[f"head_{name}_deg"] = abs((np.degrees(a - b) + 180) % 360 - 180)
        if fit.reading is not None:
            read = gaze_directions(fit.reading.gaze.astype(float))
            if open_eyes:
                out["regressor_gaze_deg"] = angle_between(read, gaze_directions(frame.gaze))
            for name, a, b in zip(("yaw", "pitch"), fit.reading.head, head_angles(true), strict=False):
                out[f"regressor_{name}_deg"] = abs((np.degrees(float(a) - b) + 180) % 360 - 180)
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
        total.merged_parser += confusion_of(_TO_MERGED[truth[seen]], _TO_MERGED[best[seen]], 4)
    posed = head.vertices(fit.pose).astype(np.float64)
    classes = classify_by_color(fit, head_surface(head.model), posed)
    stack = np.stack([classes.skin, classes.hair, classes.clothes])
    best = np.where(fit.matte > 0.5, 1 + stack.argmax(0), 0)
    total.merged_classical += confusion_of(_TO_MERGED[truth[seen]], best[seen], 4)
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
