"""A landmark embedding for any head mesh: render it from many views, detect 468 points, put them back on the mesh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from ...camera import Camera, look_at
from ...errors import HeadError
from .render import shade
from .search import Sighting, search_landmarks

Detector = Callable[[np.ndarray, tuple[float, float, float]], np.ndarray | None]
_INPUT = 192


def tflite_detector(model: str | Path) -> Detector:
    """mediapipe's face_landmark.tflite as ``detect(image, (x, y, side)) -> (468, 2) pixels or None``.

    The square of interest is refined once from the first answer, as a tracker would.
    """
    import cv2

    net = cv2.dnn.readNetFromTFLite(str(model))
    outputs = net.getUnconnectedOutLayersNames()

    def once(image: np.ndarray, roi: tuple[float, float, float]) -> tuple[np.ndarray, float]:
        x, y, side = roi
        M = np.array(
            [[_INPUT / side, 0, _INPUT / 2 - x * _INPUT / side], [0, _INPUT / side, _INPUT / 2 - y * _INPUT / side]]
        )
        crop = cv2.warpAffine(image, M, (_INPUT, _INPUT), flags=cv2.INTER_AREA, borderValue=(255, 255, 255))
        net.setInput(cv2.dnn.blobFromImage(crop, 1 / 255))
        results = sorted((np.asarray(r).reshape(-1) for r in net.forward(outputs)), key=lambda r: -r.size)
        points = results[0].reshape(-1, 3)[:, :2] * side / _INPUT + [x - side / 2, y - side / 2]
        return points, 1 / (1 + np.exp(-float(results[1][0])))

    def detect(image: np.ndarray, roi: tuple[float, float, float]) -> np.ndarray | None:
        points, _ = once(image, roi)
        low, high = points.min(0), points.max(0)
        points, score = once(image, (*((low + high) / 2), 1.5 * float((high - low).max())))
        return points if score > 0.5 else None

    return detect


def _views(count: int, rng: np.random.Generator, centre: np.ndarray, size: int, distance: float) -> list[Camera]:
    cameras = []
    for _ in range(count):
        yaw, pitch = np.radians(rng.uniform(-30, 30)), np.radians(rng.uniform(-16, 16))
        eye = centre + distance * np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        f = 0.9 * size / 0.36 * distance
        cameras.append(
            Camera(size, size, np.array([[f, 0, size / 2], [0, f, size / 2], [0, 0, 1]]), look_at(eye, centre))
        )
    return cameras


def bake_landmarks(
    meshes: list[np.ndarray],
    faces: np.ndarray,
    colors: list[np.ndarray],
    allowed: np.ndarray,
    detector: Detector,
    *,
    centre: np.ndarray,
    face_height: float,
    views: int = 72,
    seed: int = 3,
    mirror: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the 468 points on a head.

    Args:
        meshes: (V, 3) vertices of several people and expressions in one topology, used in turn. Some need an open
            mouth: on closed ones the upper and lower inner lips fall together and an open jaw cannot be told.
        colors: (V, 3) linear colours, one per mesh. allowed: (F,) bool, triangles a landmark may lie on.
        centre: (3,) middle of the face; face_height: metres from brow to chin.
        mirror: (V,) the vertex on the other side; makes the embedding symmetric.
    Returns:
        triangles (468,) int32, barycentric (468, 3) float32, sigma (468,) metres of scatter.
    Raises:
        HeadError: the detector recognised fewer than half of the renders.
    """
    rng = np.random.default_rng(seed)
    sightings = []
    for k, camera in enumerate(_views(views, rng, centre, 480, 1.0)):
        which = k % len(meshes)
        image = shade(meshes[which], faces, colors[which], camera, supersample=1, background=0.72)
        middle = camera.project(centre[None])[0]
        side = 1.9 * face_height * camera.K[0, 0] / middle[2]
        points = detector(image, (float(middle[0]), float(middle[1]), float(side)))
        if points is not None:
            sightings.append(Sighting(camera.project(meshes[which])[:, :2], points, middle[2] / camera.K[0, 0]))
    if len(sightings) < views / 2:
        raise HeadError(f"Only {len(sightings)} of {views} renders of the head were recognised as a face.")
    return search_landmarks(sightings, faces, allowed, mirror)


def nearest_on_mesh(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each point the closest triangle (of the 24 with nearest centres) and barycentric coordinates on it."""
    corners = vertices[faces]
    k = min(24, len(faces))
    near = np.asarray(KDTree(corners.mean(1)).query(points, k=k)[1]).reshape(len(points), k)
    bary = closest_barycentric(points[:, None], corners[near])
    gap = np.linalg.norm((bary[..., None] * corners[near]).sum(-2) - points[:, None], axis=-1)
    best = gap.argmin(1)
    rows = np.arange(len(points))
    return near[rows, best], bary[rows, best]


def closest_barycentric(p: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Barycentric coordinates of the point of a triangle closest to ``p``. (..., 3), (..., 3, 3) to (..., 3)."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    e0, e1, d = b - a, c - a, p - a
    dot = lambda x, y: (x * y).sum(-1)  # noqa: E731
    m00, m01, m11, r0, r1 = dot(e0, e0), dot(e0, e1), dot(e1, e1), dot(e0, d), dot(e1, d)
    det = np.maximum(m00 * m11 - m01 * m01, 1e-24)
    v, w = (m11 * r0 - m01 * r1) / det, (m00 * r1 - m01 * r0) / det
    inner = np.stack([1 - v - w, v, w], -1)
    best, best_gap = inner, np.where((inner >= 0).all(-1), 0.0, np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):  # otherwise the nearest point lies on an edge
        s, e = corners[..., i, :], corners[..., j, :] - corners[..., i, :]
        t = np.clip(dot(p - s, e) / np.maximum(dot(e, e), 1e-24), 0, 1)
        candidate = np.zeros_like(inner)
        candidate[..., i], candidate[..., j] = 1 - t, t
        gap = np.linalg.norm((candidate[..., None] * corners).sum(-2) - p, axis=-1)
        take = gap < best_gap
        best = np.where(take[..., None], candidate, best)
        best_gap = np.where(take, gap, best_gap)
    return best
