"""Head angles and rotations, and heads that are not in the middle of the picture."""

from __future__ import annotations

import math

import numpy as np


def head_angles(R: np.ndarray) -> tuple[float, float, float]:
    """Yaw (positive toward the image's right), pitch (positive up) and roll in radians of a head-to-camera rotation."""
    forward, up = R[:, 2], R[:, 1]
    yaw = math.atan2(forward[0], -forward[2])
    pitch = math.asin(float(np.clip(-forward[1], -1, 1)))
    return yaw, pitch, math.atan2(up[0], -up[1])


def rotation_of(angles: np.ndarray) -> np.ndarray:
    """(3, 3) head-to-camera rotation with these yaw, pitch and roll: the inverse of :func:`head_angles`.

    Unique while the face is seen at all, that is for yaw and pitch within a quarter turn.
    """
    yaw, pitch, roll = (float(a) for a in angles)
    forward = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)])
    across, down = np.sin(roll), -np.cos(roll)
    up = np.array([across, down, -(forward[0] * across + forward[1] * down) / min(forward[2], -1e-3)])
    up -= forward * (forward @ up)  # only where the limit above was reached
    up /= np.linalg.norm(up)
    return np.stack([np.cross(up, forward), up, forward], 1)


def toward_ray(ray: np.ndarray) -> np.ndarray:
    """(3, 3) smallest rotation of camera space that brings a direction onto the optical axis +Z."""
    z = ray / np.linalg.norm(ray)
    cross = np.array([z[1], -z[0], 0.0])  # z x (0, 0, 1)
    K = np.array([[0, 0, cross[1]], [0, 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + K + K @ K / max(1 + float(z[2]), 1e-6)


def angles_as_seen(viewmat: np.ndarray, point: np.ndarray) -> np.ndarray:
    """(3,) yaw, pitch, roll for a camera of the same place that looks straight at a point of head space (3,)."""
    ray = viewmat[:3, :3] @ point + viewmat[:3, 3]
    return np.array(head_angles(toward_ray(ray) @ viewmat[:3, :3]))
