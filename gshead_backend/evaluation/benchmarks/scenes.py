"""Scoring an avatar in the views of a multi-view folder (benchmark ``multiview``, and the pictures of ``people``)."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...avatar.types import Avatar
from ...errors import EvaluationError
from ...head.pose import HeadPose
from ...portrait.types import Progress
from ..align import LANDMARKS, Alignment, SeenMarks, align, head_marks
from ..metrics import iou, lpips_metric, psnr, ssim
from ..multiview import Scene, View, read_scene
from ..pictures import strip
from ..regions import above_neck, eye_distance, face_region, inside_both, mouth_region
from ..truth import pose_of_frame
from .common import Candidate, Clock, Item, Metrics, Shot, detect, draw, mean_metrics, take_shot

ANGLES = (0, 15, 30, 45, 60, 90, 135, 180)
FACE_ANGLE = 67.0  # degrees; beyond, the face region says little
_NEW_VIEWS, _NEW_FRAMES_VIEWS = 16, 2
_DETECTED = 4


@dataclass(frozen=True)
class Placed:
    """An avatar that stands in a scene's world."""

    scene: Scene
    shot: Shot
    avatar: Avatar
    alignment: Alignment

    def yaw(self, view: View) -> float:
        """Degrees around the head of a view's camera; 0 in front, positive toward the person's left."""
        x, _, z = np.linalg.inv(self.alignment.camera(view.camera).viewmat)[:3, 3]
        return math.degrees(math.atan2(x, z))

    def marks(self, view: View, pose: HeadPose) -> np.ndarray:
        """(468, 2) the avatar's own landmarks in a view."""
        points, _ = head_marks(self.avatar.head, self.avatar.personal.vertices(pose))
        return self.alignment.camera(view.camera).project(points)[:, :2]


def place(scene: Scene, candidate: Candidate, clock: Clock, progress: Progress) -> Placed:
    """Reconstruct from the source view and align."""
    source = scene.views[scene.source]
    started = time.perf_counter()
    shot = take_shot(source.image.read_bytes(), candidate.head)
    clock.add("fit", started)
    started = time.perf_counter()
    avatar = candidate.reconstruct(shot.fit, progress)
    clock.add("reconstruct", started)
    started = time.perf_counter()
    placed = Placed(scene, shot, avatar, aligned(scene, shot, avatar))
    clock.add("align", started)
    return placed


def aligned(scene: Scene, shot: Shot, avatar: Avatar) -> Alignment:
    """The alignment of an avatar that was made from the scene's source view."""
    source = scene.views[scene.source]
    fit = shot.fit
    points, normals = head_marks(avatar.head, avatar.personal.vertices(fit.pose))
    pixels = shot.marks[:LANDMARKS]
    start = fit.camera.viewmat.copy()  # nearer or farther as the true focal length is shorter or longer than the fit's
    start[:3, 3] *= source.camera.K[0, 0] * shot.crop[0, 0] / fit.camera.K[0, 0]
    others = _seen_elsewhere(scene, source)

    def overlap(to_world: np.ndarray) -> float:
        return _overlap(scene, source, avatar, fit.pose, to_world)

    mattes = any(v.matte is not None and v.frame == source.frame and v is not source for v in scene.views)
    return align(points, normals, source.camera, pixels, start, others, overlap if mattes else None)


def _seen_elsewhere(scene: Scene, source: View) -> list[SeenMarks]:
    """Landmarks of a few other views of the source's frame: the detector's, as in the portrait, so that a point means
    the same everywhere; the truth's where no face is found."""
    around = sorted(
        (v for v in scene.views if v.frame == source.frame and v is not source and 8 < turn(source, v) < 70),
        key=lambda v: abs(turn(source, v) - 30),
    )
    seen = [(v, detect(v.read_image())) for v in around[:_DETECTED]]
    if not any(m is not None for _, m in seen):
        seen = [(v, scene.marks(v)) for v in around]
    return [SeenMarks(v.index, v.camera, m[:LANDMARKS]) for v, m in seen if m is not None]


def turn(a: View, b: View) -> float:
    """Degrees between two cameras' orientations."""
    R = a.camera.viewmat[:3, :3] @ b.camera.viewmat[:3, :3].T
    return math.degrees(math.acos(np.clip((np.trace(R) - 1) / 2, -1, 1)))


def _overlap(scene: Scene, source: View, avatar: Avatar, pose: HeadPose, to_world: np.ndarray) -> float:
    """Mean silhouette overlap above the neck of a few small views."""
    views = [v for v in scene.views if v.matte is not None and v.frame == source.frame and v is not source]
    views = sorted(views, key=lambda v: abs(turn(source, v) - 60))[:3]
    placing = Alignment(to_world, float(np.cbrt(np.linalg.det(to_world[:3, :3]))), "", (), 0.0)
    points, _ = head_marks(avatar.head, avatar.personal.vertices(pose))
    scores = []
    for view in views:
        small = placing.camera(view.camera).resized(128, round(128 * view.camera.height / view.camera.width))
        _, alpha = draw(avatar, pose, small)
        matte = view.read_matte()
        assert matte is not None
        rows = (np.arange(small.height) * matte.shape[0] / small.height).astype(int)
        columns = (np.arange(small.width) * matte.shape[1] / small.width).astype(int)
        above = above_neck(small.project(points)[:, :2], replace(small, viewmat=view.camera.viewmat))
        scores.append(iou((alpha > 0.5) & above, (matte[np.ix_(rows, columns)] > 0.5) & above) or 0.0)
    return float(np.mean(scores))


def score_view(placed: Placed, view: View, pose: HeadPose) -> tuple[Metrics, np.ndarray]:
    """Metrics of one view, and its picture."""
    truth = view.read_image().astype(np.float32) / 255
    color, alpha = draw(placed.avatar, pose, placed.alignment.camera(view.camera))
    own = placed.marks(view, pose)
    known = placed.scene.marks(view)
    marks = own if known is None else known
    matte = view.read_matte()
    above = above_neck(marks, view.camera)
    both = inside_both(alpha if matte is None else matte, alpha)
    shape = alpha.shape
    near = abs(placed.yaw(view)) <= FACE_ANGLE
    face = face_region(marks, shape) & both if near else np.zeros(shape, bool)
    mouth = mouth_region(marks, shape) & both if near else face
    out: Metrics = {
        "face_psnr": psnr(color, truth, face), "face_ssim": ssim(color, truth, face),
        "head_psnr": psnr(color, truth, above & both), "head_ssim": ssim(color, truth, above & both),
        "mouth_psnr": psnr(color, truth, mouth),
        "iou": None if matte is None else iou((alpha > 0.5) & above, (matte > 0.5) & above),
    }  # fmt: skip
    lpips = lpips_metric()
    if lpips is not None and near:
        out["face_lpips"] = lpips(np.where(face[..., None], color, 0), np.where(face[..., None], truth, 0))
    if known is not None and near:
        away = float(np.linalg.norm(own - known[:LANDMARKS], axis=1).mean())
        out["landmarks_px"] = away * 512 / view.camera.width
        out["landmarks_iod"] = 100 * away / max(eye_distance(placed_front(placed, pose)), 1e-6)
    return out, strip(truth, color, alpha, above & both)


def placed_front(placed: Placed, pose: HeadPose) -> np.ndarray:
    """(468, 2) the landmarks in the source view: eye distances are taken there, where both eyes are seen."""
    source = placed.scene.views[placed.scene.source]
    known = placed.scene.marks(source)
    return placed.marks(source, pose) if known is None else known


def novel_views(placed: Placed, item: Item, clock: Clock) -> None:
    """The other views of the source's frame, by angle, and the source itself."""
    started = time.perf_counter()
    scene, pose = placed.scene, placed.shot.fit.pose
    source = scene.views[scene.source]
    new = [v for v in scene.views if v.frame == source.frame and v is not source][:_NEW_VIEWS]
    scored: list[tuple[int, Metrics]] = []
    for view in sorted(new, key=placed.yaw):
        metrics, picture = score_view(placed, view, pose)
        angle = min(ANGLES, key=lambda a: abs(a - abs(placed.yaw(view))))
        scored.append((angle, metrics))
        item.pictures.append((_caption(f"{placed.yaw(view):+.0f}°", metrics), picture))
    item.metrics |= mean_metrics([m for _, m in scored])
    for angle in ANGLES:
        for name, value in mean_metrics([m for a, m in scored if a == angle]).items():
            if name in ("face_psnr", "head_psnr", "iou") and value is not None:
                item.metrics[f"{name}_{angle}"] = value
    metrics, picture = score_view(placed, source, pose)
    item.metrics |= {f"source_{k}": v for k, v in metrics.items() if k in ("face_psnr", "face_ssim", "head_psnr")}
    item.pictures.insert(0, (_caption("source", metrics), picture))
    clock.add("views", started)


def held_out_expressions(placed: Placed, item: Item, clock: Clock) -> None:
    """Frames other than the source's: the avatar driven by the true weights and gaze against the true pictures."""
    started = time.perf_counter()
    scene = placed.scene
    rest = scene.views[scene.source].frame
    scored: list[Metrics] = []
    for frame in scene.frames.values():
        views = [v for v in scene.views if v.frame == frame.name and abs(placed.yaw(v)) <= 40]
        if frame.name == rest or frame.arkit is None or not views:
            continue
        pose = pose_of_frame(placed.avatar.head, frame)
        views.sort(key=lambda v: turn(scene.views[scene.source], v))
        for i, view in enumerate(views[:_NEW_FRAMES_VIEWS]):
            metrics, picture = score_view(placed, view, pose)
            scored.append(metrics)
            if i == 0:
                item.pictures.append((_caption(frame.name, metrics), picture))
    item.metrics |= {
        f"expression_{k}": v
        for k, v in mean_metrics(scored).items()
        if k in ("face_psnr", "face_ssim", "mouth_psnr", "landmarks_iod")
    }
    clock.add("expressions", started)


def _caption(what: str, metrics: Metrics) -> str:
    told = [("face", "face_psnr", "dB"), ("head", "head_psnr", "dB"), ("IoU", "iou", "")]
    values = [f"{n} {metrics[k]:.2f} {u}".strip() for n, k, u in told if metrics.get(k) is not None]
    return ": ".join([what, ", ".join(values)]) if values else what


def run_multiview(folder: Path, candidate: Candidate, progress: Progress) -> Item:
    """Benchmark ``multiview`` on one folder. Raises ``SceneError``, and ``EvaluationError`` without a second view."""
    scene = read_scene(folder)
    if len(scene.views) < 2:
        raise EvaluationError(f"'{folder}' has one view; novel views need two or more.")
    clock = Clock()
    item = Item("multiview", scene.name)
    placed = place(scene, candidate, clock, progress)
    novel_views(placed, item, clock)
    held_out_expressions(placed, item, clock)
    describe(placed, item)
    item.seconds = clock.seconds
    return item


def describe(placed: Placed, item: Item) -> None:
    """The alignment's own numbers."""
    found = placed.alignment
    item.metrics |= {"scale": found.scale, "align_px": found.residual_px}
    item.notes.append(f"scale {found.scale:.4f} from {found.method} ({len(found.views)} views)")
    item.notes += list(placed.shot.fit.warnings)
