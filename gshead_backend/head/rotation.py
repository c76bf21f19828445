"""Rotations in numpy: axis-angle (rad), matrices, wxyz quaternions, Blender's XYZ Euler angles."""

from __future__ import annotations

import numpy as np


def axis_angle_to_matrix(r: np.ndarray) -> np.ndarray:
    """Rodrigues' formula. (..., 3) axis times angle in radians to (..., 3, 3)."""
    r = np.asarray(r, np.float64)
    angle = np.linalg.norm(r, axis=-1)[..., None, None]
    small = angle < 1e-8
    k = r / np.where(small[..., 0], 1.0, angle[..., 0])
    zero = np.zeros(r.shape[:-1])
    x, y, z = k[..., 0], k[..., 1], k[..., 2]
    K = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*r.shape[:-1], 3, 3)
    R = np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * (K @ K)
    return np.where(small, np.eye(3), R)


def matrix_to_axis_angle(R: np.ndarray) -> np.ndarray:
    """Inverse of :func:`axis_angle_to_matrix`, angle in [0, pi]. (..., 3, 3) to (..., 3)."""
    q = matrix_to_quat(R)
    q = np.where(q[..., :1] < 0, -q, q)
    n = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(n, q[..., :1])
    return np.where(n < 1e-12, 2 * q[..., 1:], q[..., 1:] / np.where(n < 1e-12, 1.0, n) * angle)


def matrix_to_quat(R: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotation matrices to unit quaternions (..., 4) wxyz (Shepperd's method)."""
    R = np.asarray(R)
    m00, m11, m22 = R[..., 0, 0], R[..., 1, 1], R[..., 2, 2]
    t = np.stack([m00 + m11 + m22, m00, m11, m22], -1)
    pick = np.argmax(t, -1)
    a, b, c = R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]
    xy, xz, yz = R[..., 0, 1] + R[..., 1, 0], R[..., 0, 2] + R[..., 2, 0], R[..., 1, 2] + R[..., 2, 1]
    q = np.where(
        (pick == 0)[..., None], np.stack([1 + t[..., 0], a, b, c], -1),
        np.where(
            (pick == 1)[..., None], np.stack([a, 1 + m00 - m11 - m22, xy, xz], -1),
            np.where(
                (pick == 2)[..., None], np.stack([b, xy, 1 - m00 + m11 - m22, yz], -1),
                np.stack([c, xz, yz, 1 - m00 - m11 + m22], -1),
            ),
        ),
    )  # fmt: skip
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def quat_to_matrix(q: np.ndarray) -> np.ndarray:
    """(..., 4) wxyz quaternions (normalised here) to (..., 3, 3)."""
    q = np.asarray(q)
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    w, x, y, z = (q[..., i] for i in range(4))
    return np.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ], -1,
    ).reshape(*q.shape[:-1], 3, 3)  # fmt: skip


def quat_multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of wxyz quaternions, (..., 4)."""
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw,
        ], -1,
    )  # fmt: skip


def euler_to_matrix(e: np.ndarray) -> np.ndarray:
    """Blender's "XYZ" Euler angles (rad), R = Rz Ry Rx. (..., 3) to (..., 3, 3)."""
    e = np.asarray(e, np.float64)
    zero = np.zeros(e.shape[:-1])
    parts = [axis_angle_to_matrix(np.stack([e[..., i] if i == j else zero for j in range(3)], -1)) for i in range(3)]
    return parts[2] @ parts[1] @ parts[0]


def matrix_to_euler(R: np.ndarray) -> np.ndarray:
    """Inverse of :func:`euler_to_matrix` for (..., 3, 3); the middle angle lies in -90..90 degrees."""
    middle = -np.arcsin(np.clip(R[..., 2, 0], -1, 1))
    return np.stack([np.arctan2(R[..., 2, 1], R[..., 2, 2]), middle, np.arctan2(R[..., 1, 0], R[..., 0, 0])], -1)
