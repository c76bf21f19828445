"""Finding faces: MediaPipe's short-range BlazeFace run as a fully convolutional net over a pyramid.

The network was made for 128x128 selfies. Its anchors are one regular grid, so a larger input gives the same
detector at a finer scale, which is how small faces in large photos are found.
Anchor layout and box coding: Bazarevsky et al. 2019, "BlazeFace".
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .networks import run

LEVELS = (128, 256, 512)
FINE_LEVELS = (1024, 1792)  # only when the coarse ones find nothing
SCORE = 0.5
OVERLAP = 0.3


@dataclass(frozen=True)
class Face:
    """One detection in pixels of the photo.

    Attributes:
        box: (4,) x0, y0, x1, y1, brows to chin.
        keypoints: (6, 2) the person's right eye, left eye, nose tip, mouth, right ear, left ear.
        score: 0..1.
    """

    box: np.ndarray
    keypoints: np.ndarray
    score: float

    @property
    def size(self) -> float:
        """Side of the box in pixels."""
        return float(np.sqrt(np.prod(np.maximum(self.box[2:] - self.box[:2], 0))))

    @property
    def roll(self) -> float:
        """Radians by which the line of the eyes is turned clockwise in the photo."""
        d = self.keypoints[1] - self.keypoints[0]
        return float(np.arctan2(d[1], d[0]))


def detect_faces(image: np.ndarray, *, fine: bool = True) -> list[Face]:
    """All faces in (H, W, 3) uint8, best first."""
    longest = max(image.shape[:2])
    found: list[Face] = []
    for level in LEVELS:
        if level == LEVELS[0] or level <= 2 * longest:
            found += _detect_level(image, level)
    if fine and not found:
        for level in FINE_LEVELS:
            if level <= 1.5 * longest and not found:
                found += _detect_level(image, level)
    return _suppress(found)


def _detect_level(image: np.ndarray, level: int) -> list[Face]:
    """Detections with the longer side scaled to ``level`` pixels on a canvas of whole 16-pixel cells."""
    h, w = image.shape[:2]
    scale = level / max(h, w)
    inner = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    side = [max(128, -(-n // 16) * 16) for n in inner]
    pad = [(s - n) // 2 for s, n in zip(side, inner, strict=True)]
    canvas = np.zeros((side[1], side[0], 3), np.uint8)
    canvas[pad[1] : pad[1] + inner[1], pad[0] : pad[0] + inner[0]] = small
    scores, boxes = run(
        "face_detection_short_range.tflite", canvas, low=-1.0, high=1.0, outputs=("classificators", "regressors")
    )
    probability = 1 / (1 + np.exp(-np.clip(scores.reshape(-1), -60, 60)))
    keep = np.flatnonzero(probability > SCORE)
    points = boxes.reshape(-1, 8, 2)[keep] + 0.0
    points[:, 1] /= 2  # half extent
    anchors = _anchors(side[0], side[1])[keep]
    points[:, 0] += anchors
    points[:, 2:] += anchors[:, None]
    half = points[:, 1].copy()
    corners = np.stack([points[:, 0] - half, points[:, 0] + half], 1)
    to_photo = np.array([w / inner[0], h / inner[1]])
    corners = (corners - pad) * to_photo
    keypoints = (points[:, 2:] - pad) * to_photo
    return [
        Face(corners[i].reshape(4), keypoints[i], float(probability[k]))
        for i, k in enumerate(keep)
        if (half[i] > 0).all()
    ]


def _anchors(width: int, height: int) -> np.ndarray:
    """(n, 2) anchor centres in pixels of the network's input: 2 a cell at stride 8, then 6 at stride 16."""
    parts = []
    for stride, count in ((8, 2), (16, 6)):
        y, x = np.mgrid[: height // stride, : width // stride]
        parts.append(np.repeat((np.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride, count, axis=0))
    return np.concatenate(parts)


def _suppress(faces: list[Face]) -> list[Face]:
    """Weighted non-maximum suppression: overlapping detections are averaged by score."""
    rest = sorted(faces, key=lambda f: -f.score)
    kept: list[Face] = []
    while rest:
        overlaps = [_overlap(rest[0].box, f.box) for f in rest]
        group = [f for f, o in zip(rest, overlaps, strict=True) if o > OVERLAP]
        rest = [f for f, o in zip(rest, overlaps, strict=True) if o <= OVERLAP]
        weights = np.array([f.score for f in group])
        weights /= weights.sum()
        kept.append(
            Face(
                np.tensordot(weights, np.stack([f.box for f in group]), 1),
                np.tensordot(weights, np.stack([f.keypoints for f in group]), 1),
                group[0].score,
            )
        )
    return kept


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over the smaller area (a face inside a face is one face), at least 1e-9 for itself."""
    inner = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    areas = [float(np.prod(np.maximum(c[2:] - c[:2], 1e-6))) for c in (a, b)]
    return float(np.prod(inner)) / min(areas) if a is not b else 1.0
