"""Where to stand to see a head: the camera of ``gshead render``, ``gshead export`` and scripts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..camera import Camera, orbit_camera
from ..head import HeadPose
from .drive import drive
from .types import REGIONS, Avatar

_AIR = 1.3  # how much larger than the head the view is, so that turns and open jaws stay inside
_LOWER = 0.15  # how far the view looks below the head's middle, in half heads, so that the neck is seen
_BELOW = ("neck", "clothes")


def portrait_camera(avatar: Avatar, size: tuple[int, int], yaw: float = 0.0, pitch: float = 0.0) -> Camera:
    """A camera that holds the head, without what is below it, in the middle of the frame.

    Args:
        size: (width, height) pixels.
        yaw, pitch: degrees around the head, see :func:`gshead_backend.camera.orbit_camera`.
    """
    splats = drive(avatar, HeadPose.neutral(avatar.head.expression_count))
    below = np.isin(avatar.region, [REGIONS.index(name) for name in _BELOW])
    points = splats.means[~below] if (~below).any() else splats.means
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    half = (high - low) / 2
    x, y, z = (low + high) / 2
    target = (float(x), float(y - _LOWER * half[1]), float(z))
    reach = _AIR * float(half.max())
    focal = orbit_camera(0, size=size).K[0, 0]
    distance = reach * focal / (min(size) / 2) + float(half[2])
    camera = orbit_camera(yaw, pitch, size=size, distance=distance, target=target)
    return replace(camera, near=max(0.01, distance - 3.0), far=distance + 3.0)
