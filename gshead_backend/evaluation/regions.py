"""Which pixels of a view count: the face, the mouth, the head above the neck."""

from __future__ import annotations

import cv2
import numpy as np

from ..camera import Camera
from ..portrait.matte import FACE_OVAL
from .metrics import eroded

CHIN, FOREHEAD = 152, 10
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409)
EYE_CORNERS = (33, 133, 263, 362)
_SURE = 0.9


def hull(points: np.ndarray, shape: tuple[int, int], grow: float = 1.0) -> np.ndarray:
    """(H, W) bool: convex hull of (n, 2) pixels, grown about its middle."""
    middle = points.mean(0)
    corners = cv2.convexHull((middle + (points - middle) * grow).astype(np.float32))
    out = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(out, np.round(np.clip(corners, -20000, 20000)).astype(np.int32), 1)
    return out > 0


def face_region(marks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool from landmarks (468+, 2)."""
    return hull(marks[list(FACE_OVAL)], shape)


def mouth_region(marks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: lips and a third more around them."""
    return hull(marks[list(LIPS)], shape, 1.35)


def above_neck(marks: np.ndarray, camera: Camera) -> np.ndarray:
    """(H, W) bool: above a line through the chin, along the world's vertical (+Y) as the camera sees it."""
    up = camera.viewmat[:3, 1] * [camera.K[0, 0], camera.K[1, 1], 1]
    direction = up[:2] / max(float(np.linalg.norm(up[:2])), 1e-9)
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    return (x - marks[CHIN, 0]) * direction[0] + (y - marks[CHIN, 1]) * direction[1] > 0


def inside_both(matte: np.ndarray, alpha: np.ndarray, pixels: int = 2) -> np.ndarray:
    """(H, W) bool: surely inside the outlines of truth and rendering, their mixed borders left out."""
    return eroded((matte > _SURE) & (alpha > _SURE), pixels)


def eye_distance(marks: np.ndarray) -> float:
    """Pixels between the middles of the eyes (from their corners)."""
    right, left = marks[list(EYE_CORNERS[:2])].mean(0), marks[list(EYE_CORNERS[2:])].mean(0)
    return float(np.linalg.norm(left - right))
