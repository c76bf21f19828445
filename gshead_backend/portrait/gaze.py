"""Where the eyes look, from the iris centres in the photo."""

from __future__ import annotations

import numpy as np

from ..camera import Camera
from ..head.arkit import ARKIT_INDEX, ARKIT_NAMES
from ..head.model import HeadModel
from .nets.regressor import FaceReading

IRIS_RADIUS = 0.0059  # metres; adult irises are 11.8 mm across, nearly without variation
MAX_YAW, MAX_PITCH = 0.75, 0.6  # radians
IRIS_SD = (0.14, 0.07)  # radians of pitch and yaw; eyeballs of the head model are larger than real ones
READING_SD = 0.04
IRIS_CENTERS = (473, 468)  # left eye, right eye in the 478 landmarks
_REGIONS = ("eye_left", "eye_right")


def gaze_angles(
    head: HeadModel, betas: np.ndarray, vertices: np.ndarray, landmarks: np.ndarray, camera: Camera
) -> np.ndarray:
    """(2, 3) Euler XYZ angles (rad) of the left and right eyeball that put the irises where the photo shows them.

    The ray through each iris centre meets the sphere on which iris centres lie; the eyeball turns its rest
    direction (+Z) there. An eye that the iris network lost looks where the other one does.

    Args:
        vertices: (V, 3) posed vertices, for the size of the eyeballs. landmarks: (478, 2) pixels of ``camera``.
    """
    joints = head.joints + head.joints_identity @ betas
    angles = np.zeros((2, 3))
    missed = np.zeros(2)
    for e in range(2):
        radius = _iris_sphere(head, vertices, joints[3 + e], e)
        direction, missed[e] = _toward(camera, landmarks[IRIS_CENTERS[e]], joints[3 + e], radius)
        angles[e, 0] = -np.arcsin(np.clip(direction[1], -1, 1))
        angles[e, 1] = np.arctan2(direction[0], direction[2])
    angles[:, 0] = 0.3 * angles[:, 0] + 0.7 * angles[:, 0].mean()  # eyes move up and down together
    if abs(missed[0] - missed[1]) > 0.35:
        angles[missed.argmax()] = angles[missed.argmin()]
    limit = np.array([MAX_PITCH, MAX_YAW, 0.0])
    return np.clip(angles, -limit, limit)


def with_reading(angles: np.ndarray, reading: FaceReading) -> np.ndarray:
    """(2, 3) Euler XYZ angles: those from the irises and those the regressor reads, each weighed by its variance."""
    read = gaze_euler(reading.gaze)[:, :2]
    told = 1 / np.maximum(reading.gaze_sd[:, ::-1], READING_SD) ** 2
    traced = 1 / np.array(IRIS_SD) ** 2
    out = angles.copy()
    out[:, :2] = (traced * angles[:, :2] + told * read) / (traced + told)
    return out


def gaze_euler(gaze: np.ndarray) -> np.ndarray:
    """(..., 2) yaw and pitch of an eye to (..., 3) Euler XYZ angles that turn it there from straight ahead."""
    return np.stack([-gaze[..., 1], gaze[..., 0], np.zeros(gaze.shape[:-1])], -1)


def look_channels(head: HeadModel, angles: np.ndarray) -> np.ndarray:
    """(52,) eyeLook* channels whose lids go with eyeballs turned by ``angles`` (2, 3)."""
    out = np.zeros(52)
    for name in ARKIT_NAMES:
        if not name.startswith("eyeLook"):
            continue
        i = ARKIT_INDEX[name]
        turn = head.arkit_eyes[i].astype(np.float64)
        square = float((turn * turn).sum())
        if square > 0:
            out[i] = np.clip((turn * angles).sum() / square, 0, 1)
    return out


def _iris_sphere(head: HeadModel, vertices: np.ndarray, center: np.ndarray, eye: int) -> float:
    """Metres from the eyeball's centre to the iris plane."""
    mask = head.region_mask(_REGIONS[eye])
    if mask.sum() < 8:
        return 0.0105
    radius = float(np.median(np.linalg.norm(vertices[mask] - center, axis=1)))
    return float(np.sqrt(max(radius**2 - IRIS_RADIUS**2, (0.6 * radius) ** 2)))


def _toward(camera: Camera, pixel: np.ndarray, center: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """Unit direction from ``center`` to where the pixel's ray meets the sphere, and by how many radii it misses."""
    ray = np.linalg.solve(camera.K, [pixel[0], pixel[1], 1.0]) @ camera.viewmat[:3, :3]
    ray /= np.linalg.norm(ray)
    offset = camera.position - center
    along = -float(offset @ ray)
    nearest = offset + along * ray
    distance = float(np.linalg.norm(nearest))
    depth = np.sqrt(max(radius**2 - distance**2, (0.35 * radius) ** 2))
    hit = nearest - depth * ray
    return hit / np.linalg.norm(hit), max(0.0, distance / radius - 1)
