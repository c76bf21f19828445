"""A portrait's bytes to a ``PortraitFit``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..camera import Camera
from ..errors import MissingWeightsError, ProfileViewError
from ..head.model import HeadModel
from ..head.pose import HeadPose
from ..head.rotation import euler_to_matrix, matrix_to_axis_angle
from ..head.skinning import PersonalHead
from .agreement import with_lips
from .angles import head_angles
from .beliefs import told_controls, told_rotation, trusted
from .crop import Crop
from .gaze import gaze_angles, look_channels, with_reading
from .image import Photo, decode_photo
from .locate import Located, locate_face
from .matte import cut_out, head_window
from .nets.parser import parse
from .nets.regressor import FaceReading, face_ray, read_face
from .outline import find_outline
from .priors import EXIF_SD
from .solver import LANDMARKS, HeadSolver, Observation, State, focal_prior
from .types import PortraitFit, Progress, no_progress
from .warp import Warper, together

WARN_YAW = math.radians(35)
MAX_YAW = math.radians(55)
MAX_PITCH = math.radians(45)
T = TypeVar("T")
_solvers: dict[str, HeadSolver] = {}
_warpers: dict[str, Warper] = {}


def fit_portrait(data: bytes, head: HeadModel, *, progress: Progress = no_progress) -> PortraitFit:
    """Decode a photo, find its largest face, cut it out and fit ``head`` to it.

    Args:
        data: a JPEG, PNG, WebP, TIFF or BMP file.
        progress: called between the steps.
    Raises:
        ImageError, ImageTooLargeError, NoFaceError, FaceTooSmallError, ProfileViewError: what is wrong with the photo.
        MissingAssetError: the networks are not installed.
    """
    progress(0.0, "Reading the photo")
    photo = decode_photo(data)
    progress(0.2, "Finding the face")
    located = locate_face(photo)
    progress(0.45, "Cutting out the head")
    photo, points = located.photo, located.landmarks.points
    crop, probability = head_window(photo.image, points)
    image = crop.cut(photo.image)
    local = crop.to_crop(points)
    inside = crop.inside(photo.image.shape)
    parsing = _or_none(parse, image, local, probability)
    if parsing is None:
        matte = cut_out(image, probability, local, inside, tuple(_box(crop, b) for b in located.rivals))
    else:  # the parser knows this person from the others
        local = with_lips(local, parsing.probabilities)
        matte = cut_out(image, parsing.matte, local, inside)
    if photo.alpha is not None:
        matte = np.minimum(matte, crop.cut(photo.alpha).astype(np.float32) / 255)
    progress(0.7, "Fitting the head")
    solver = solver_for(head)
    solid = np.column_stack([local, located.landmarks.solid[:, 2] * crop.scale])
    reading = _or_none(read_face, image, solid)
    seen, state = _solve(solver, photo, crop, located, solid, reading)
    warnings = (*located.warnings, *_view_warnings(state))
    fit = _finish(solver, photo, crop, image, matte, solid, seen, state, reading, warnings)
    probabilities = None if parsing is None else parsing.probabilities
    return replace(fit, parsing=probabilities, covers=crop.covered(photo.image.shape))


def _or_none(network: Callable[..., T], *arguments: np.ndarray) -> T | None:
    """What a network of ours says; None where its weights are not installed: everything works without them."""
    try:
        return network(*arguments)
    except MissingWeightsError:
        return None


def solver_for(head: HeadModel) -> HeadSolver:
    """The solver of a head, made once a process."""
    return _kept(_solvers, head, HeadSolver)


def warper_for(head: HeadModel) -> Warper:
    """The warper of a head, made once a process."""
    return _kept(_warpers, head, Warper)


def _kept(made: dict[str, T], head: HeadModel, make: Callable[[HeadModel], T]) -> T:
    """What ``make`` gives for a head, from the four that were made last."""
    key = head.sha256
    if key not in made:
        if len(made) >= 4:
            made.pop(next(iter(made)))
        made[key] = make(head)
    return made[key]


def _box(crop: Crop, box: np.ndarray) -> np.ndarray:
    return crop.to_crop(box.reshape(2, 2)).reshape(4)


def _solve(
    solver: HeadSolver, photo: Photo, crop: Crop, located: Located, solid: np.ndarray, reading: FaceReading | None
) -> tuple[Observation, State]:
    local = solid[:, :2]
    h, w = photo.image.shape[:2]
    mean, sd = focal_prior((w, h), photo.focal_px, EXIF_SD)
    center = crop.to_crop(np.array([w / 2, h / 2]))
    focal = mean + math.log(crop.scale)
    seen = Observation(local[:LANDMARKS], trusted(solver.head.landmark_sigma), center, (focal, sd))
    if reading is not None:
        K = np.array([[math.exp(focal), 0, center[0]], [0, math.exp(focal), center[1]], [0, 0, 1.0]])
        seen = replace(
            seen, controls=told_controls(reading) if solver.controls.arkit else None,
            rotation=told_rotation(reading, face_ray(local, K)),
        )  # fmt: skip
    start = solver.initial(seen, located.landmarks.depth * crop.scale)
    return seen, solver.solve(seen, start)


def _view_warnings(state: State) -> tuple[str, ...]:
    yaw, pitch, _ = head_angles(state.R)
    degrees = abs(math.degrees(yaw))
    if abs(yaw) > MAX_YAW:
        raise ProfileViewError(
            f"The face is turned {degrees:.0f} degrees to the side; at most {math.degrees(MAX_YAW):.0f} can be used.",
            remedy="Use a photo in which both eyes look toward the camera.",
        )
    if abs(pitch) > MAX_PITCH:
        raise ProfileViewError(
            f"The face looks {abs(math.degrees(pitch)):.0f} degrees up or down; "
            f"at most {math.degrees(MAX_PITCH):.0f} can be used.",
            remedy="Use a photo in which the face looks toward the camera.",
        )
    if abs(yaw) > WARN_YAW:
        return (f"The face is turned {degrees:.0f} degrees to the side; its far half is guessed from the near one.",)
    return ()


def _camera(crop: Crop, seen: Observation, state: State) -> Camera:
    K = np.array([[state.focal, 0, seen.center[0]], [0, state.focal, seen.center[1]], [0, 0, 1.0]])
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = state.R, state.t
    return Camera(crop.size, crop.size, K, viewmat)


def _finish(
    solver: HeadSolver, photo: Photo, crop: Crop, image: np.ndarray, matte: np.ndarray, solid: np.ndarray,
    seen: Observation, state: State, reading: FaceReading | None, warnings: tuple[str, ...],
) -> PortraitFit:  # fmt: skip
    head, controls, local = solver.head, solver.controls, solid[:, :2]
    camera = _camera(crop, seen, state)
    betas = state.betas.astype(np.float32)
    angles = np.zeros((2, 3))
    for _ in range(2):  # lids follow the gaze; the rest of the face then explains the landmarks again
        personal = PersonalHead.create(head, betas)
        pose = posed(solver, state.controls, angles)
        angles = gaze_angles(head, betas, personal.vertices(pose), local, camera)
        if reading is not None:
            angles = with_reading(angles, reading)
        if not controls.arkit:
            break
        looking = np.where(controls.sd > 0, state.controls, look_channels(head, angles))
        state = solver.solve(seen, replace(state, controls=looking), iterations=6, warm=True)
        camera, betas = _camera(crop, seen, state), state.betas.astype(np.float32)
    pose = posed(solver, state.controls, angles)
    offsets = _warp(solver, seen, state, pose, camera, image, matte, local)
    personal = PersonalHead.create(head, betas, offsets)
    error = landmark_error(personal, pose, camera, local)
    if reading is not None:  # its head angles, in the frame of the camera that is known by now
        reading = read_face(image, solid, camera.K)
    return PortraitFit(
        image,
        matte,
        local.astype(np.float32),
        betas,
        offsets,
        pose,
        camera,
        error,
        photo.focal_px is not None,
        reading=reading,
        warnings=warnings,
    )


def _warp(
    solver: HeadSolver,
    seen: Observation,
    state: State,
    pose: HeadPose,
    camera: Camera,
    image: np.ndarray,
    matte: np.ndarray,
    local: np.ndarray,
) -> np.ndarray:
    """(V, 3) float32 metres that take the mesh the rest of the way to landmarks and outline."""
    head = solver.head
    warper = warper_for(head)
    vertices = PersonalHead.create(head, state.betas).vertices(pose)
    targets = [warper.landmark_targets(solver, seen, state)]
    outline = find_outline(head, vertices, camera, image, matte, local)
    if outline is not None:
        targets.append(warper.outline_targets(solver, state, outline, vertices))
    return warper.offsets(together(*targets))


def posed(solver: HeadSolver, controls: np.ndarray, eyes: np.ndarray) -> HeadPose:
    """What a solver's controls (U,) and eyeballs turned by Euler XYZ angles (2, 3) make of the face."""
    neutral = HeadPose.neutral(solver.head.expression_count)
    jaw = matrix_to_axis_angle(euler_to_matrix(solver.controls.to_jaw @ controls))
    eye_pose = matrix_to_axis_angle(euler_to_matrix(eyes)).reshape(6)
    expression = solver.controls.to_expression @ controls
    return replace(neutral, expression=expression, jaw_pose=jaw, eye_pose=eye_pose)


def landmark_error(personal: PersonalHead, pose: HeadPose, camera: Camera, landmarks: np.ndarray) -> float:
    """Mean distance in pixels between the head's 468 landmarks and the photo's."""
    head = personal.model
    corners = personal.vertices(pose)[head.faces[head.landmark_triangles]]
    points = (corners * head.landmark_bary[:, :, None]).sum(1)
    return float(np.linalg.norm(camera.project(points)[:, :2] - landmarks[:LANDMARKS], axis=1).mean())
