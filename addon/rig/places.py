"""Where a head's controls stand, from its own proportions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mathutils import Vector

from gshead_backend.avatar.types import Avatar

from . import board
from .axes import to_blender
from .layout import JOINT_BONES

SIZE = 0.2  # metres from the neck's joint to the crown that the lengths below are meant for
TARGET_DISTANCE = 0.35
UNIT = 0.0185  # of the board
GAP = 0.03


@dataclass(frozen=True)
class Places:
    """Where controls stand, Blender object space in metres. ``scale``: of this head against ``SIZE``."""

    scale: float
    board: Vector
    neck: Vector
    crown: Vector
    chin: Vector
    eyes: dict[str, Vector]

    @classmethod
    def of(cls, avatar: Avatar) -> Places:
        """The places for an avatar's own proportions."""
        rest = to_blender(avatar.personal.rest.astype(np.float64))
        joints = dict(zip(JOINT_BONES, to_blender(avatar.personal.joints.astype(np.float64)), strict=True))
        top, neck = float(rest[:, 2].max()), joints["neck"]
        scale = float(np.clip((top - neck[2]) / SIZE, 0.2, 5.0))
        unit = UNIT * scale
        right = float(rest[:, 0].max()) + GAP * scale + board.WIDTH / 2 * unit
        middle = (top + neck[2]) / 2
        corner = Vector((right, neck[1], middle - board.HEIGHT / 2 * unit))
        eyes = {side: Vector(joints[f"eye.{side}"]) for side in "LR"}
        jaw = rest[avatar.head.skin_weights[:, JOINT_BONES.index("jaw")] > 0.5]
        chin = np.asarray(joints["jaw"])
        if len(jaw):
            low = jaw[jaw[:, 2] <= np.quantile(jaw[:, 2], 0.4)]
            chin = low[np.argmin(low[:, 1])] * (0, 1, 1)
        return cls(scale, corner, Vector(neck), Vector((neck[0], neck[1], top)), Vector(chin), eyes)
