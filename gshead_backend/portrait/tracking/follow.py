"""First pass over a clip: landmarks and readings of every frame, a chunk at a time, in any process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np

from ...errors import MissingWeightsError
from ..detect import Face, detect_faces
from ..landmarks import Landmarks, face_presence, find_landmarks, follow_landmarks
from ..nets.regressor import FaceReading, read_face

CHUNK = 48
"""Frames that are followed together. Each chunk begins with the detector, so results do not depend on who works."""
LOST = 0.5  # presence below which the face is looked for anew
PRESENT = 0.6
SHARP = 180  # pixels of a face that fill the landmark networks' crops
FAR = 0.08  # motion between two frames after which the crop is cut again


@dataclass(frozen=True)
class Seen:
    """What n frames show; rows without a face hold zeros, readings without weights NaN.

    Attributes:
        seconds: (n,). size: (n, 2) width and height. found: (n,) bool. points: (n, 478, 3) pixels and depth.
        arkit, arkit_sd: (n, 52). gaze, gaze_sd: (n, 2, 2). head, head_sd: (n, 3). As ``FaceReading``, with ``head`` as
            if the camera looked straight at the face.
    """

    seconds: np.ndarray
    size: np.ndarray
    found: np.ndarray
    points: np.ndarray
    arkit: np.ndarray
    arkit_sd: np.ndarray
    gaze: np.ndarray
    gaze_sd: np.ndarray
    head: np.ndarray
    head_sd: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(f.name for f in fields(cls))

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in self.names()}

    def last_box(self) -> np.ndarray | None:
        """(4,) where the face was last; None when it never was."""
        if not self.found.any():
            return None
        points = self.points[np.flatnonzero(self.found)[-1], :468, :2]
        return np.concatenate([points.min(0), points.max(0)])

    @classmethod
    def joined(cls, parts: Sequence[Seen]) -> Seen:
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.names()))

    def reading(self, i: int) -> FaceReading | None:
        """Frame i's reading, None without weights. Its light is left out."""
        if not np.isfinite(self.arkit[i]).all():
            return None
        return FaceReading(
            self.arkit[i], self.arkit_sd[i], self.gaze[i], self.gaze_sd[i], self.head[i], self.head_sd[i],
            np.zeros((9, 3), np.float32),
        )  # fmt: skip


def follow(frames: Sequence[tuple[float, np.ndarray | None]], near: np.ndarray | None) -> Seen:
    """One chunk.

    Args:
        frames: seconds and picture; None where a picture could not be decoded. near: (4,) box of the face to follow;
            the largest when None.
    """
    n = len(frames)
    seen = Seen(
        np.array([t for t, _ in frames]), np.zeros((n, 2)), np.zeros(n, bool), np.zeros((n, 478, 3)),
        *(np.zeros((n, *shape), np.float32) for shape in ((52,), (52,), (2, 2), (2, 2), (3,), (3,))),
    )  # fmt: skip
    last: np.ndarray | None = None
    for i, (_, image) in enumerate(frames):
        found = None if image is None else _locate(image, last, near)
        last = None if found is None else found.points
        if image is None or found is None:
            continue
        seen.size[i], seen.found[i], seen.points[i] = image.shape[1::-1], True, found.solid
        near = seen.last_box()
        reading = _read(image, found.solid)
        for name in ("arkit", "arkit_sd", "gaze", "gaze_sd", "head", "head_sd"):
            getattr(seen, name)[i] = np.nan if reading is None else getattr(reading, name)
    return seen


def _read(image: np.ndarray, solid: np.ndarray) -> FaceReading | None:
    try:
        return read_face(image, solid)
    except MissingWeightsError:
        return None


def _locate(image: np.ndarray, last: np.ndarray | None, near: np.ndarray | None) -> Landmarks | None:
    if last is not None:
        side = float(np.ptp(last[:468], axis=0).max())
        scale = min(1.0, SHARP / side)  # reducing once is cheaper than reducing every crop
        small = image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = follow_landmarks(small, scale * last)
        if _moved(scale * last, found.points) > FAR:
            found = follow_landmarks(small, found.points)
        if found.presence >= LOST:
            return found.scaled(1 / scale)
    face = nearest_face(image, near)
    if face is None or face_presence(image, face)[0] < PRESENT:
        return None
    return find_landmarks(image, face)


def _moved(before: np.ndarray, after: np.ndarray) -> float:
    """How far a face moved or grew, as a share of its size."""
    low, high = before[:468].min(0), before[:468].max(0)
    return float(np.abs([after[:468].min(0) - low, after[:468].max(0) - high]).max() / (high - low).max())


def nearest_face(image: np.ndarray, near: np.ndarray | None) -> Face | None:
    """The face at ``near`` (4,): nearest in place and size, in widths of a face. The largest one when None."""
    faces = detect_faces(image, fine=False)
    if not faces:
        return None
    if near is None:
        return max(faces, key=lambda f: f.size)
    middle, side = (near[:2] + near[2:]) / 2, float(np.sqrt(np.prod(near[2:] - near[:2])))

    def away(face: Face) -> float:
        moved = float(np.linalg.norm((face.box[:2] + face.box[2:]) / 2 - middle)) / side
        return moved + abs(float(np.log(max(face.size, 1.0) / side)))

    return min(faces, key=away)
