"""Where the camera stands and how the head is held."""

from __future__ import annotations

import numpy as np

from ...camera import Camera
from ...head.rotation import euler_to_matrix

FOCAL_MM = (24.0, 135.0)
MAX_YAW, MAX_PITCH, MAX_ROLL = np.radians(62), np.radians(24), np.radians(18)


def draw_framing(rng: np.random.Generator, head_points: np.ndarray, size: int) -> Camera:
    """A square picture of a head that stands still: the viewmat carries how the head is turned.

    Args:
        head_points: (n, 3) points of the face that must be seen, head space.
        size: pixels.
    """
    low, high = head_points.min(0), head_points.max(0)
    middle, height = (low + high) / 2, float(high[1] - low[1])
    focal = float(np.exp(rng.uniform(*np.log(FOCAL_MM)))) / np.hypot(36, 24) * np.sqrt(2) * size  # by the diagonal
    yaw = rng.normal(0, np.radians(18)) if rng.random() < 0.82 else rng.uniform(-MAX_YAW, MAX_YAW)
    pitch, roll = rng.normal(np.radians(-1), np.radians(8)), rng.normal(0, np.radians(6))
    turn = np.clip([pitch, yaw, roll], [-MAX_PITCH, -MAX_YAW, -MAX_ROLL], [MAX_PITCH, MAX_YAW, MAX_ROLL])
    share = rng.uniform(0.27, 0.56)  # of the picture's height
    distance = max(focal * height / (share * size), 0.32)
    R = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(turn)
    taken = focal * height / distance / size
    room = 0.5 - 0.8 * taken
    x = np.clip(rng.normal(0, 0.07), -max(room, 0), max(room, 0))
    y = np.clip(rng.normal(-0.02, 0.06), -max(room, 0), max(room, 0))
    t = np.array([x * size * distance / focal, y * size * distance / focal, distance]) - R @ middle
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = R, t
    return Camera(size, size, np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]]), viewmat)
