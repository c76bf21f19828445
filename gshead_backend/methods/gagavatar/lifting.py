"""Cameras in the network's conventions, the plane that features are lifted from, and the encoding of its direction.

A camera is (3, 4) = [R | T], world to view with row vectors (``view = world R + T``); +x left, +y up, +z forward.
Focal length 12 in half picture sides; the picture is square.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...camera import Camera
from ...errors import ArgumentError

FOCAL = 12.0
NEAR = 0.2
OCTAVES = 4
DIRECTION_CODE = 3 + 2 * 3 * OCTAVES


def check_camera(camera: np.ndarray) -> np.ndarray:
    """The camera as float64; raises ``ArgumentError`` when it is not (3, 4), not finite or not a rotation."""
    camera = np.asarray(camera, np.float64)
    if camera.shape != (3, 4) or not np.isfinite(camera).all():
        raise ArgumentError(f"A camera is (3, 4) and finite, got {camera.shape}.")
    if np.abs(camera[:, :3].T @ camera[:, :3] - np.eye(3)).max() > 1e-3:
        raise ArgumentError("The first three columns of a camera must be a rotation.")
    return camera


def opencv_camera(camera: np.ndarray, size: int) -> Camera:
    """The same view as our camera type, with OpenCV's axes, ``size`` pixels square."""
    camera = check_camera(camera)
    flip = np.diag([-1.0, -1.0, 1.0])
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = flip @ camera[:, :3].T, flip @ camera[:, 3]
    focal = FOCAL * size / 2
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return Camera(size, size, K, viewmat, near=NEAR)


def network_camera(camera: Camera) -> np.ndarray:
    """(3, 4) of a rigid OpenCV camera; its lens is not looked at."""
    flip = np.diag([-1.0, -1.0, 1.0])
    return check_camera(np.column_stack([(flip @ camera.viewmat[:3, :3]).T, flip @ camera.viewmat[:3, 3]]))


def plane(camera: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The plane through the world's origin that faces a camera.

    Returns:
        points (side², 3) float32, row by row, that the camera sees from its left upper to its right lower corner (both
        ends included), and the direction (3,) float32 in which it looks.
    """
    view = torch.from_numpy(check_camera(camera)).float()
    R, T = view[:, :3], view[:, 3:]
    # Single precision throughout, as in the public network: from ten units away its rounding would show.
    ramp = torch.linspace(1, -1, side) / FOCAL
    v, u = torch.meshgrid(ramp, ramp, indexing="ij")
    rays = (R @ torch.stack([u, v, torch.ones_like(u)], -1).reshape(-1, 3, 1))[..., 0]
    centre, direction = -(R @ T)[:, 0], R[:, 2].clone()
    points = centre + (centre * direction).sum().abs() * rays
    return points.numpy(), direction.numpy()


def encode_direction(direction: Tensor) -> Tensor:
    """(3,) to (27,): sines of x, 2x, 4x, 8x, y, ..., 8z, their cosines, and the direction itself."""
    octaves = 2.0 ** torch.arange(OCTAVES, dtype=direction.dtype, device=direction.device)
    angles = (direction[:, None] * octaves).flatten()
    return torch.cat([angles.sin(), angles.cos(), direction])
