"""468 face points and 10 iris points, from roll-aligned crops.

MediaPipe's face_landmark and iris_landmark networks (Kartynnik et al. 2019; Ablavatski et al. 2020). The face network
runs several times on slightly different crops and the results are averaged: its error on one crop is mostly
noise of the crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .detect import Face
from .networks import run

FACE_CROP = 192
IRIS_CROP = 64
MARGIN = 1.5
EYE_MARGIN = 2.3
RIGHT_EYE = (33, 133)  # outer and inner corner of the person's right eye
LEFT_EYE = (263, 362)
IRIS_COUNT = 5
JITTER = ((0, 0, 0, 1.0), (0.03, 0, 0.06, 1.0), (-0.03, 0, -0.06, 1.0), (0, 0.03, 0.03, 1.06), (0, -0.03, -0.03, 0.94),
          (0.02, 0.02, -0.1, 1.03), (-0.02, -0.02, 0.1, 0.97))  # fmt: skip
"""Shift x, y in crop sides, extra roll in radians, scale."""
IRIS_JITTER = ((0.0, 1.0), (0.08, 1.08), (-0.08, 0.94))
"""Extra roll in radians, scale."""
Crop = tuple[float, float, float, float]


@dataclass(frozen=True)
class Landmarks:
    """Points in pixels of the photo.

    Attributes:
        points: (478, 2) float64, order as in ``PortraitFit.landmarks``.
        depth: (468,) the network's own relative depth, pixels, toward the camera negative. Rough; used to start a fit.
        presence: 0..1, how sure the landmark network is that this is a face.
        spread: (468,) pixels, standard deviation over the crops.
    """

    points: np.ndarray
    depth: np.ndarray
    presence: float
    spread: np.ndarray

    def scaled(self, factor: float) -> Landmarks:
        """The same in a picture of another size."""
        return Landmarks(self.points * factor, self.depth * factor, self.presence, self.spread * factor)

    @property
    def solid(self) -> np.ndarray:
        """(478, 3) points with depth; an iris lies as deep as the corners of its eye."""
        irises = [self.depth[list(eye)].mean().repeat(IRIS_COUNT) for eye in (RIGHT_EYE, LEFT_EYE)]
        return np.column_stack([self.points, np.concatenate([self.depth, *irises])])


def face_presence(image: np.ndarray, face: Face) -> tuple[float, float]:
    """How surely the landmark network, too, sees a face there (0..1), and its roll in radians.

    The detector alone takes patterns for faces, and its roll is good to half a radian only.
    """
    center = (face.box[:2] + face.box[2:]) / 2
    points, _, _ = _run_face(image, center, face.size * MARGIN, face.roll)
    points, _, first = _run_face(image, *_region(points))
    points, _, second = _run_face(image, *_region(points))
    return min(first, second), _region(points)[2]


def find_landmarks(image: np.ndarray, face: Face) -> Landmarks:
    """Landmarks of one face in an (H, W, 3) uint8 photo."""
    center = (face.box[:2] + face.box[2:]) / 2
    points, _, _ = _run_face(image, center, face.size * MARGIN, face.roll)
    return follow_landmarks(image, points, settle=2, crops=JITTER, iris_crops=IRIS_JITTER)


def follow_landmarks(
    image: np.ndarray, near: np.ndarray, *, settle: int = 0, crops: tuple[Crop, ...] = JITTER[:3],
    iris_crops: tuple[tuple[float, float], ...] = IRIS_JITTER[:1],
) -> Landmarks:  # fmt: skip
    """Landmarks of the face that was at ``near`` (468 or more, 2) a moment ago.

    Args:
        settle: passes that let the crop settle on the face. crops, iris_crops: over which results are averaged.
    """
    points = near[:468]
    for _ in range(settle):
        points, _, _ = _run_face(image, *_region(points))
    runs, depths, presences = [], [], []
    center, side, roll = _region(points)
    for dx, dy, turn, grow in crops:
        p, z, sure = _run_face(image, center + side * np.array([dx, dy]), side * grow, roll + turn)
        runs.append(p)
        depths.append(z)
        presences.append(sure)
    stack = np.stack(runs)
    points = stack.mean(0)
    irises = [_run_iris(image, points, eye, iris_crops, mirrored=eye is LEFT_EYE) for eye in (RIGHT_EYE, LEFT_EYE)]
    return Landmarks(
        np.concatenate([points, *irises]),
        np.mean(depths, 0),
        float(np.median(presences)),
        np.sqrt(((stack - points) ** 2).sum(-1).mean(0)),
    )


def _region(points: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Centre, side and roll of the square crop for the next pass."""
    d = points[LEFT_EYE[0]] - points[RIGHT_EYE[0]]
    roll = float(np.arctan2(d[1], d[0]))
    turn = _rotation(-roll)
    local = points @ turn.T
    low, high = local.min(0), local.max(0)
    return turn.T @ ((low + high) / 2), float((high - low).max()) * MARGIN, roll


def _rotation(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _crop(
    image: np.ndarray, center: np.ndarray, side: float, roll: float, size: int, mirrored: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A (size, size, 3) crop and the (2, 3) matrix from its pixel coordinates to the photo's.

    Both use the convention that a pixel's centre lies at +0.5. Strong reductions are blurred first.
    """
    axes = _rotation(roll) * (side / size)
    if mirrored:
        axes = axes * np.array([-1.0, 1.0])
    matrix = np.concatenate([axes, (center - axes @ np.full(2, size / 2))[:, None]], 1)
    reduction = side / size
    source, scale, origin = image, 1.0, np.zeros(2)
    if reduction > 1.5:  # shrink the neighbourhood by area, then sample
        reach = side * 0.75
        low = np.clip(np.floor(center - reach), 0, None).astype(int)
        high = np.minimum(np.ceil(center + reach).astype(int), image.shape[1::-1])
        if (high - low > 1).all():
            window = image[low[1] : high[1], low[0] : high[0]]
            target = np.maximum(np.round((high - low) / reduction).astype(int), 1)
            source = cv2.resize(window, (int(target[0]), int(target[1])), interpolation=cv2.INTER_AREA)
            scale, origin = target / (high - low), low
    sampling = matrix.copy()
    sampling[:, 2] -= origin
    sampling = sampling * np.broadcast_to(np.asarray(scale, float), (2,))[:, None]
    sampling[:, 2] += sampling[:, :2] @ np.full(2, 0.5) - 0.5  # OpenCV puts pixel centres on integers
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(source, sampling, (size, size), flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return crop, matrix


def _run_face(image: np.ndarray, center: np.ndarray, side: float, roll: float) -> tuple[np.ndarray, np.ndarray, float]:
    crop, matrix = _crop(image, center, side, roll, FACE_CROP)
    raw, flag = run("face_landmark.tflite", crop, low=0.0, high=1.0, outputs=("conv2d_21", "conv2d_31"))
    raw = raw.reshape(468, 3).astype(np.float64)
    points = raw[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    presence = 1 / (1 + np.exp(-np.clip(float(flag.reshape(-1)[0]), -60, 60)))
    return points, raw[:, 2] * side / FACE_CROP, float(presence)


def _run_iris(
    image: np.ndarray, points: np.ndarray, corners: tuple[int, int], crops: tuple[tuple[float, float], ...], *,
    mirrored: bool,
) -> np.ndarray:  # fmt: skip
    """(5, 2) iris points: centre, then four on its edge, in photo pixels, averaged over the crops."""
    outer, inner = points[corners[0]], points[corners[1]]
    _, _, roll = _region(points)
    side = float(np.linalg.norm(inner - outer)) * EYE_MARGIN
    results = []
    for turn, grow in crops:
        crop, matrix = _crop(image, (outer + inner) / 2, side * grow, roll + turn, IRIS_CROP, mirrored)
        (raw,) = run("iris_landmark.tflite", crop, low=0.0, high=1.0, outputs=("output_iris",))
        local = raw.reshape(IRIS_COUNT, 3)[:, :2].astype(np.float64)
        results.append(local @ matrix[:, :2].T + matrix[:, 2])
    mean = np.mean(results, 0)
    if mirrored:  # keep the order of the four edge points the same in the image for both eyes
        mean = mean[[0, 3, 2, 1, 4]]
    return mean
