"""The head of one person, fitted to all looked-at frames together, and each frame's pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..camera import Camera
from ..evaluation.align import head_marks
from ..head.model import HeadModel
from ..head.pose import HeadPose
from ..head.skinning import PersonalHead
from ..portrait.crop import face_height
from ..portrait.fit import warper_for
from ..portrait.solver import LANDMARKS
from ..portrait.tracking.follow import Seen
from ..portrait.tracking.person import Person
from ..portrait.warp import Targets, together

FACING = 0.15
"""Cosine between normal and view below which a landmark is the detector's guess."""


@dataclass(frozen=True)
class Fitted:
    """n frames of one person.

    Attributes:
        betas: (B,), vertex_offsets: (V, 3) metres, personal: the person's head. focal: pixels of the pictures that
            landmarks were found in.
        pose: n poses of the face. viewmat: (n, 4, 4) head space to camera.
        error: (n,) mean landmark distance as a share of the face's height, of landmarks that face the camera.
        yaw: (n,) degrees between where the face looks and where the camera stands.
    """

    betas: np.ndarray
    vertex_offsets: np.ndarray
    personal: PersonalHead
    focal: float
    pose: list[HeadPose]
    viewmat: np.ndarray
    error: np.ndarray
    yaw: np.ndarray


def fit_person(head: HeadModel, seen: Seen, focal: float | None = None) -> Fitted:
    """Fit one identity, one focal length and a smooth displacement to all frames, then each frame's pose.

    Args:
        seen: n frames, each with a face. focal: pixels, where the camera is known.
    """
    person = Person(head, seen, focal)
    betas = person.betas.astype(np.float32)
    rest = PersonalHead.create(head, betas).rest
    states = []
    for i in range(len(seen)):
        states.append(person.fit(i, states[-1] if states and _near(seen, i) else None))
    warper = warper_for(head)
    keys = person.keys()
    parts = [warper.landmark_targets(person.solver, person.observation(i), states[i]) for i in keys]
    offsets = warper.offsets(together(*(Targets(t.matrix, t.shift, t.weight / len(parts)) for t in parts)))
    personal = PersonalHead.create(head, betas, offsets)
    poses = [person.pose(i, state, rest) for i, state in enumerate(states)]
    viewmat = np.tile(np.eye(4), (len(states), 1, 1))
    for k, state in enumerate(states):
        viewmat[k, :3, :3], viewmat[k, :3, 3] = state.R, state.t
    error = [
        marks_error(personal, pose, camera_of(seen, i, states[i].focal, viewmat[i]), seen.points[i, :, :2])
        / face_height(seen.points[i, :, :2])
        for i, pose in enumerate(poses)
    ]
    eye = -np.einsum("nji,nj->ni", viewmat[:, :3, :3], viewmat[:, :3, 3])
    yaw = np.degrees(np.arccos(np.clip(eye[:, 2] / np.linalg.norm(eye, axis=1), -1, 1)))
    return Fitted(betas, offsets, personal, states[0].focal, poses, viewmat, np.array(error), yaw)


def _near(seen: Seen, i: int) -> bool:
    """Whether frame i's face stands about where the one before stood, so that its fit is a good start."""
    a, b = (face[:468, :2] for face in (seen.points[i - 1], seen.points[i]))
    return bool(np.linalg.norm(a - b, axis=1).mean() < 0.25 * face_height(a))


def camera_of(seen: Seen, i: int, focal: float, viewmat: np.ndarray) -> Camera:
    """The camera of a tracked picture, its principal point in the middle."""
    width, height = (int(v) for v in seen.size[i])
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Camera(width, height, K, viewmat)


def marks_error(personal: PersonalHead, pose: HeadPose, camera: Camera, marks: np.ndarray) -> float:
    """Mean distance in pixels between the head's landmarks and those that were found (468 or 478, 2), of those that
    face the camera."""
    points, normals = head_marks(personal.model, personal.vertices(pose))
    toward = camera.position - points
    facing = (normals * toward).sum(1) > FACING * np.linalg.norm(toward, axis=1)
    away = np.linalg.norm(camera.project(points)[:, :2] - marks[:LANDMARKS], axis=1)
    return float(away[facing].mean()) if facing.any() else float("nan")
