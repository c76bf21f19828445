"""An avatar before a camera that holds its head, from any side: what benchmarks without truth look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...avatar.types import Avatar
from ...camera import Camera, orbit_camera
from ...head.pose import HeadPose
from ..align import head_marks
from ..pictures import GREY
from .common import draw

SIZE = 512


@dataclass(frozen=True)
class Stage:
    """A camera in front of the avatar that holds the head in two thirds of the frame."""

    avatar: Avatar
    middle: tuple[float, float, float]

    @classmethod
    def of(cls, avatar: Avatar) -> Stage:
        pose = HeadPose.neutral(avatar.head.expression_count)
        points, _ = head_marks(avatar.head, avatar.personal.vertices(pose))
        x, y, z = points.mean(0)
        return cls(avatar, (float(x), float(y), float(z) - 0.05))

    def camera(self, yaw: float = 0.0) -> Camera:
        return orbit_camera(yaw, 0, size=(SIZE, SIZE), focal_mm=115, distance=1.1, target=self.middle)

    def picture(self, pose: HeadPose, yaw: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """(SIZE, SIZE, 3) over grey, and alpha."""
        color, alpha = draw(self.avatar, pose, self.camera(yaw))
        return color * alpha[..., None] + GREY * (1 - alpha[..., None]), alpha

    def marks(self, pose: HeadPose) -> np.ndarray:
        points, _ = head_marks(self.avatar.head, self.avatar.personal.vertices(pose))
        return self.camera().project(points)[:, :2]
