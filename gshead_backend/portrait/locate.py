"""Choosing the one face of a photo: detector proposes, landmark network confirms, the largest wins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import FaceTooSmallError, NoFaceError
from .detect import Face, detect_faces
from .image import Photo
from .landmarks import Landmarks, face_presence, find_landmarks

PRESENT = 0.6
CERTAIN = 0.97
MIN_FACE_PX = 40  # below, the landmarks are guesses
SMALL_FACE_PX = 96
MAX_CANDIDATES = 12
MAX_ROLL = 1.0  # radians; a head tilted further lies in a photo that lies
_NOTES = {
    1: "The photo lay on its right side; it was turned upright.",
    2: "The photo was upside down; it was turned upright.",
    3: "The photo lay on its left side; it was turned upright.",
}


@dataclass(frozen=True)
class Located:
    """The chosen face.

    Attributes:
        photo: turned by quarter turns so that the face is upright. landmarks: of the face, in its pixels.
        rivals: (4,) boxes of the other faces. warnings: sentences for the user.
    """

    photo: Photo
    landmarks: Landmarks
    rivals: tuple[np.ndarray, ...]
    warnings: tuple[str, ...]


def locate_face(photo: Photo) -> Located:
    """The largest face of a photo.

    Raises:
        NoFaceError: no face, or only patterns that look like one. FaceTooSmallError: fewer than ``MIN_FACE_PX``.
    """
    photo, faces = _upright(photo)
    if not faces:
        raise NoFaceError(
            "No face was found in the image.",
            remedy="Use a photo in which one face looks toward the camera, evenly lit and not covered.",
        )
    face = max(faces, key=lambda f: f.size)
    if face.size < MIN_FACE_PX:
        raise FaceTooSmallError(
            f"The face is only {face.size:.0f} pixels wide; at least {MIN_FACE_PX} are needed.",
            remedy="Use a closer or larger photo; 300 pixels or more give a good likeness.",
        )
    warnings = list(photo.notes)
    if face.size < SMALL_FACE_PX:
        warnings.append(f"The face is only {face.size:.0f} pixels wide; a closer photo gives more detail.")
    others = [f for f in faces if f is not face and f.size > 0.25 * face.size]
    if others:
        warnings.append(f"There are {len(others) + 1} faces in the photo; the largest is used.")
    rivals = tuple(f.box for f in faces if f is not face)
    return Located(photo, find_landmarks(photo.image, face), rivals, tuple(warnings))


@dataclass(frozen=True)
class _Confirmed:
    face: Face
    presence: float
    roll: float


def _upright(photo: Photo) -> tuple[Photo, list[Face]]:
    """The photo turned so that its largest face is upright, and its confirmed faces."""
    best: tuple[float, Photo, list[Face]] = (0.0, photo, [])
    for turns in (0, 2, 1, 3):
        candidate = _turned(photo, turns)
        found = _confirmed(candidate.image, fine=turns == 0)
        if not found:
            continue
        roll = max(found, key=lambda c: c.face.size).roll
        if abs(roll) > MAX_ROLL:
            candidate = _turned(photo, turns + round(roll / (np.pi / 2)))
            found = _confirmed(candidate.image, fine=True) or found
        surest = max(c.presence for c in found)
        if surest > best[0]:
            best = (surest, candidate, [c.face for c in found])
        if surest >= CERTAIN:
            break
    return best[1], best[2]


def _turned(photo: Photo, turns: int) -> Photo:
    return photo.turned(turns % 4, _NOTES[turns % 4]) if turns % 4 else photo


def _confirmed(image: np.ndarray, *, fine: bool) -> list[_Confirmed]:
    """Faces that both networks see."""
    found = []
    for face in sorted(detect_faces(image, fine=fine), key=lambda f: -f.score * f.size)[:MAX_CANDIDATES]:
        presence, roll = face_presence(image, face)
        if presence >= (PRESENT if face.size >= MIN_FACE_PX else CERTAIN):
            found.append(_Confirmed(face, presence, roll))
    return found
