"""A calibrated multi-view folder to one person and their frames: the cameras are known, the head is put among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..camera import Camera
from ..errors import EvaluationError, NoFaceError
from ..evaluation.align import SeenMarks, align, head_marks
from ..evaluation.multiview import Scene, View, read_scene
from ..head.model import HeadModel
from ..portrait.solver import LANDMARKS
from ..portrait.tracking.clip import reduced
from ..portrait.tracking.follow import Seen, follow
from ..training.footage_shard import CodedFrame, coded
from .cropping import ENLARGED, cropped, given_matte, head_crop_of, matte_of, projected_marks
from .fitted import Fitted, fit_person, marks_error
from .placing import Placing, placed
from .plan import PersonPlan, Plan, error_facts
from .settings import Counts, Settings

VIRTUAL = 1024
"""Pixels of the common camera that all landmarks are brought to: identity is fitted to all views together."""
FRONT, SIDE = 45.0, 60.0
"""Degrees up to which a view may give an instant's expression, and up to which its landmarks count."""
MATTED = 100.0
"""Degrees up to which a view's matte can be found where the folder brings none."""
MISFIT = 0.06
"""Landmark error through the known cameras, as a share of the head's height in pixels, that has no good reason."""


@dataclass(frozen=True)
class Found:
    """The face in one view. row: in ``Seen``. camera: of the reduced picture. marks: (478, 2) pixels in it."""

    view: View
    row: int
    camera: Camera
    marks: np.ndarray


def plan_capture(
    path: Path, head: HeadModel, settings: Settings, progress: Callable[[float, str], None] = lambda f, t: None
) -> Plan:
    """Look at a capture.

    Raises ``SceneError`` when the folder is none, ``NoFaceError`` without a face, ``EvaluationError`` when no instant
    has two views of the face from which its size can be told.
    """
    scene, counts = read_scene(path), Counts()
    counts.looked = len(scene.views)
    found, seen = _look(scene, lambda f: progress(0.9 * f, "finding the face in every view"))
    if not found:
        raise NoFaceError(f"None of the {len(scene.views)} views of '{path.name}' shows a face.")
    focal = float(VIRTUAL)
    fitted = fit_person(head, seen, focal)
    instants = {name: [f for f in found if f.view.frame == name] for name in scene.frames}
    places, scale = _places(instants, fitted, path)
    frames: list[_Shown] = []
    errors = []
    for k, (name, place) in enumerate(places.items()):
        marks = {f.view.index: f for f in instants[name]}
        for view in (v for v in scene.views if v.frame == name):
            if place is None:
                counts.drop("turned_away" if instants[name] else "no_face")
                continue
            shown = _Shown(view, k, place, marks.get(view.index), scale)
            reason, error = _reason(shown, fitted, settings)
            if reason:
                counts.drop(reason)
            else:
                frames.append(shown)
                errors.append(error)
    if not frames:
        raise NoFaceError(f"None of the {len(scene.views)} views of '{path.name}' can be used.")
    cameras = {key: i for i, key in enumerate(dict.fromkeys(_camera_key(v.camera) for v in scene.views))}

    def made(first: int) -> Iterator[CodedFrame]:
        for shown in frames[first:]:
            yield _frame(shown, fitted, settings, cameras[_camera_key(shown.view.camera)])

    facts = {"instants": sum(p is not None for p in places.values()), "world_units_per_metre": round(scale, 5),
             **error_facts(np.array(errors))}  # fmt: skip
    person = PersonPlan("capture", fitted.betas, fitted.vertex_offsets, len(frames), made)
    return Plan("multiview", [person], counts, scene.license, facts)


def _look(scene: Scene, progress: Callable[[float], None]) -> tuple[list[Found], Seen]:
    found, parts = [], []
    for k, view in enumerate(scene.views):
        image = reduced(view.read_image())
        seen = follow([(float(list(scene.frames).index(view.frame)), image)], None)
        if seen.found[0]:
            camera = view.camera.resized(image.shape[1], image.shape[0])
            found.append(Found(view, len(found), camera, seen.points[0, :, :2].copy()))
            seen.points[0] = _brought(seen.points[0], camera)
            seen.size[0] = VIRTUAL
            parts.append(seen)
        progress((k + 1) / len(scene.views))
    return found, Seen.joined(parts) if parts else follow([], None)


def _brought(points: np.ndarray, camera: Camera) -> np.ndarray:
    """(478, 3) pixels and depth of a known camera to those of the common one that looks along the same axis."""
    f = camera.K[[0, 1], [0, 1]]
    xy = (points[:, :2] - camera.K[:2, 2]) / f * VIRTUAL + VIRTUAL / 2
    return np.column_stack([xy, points[:, 2] * VIRTUAL / f[0]])


def _places(
    instants: dict[str, list[Found]], fitted: Fitted, path: Path
) -> tuple[dict[str, Placing | None], float]:  # fmt: skip
    """Where the head stands at each instant, and the one scale of the capture."""
    first: dict[str, Placing | None] = {}
    for name, found in instants.items():
        useful = [f for f in found if fitted.yaw[f.row] <= SIDE]
        front = min(useful, key=lambda f: fitted.yaw[f.row], default=None)
        if front is None or fitted.yaw[front.row] > FRONT:
            first[name] = None
            continue
        points, normals = head_marks(fitted.personal.model, fitted.personal.vertices(fitted.pose[front.row]))
        others = [SeenMarks(f.view.index, f.camera, f.marks[:LANDMARKS]) for f in useful if f is not front]
        start = align(points, normals, front.camera, front.marks[:LANDMARKS], fitted.viewmat[front.row], others)
        source = SeenMarks(front.view.index, front.camera, front.marks[:LANDMARKS])
        first[name] = placed(points, normals, front.row, [source, *others], start)
    scales = [p.scale for p in first.values() if p is not None and len(p.seen) > 1]
    if not scales:
        raise EvaluationError(
            f"'{path.name}' shows the face from one side only at every instant, so its size cannot be told.",
            remedy="Give at least one frame with two views that are turned up to 60 degrees from the face.",
        )
    scale = float(np.median(scales))
    return {name: None if p is None else p.at_scale(scale) for name, p in first.items()}, scale


@dataclass(frozen=True)
class _Shown:
    """A view that may become a frame. instant: counted from 0. found: the face in it, None where it was not."""

    view: View
    instant: int
    place: Placing
    found: Found | None
    scale: float

    def camera(self, world: Camera) -> Camera:
        """The camera that sees head space, in metres, as ``world`` sees the world."""
        viewmat = world.viewmat @ self.place.to_world
        viewmat[:3] /= self.scale
        return replace(world, viewmat=viewmat)

    @property
    def yaw(self) -> float:
        """Degrees between where the face looks and where the camera stands."""
        eye = self.camera(self.view.camera).position
        return float(np.degrees(np.arccos(np.clip(eye[2] / np.linalg.norm(eye), -1, 1))))


def _reason(shown: _Shown, fitted: Fitted, settings: Settings) -> tuple[str, float]:
    """Why a view is dropped or "", and its landmark error as a share of the head's height (NaN without landmarks)."""
    camera = shown.camera(shown.view.camera)
    crop = head_crop_of(fitted.personal, camera, settings.size)
    if crop.side < settings.size / ENLARGED:
        return "too_small", 0.0
    if shown.view.matte is None and shown.yaw > MATTED:
        return "no_matte", 0.0
    if shown.found is None or shown.yaw > SIDE:
        return "", float("nan")
    near = shown.camera(shown.found.camera)
    height = 0.5 * crop.side * near.width / camera.width
    error = marks_error(fitted.personal, fitted.pose[shown.place.row], near, shown.found.marks) / height
    return ("does_not_fit" if error > MISFIT else ""), error


def _frame(shown: _Shown, fitted: Fitted, settings: Settings, view: int) -> CodedFrame:
    image, camera = shown.view.read_image(), shown.camera(shown.view.camera)
    crop = head_crop_of(fitted.personal, camera, settings.size)
    near, pose = cropped(camera, crop), fitted.pose[shown.place.row]
    picture, error = crop.cut(image), float("nan")
    local = projected_marks(fitted.personal.model, fitted.personal, pose, near)
    if shown.found is not None and shown.yaw <= SIDE:
        local = crop.to_crop(shown.found.marks * (shown.view.camera.width / shown.found.camera.width))
        error = marks_error(fitted.personal, pose, near, local)
    given = shown.view.read_matte()
    matte = matte_of(picture, local, crop.inside(image.shape)) if given is None else given_matte(given, crop)
    return coded(
        picture, matte, near, pose, time=float(shown.instant), view=view, number=shown.view.index, error_px=error,
        covers=crop.covered(image.shape),
    )  # fmt: skip


def _camera_key(camera: Camera) -> bytes:
    return camera.K.tobytes() + camera.viewmat.tobytes() + bytes([camera.width % 256, camera.height % 256])
