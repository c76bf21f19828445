"""A landmark embedding for any head mesh: render it from many views, detect 468 points, put them back on the mesh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from ...camera import Camera, look_at
from ...errors import HeadError
from .render import cast, shade

Detector = Callable[[np.ndarray, tuple[float, float, float]], np.ndarray | None]
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324)
_INPUT = 192
_SNAP_PIXELS = 9


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
        yaw, pitch = np.radians(rng.uniform(-48, 48)), np.radians(rng.uniform(-16, 16))
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
    views: int = 24,
    seed: int = 3,
    lip_meshes: tuple[int, ...] = (),
    rest: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the 468 points on a head.

    Args:
        meshes: (V, 3) vertices in different poses or identities of one topology; used in turn.
        colors: (V, 3) linear colours, one per mesh. allowed: (F,) bool, triangles a landmark may lie on.
        centre: (3,) middle of the face; face_height: metres from brow to chin.
        rest: (V, 3) where the votes are averaged; the first mesh when absent.
        lip_meshes: indices of meshes with an open mouth; only those vote for the inner lips. Baked on closed mouths
            the upper and lower inner lips fall on the same lip and an open jaw cannot be told.
    Returns:
        triangles (468,) int32, barycentric (468, 3) float32, sigma (468,) metres of scatter.
    Raises:
        HeadError: the detector recognised fewer than half of the renders.
    """
    rng = np.random.default_rng(seed)
    rest = meshes[0] if rest is None else rest
    found: list[list[np.ndarray]] = [[] for _ in range(468)]
    detected = 0
    for k, camera in enumerate(_views(views, rng, centre, 480, 1.0)):
        which = k % len(meshes)
        image = shade(meshes[which], faces, colors[which], camera, supersample=1, background=0.72)
        middle = camera.project(centre[None])[0]
        side = 1.9 * face_height * camera.K[0, 0] / middle[2]
        points = detector(image, (float(middle[0]), float(middle[1]), float(side)))
        if points is None:
            continue
        detected += 1
        hits = cast(meshes[which], faces, camera)
        good = (hits.triangle >= 0) & allowed[hits.triangle]
        # Points on the rim of a lid or a lip often fall beside it, on the eyeball or into the mouth: take the nearest
        # pixel of the rim instead.
        far, snap = (np.asarray(a) for a in distance_transform_edt(~good, return_indices=True) or ())
        x, y = np.rint(points - 0.5).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
        for i in np.flatnonzero(inside):
            if i in INNER_LIPS and lip_meshes and which not in lip_meshes:
                continue
            if far[y[i], x[i]] > _SNAP_PIXELS:
                continue
            at = tuple(snap[:, y[i], x[i]])
            corner = faces[hits.triangle[at]]
            a, b, c = meshes[which][corner]
            normal = np.cross(b - a, c - a)
            to_eye = camera.position - a
            facing = normal @ to_eye / max(np.linalg.norm(normal) * np.linalg.norm(to_eye), 1e-20)
            if facing < 0.15:
                continue  # a silhouette hit says little about where along the view ray the point lies
            found[i].append(np.r_[hits.bary[at] @ rest[corner], facing**2])
    if detected < views / 2:
        raise HeadError(f"Only {detected} of {views} renders of the head were recognised as a face.")
    return _settle(found, rest, faces, allowed)


def _settle(
    found: list[list[np.ndarray]], rest: np.ndarray, faces: np.ndarray, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The robust mean of each point's votes, put on the nearest allowed triangle."""
    means, sigma = np.zeros((468, 3)), np.full(468, 0.02)
    for i, votes in enumerate(found):
        if not votes:
            continue
        p, facing = np.array(votes)[:, :3], np.array(votes)[:, 3]
        mean = (p * facing[:, None]).sum(0) / facing.sum()
        for _ in range(8):  # Weiszfeld with a floor: one stray view must not pull the point
            w = facing / np.maximum(np.linalg.norm(p - mean, axis=1), 5e-4)
            mean = (p * w[:, None]).sum(0) / w.sum()
        means[i] = mean
        if len(p) > 2:
            sigma[i] = np.clip(np.sqrt(np.median(((p - mean) ** 2).sum(1))), 5e-4, 0.02)
    means = _symmetric(means, sigma)
    empty = [i for i, v in enumerate(found) if not v]
    if len(empty) > 40:
        raise HeadError(f"{len(empty)} of 468 landmarks were never seen on the head.")
    ids = np.flatnonzero(allowed)
    triangles, bary = nearest_on_mesh(means, rest, faces[ids])
    return ids[triangles].astype(np.int32), bary.astype(np.float32), sigma.astype(np.float32)


def _symmetric(points: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Average each point with the mirror image of its counterpart, where the counterpart is beyond doubt."""
    flipped = points * [-1, 1, 1]
    gap, other = map(np.asarray, KDTree(points).query(flipped))
    mutual = (other[other] == np.arange(len(points))) & (gap < np.maximum(3 * sigma, 0.004))
    out = points.copy()
    out[mutual] = (points[mutual] + flipped[other[mutual]]) / 2
    return out


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
