"""What of an avatar is seen: the blending weight of every splat, from around and in poses that open what is closed."""

from __future__ import annotations

import numpy as np

from ..avatar.drive_fast import drive_fast
from ..avatar.types import Avatar
from ..camera import Camera, orbit_camera
from ..head.arkit import ARKIT_NAMES
from ..head.pose import HeadPose
from ..head.skinning import pose_from_arkit
from ..raster.cpu.contribution import contribution
from .reduce import reduce_avatar

VIEWS = ((0, 0, 2.0), (-35, 0, 2.0), (35, 0, 2.0), (-75, 5, 1.0), (75, 5, 1.0), (0, 35, 1.0), (180, 0, 1.0))
"""Yaw and pitch in degrees, and how much a view counts: faces are looked at from the front."""
FRONT = 3
"""Of them show what a pose opens."""
SIZE = 256
_OPEN = ({"jawOpen": 0.8}, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
         {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "browInnerUp": 1.0})  # fmt: skip


def reduced(avatar: Avatar, count: int) -> Avatar:
    """The avatar with ``count`` splats that look as much alike as they can; itself when it has no more."""
    if len(avatar) <= count:
        return avatar
    poses = telling_poses(avatar)
    return reduce_avatar(avatar, count, how_much_is_seen(avatar, poses), poses)


def telling_poses(avatar: Avatar) -> list[HeadPose]:
    """Poses that part lips and lids and lift cheeks and brows; none where the head has no ARKit channels."""
    if not np.abs(avatar.head.arkit_expression).sum() > 0:
        return []
    return [pose_from_arkit(avatar.head, np.array([c.get(n, 0) for n in ARKIT_NAMES], np.float32)) for c in _OPEN]


def how_much_is_seen(avatar: Avatar, poses: list[HeadPose]) -> np.ndarray:
    """(N,) summed blending weights, in pixels."""
    total = np.zeros(len(avatar))
    for i, pose in enumerate([HeadPose.neutral(avatar.head.expression_count), *poses[:2]]):
        splats = drive_fast(avatar, pose)
        for yaw, pitch, weight in VIEWS if i == 0 else VIEWS[:FRONT]:
            total += weight * contribution(splats, _camera(splats.means, yaw, pitch))
    return total


def _camera(means: np.ndarray, yaw: float, pitch: float) -> Camera:
    low, high = np.percentile(means, [1, 99], axis=0)
    middle, reach = (low + high) / 2, float((high - low).max())
    x, y, z = (float(m) for m in middle)
    return orbit_camera(yaw, pitch, size=(SIZE, SIZE), focal_mm=85, distance=4.2 * reach, target=(x, y, z))
