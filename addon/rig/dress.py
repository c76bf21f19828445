"""How control bones look, and how far they go: shapes, colours, locks and limits."""

from __future__ import annotations

from math import radians
from typing import Any

from . import board
from .controls import BOARD, TARGET, TARGET_BONES
from .places import TARGET_DISTANCE, UNIT, Places
from .widgets import widget

REACH = {"x": (-1.2, 1.2), "y": (-1.2, 1.2), "z": (-0.7, 3.0)}  # of the eye target, in target distances
# Degrees about x, y and z (Euler XYZ): nod, turn, tilt. The root is free: it puts the head anywhere.
ROTATION_LIMITS = {
    "neck": ((-70, 70), (-85, 85), (-60, 60)),
    "jaw": ((-15, 40), (-25, 25), (-25, 25)),
    "eye.L": ((-60, 60), (-60, 60), (-60, 60)),
    "eye.R": ((-60, 60), (-60, 60), (-60, 60)),
}
COLORS = {"L": "THEME04", "R": "THEME01", "": "THEME09"}
LABEL_COLOR = (0.85, 0.85, 0.85)


def _dress(bone: Any, shape: str, side: str, *, size: Any = 1.0, at: Any = (0, 0, 0), width: float = 1.0) -> None:
    bone.custom_shape = widget(shape)
    bone.use_custom_shape_bone_size = False
    bone.custom_shape_scale_xyz = (size, size, size) if isinstance(size, float) else size
    bone.custom_shape_translation = at
    bone.custom_shape_wire_width = width
    bone.bone.color.palette = COLORS[side]


def _lock(bone: Any, free: tuple[int, ...] = ()) -> None:
    bone.lock_location = [axis not in free for axis in range(3)]
    bone.lock_rotation = bone.lock_scale = (True, True, True)
    bone.lock_rotation_w = True


def _limit_location(bone: Any, limits: dict[str, tuple[float, float]]) -> None:
    limit = bone.constraints.new("LIMIT_LOCATION")
    limit.owner_space, limit.use_transform_limit = "LOCAL", True
    for axis, (low, high) in limits.items():
        setattr(limit, f"use_min_{axis}", True)
        setattr(limit, f"use_max_{axis}", True)
        setattr(limit, f"min_{axis}", low)
        setattr(limit, f"max_{axis}", high)


def dress_head(rig: Any, places: Places) -> None:
    """Shapes and limits of the head's own bones and of the eye target."""
    bones, f = rig.pose.bones, places.scale
    crown = float((places.crown - places.neck).length)
    _dress(bones["root"], "ring", "", size=0.16 * f, width=2.0)
    _dress(bones["neck"], "ring", "", size=0.08 * f, at=(0, crown + 0.02 * f, 0), width=2.0)
    x, y, z = places.chin - rig.data.bones["jaw"].head_local
    _dress(bones["jaw"], "chin", "", size=0.04 * f, at=(x, z - 0.005 * f, -y + 0.01 * f), width=2.0)
    for side in "LR":
        _dress(bones[f"eye.{side}"], "disc", side, size=0.022 * f, at=(0, 0, 0.05 * f), width=1.5)
        _dress(bones[f"{TARGET}.{side}"], "target", side, size=0.014 * f, width=1.5)
    _dress(bones[TARGET], "pair", "", size=0.06 * f, width=2.0)
    for name in ("neck", "jaw", "eye.L", "eye.R"):
        limit = bones[name].constraints.new("LIMIT_ROTATION")
        limit.owner_space, limit.use_transform_limit = "LOCAL", True
        for axis, (low, high) in zip("xyz", ROTATION_LIMITS[name], strict=True):
            setattr(limit, f"use_limit_{axis}", True)
            setattr(limit, f"min_{axis}", radians(low))
            setattr(limit, f"max_{axis}", radians(high))
        bones[name].lock_location = bones[name].lock_scale = (True, True, True)
    bones["root"].lock_scale = (True, True, True)
    reach = TARGET_DISTANCE * f
    for name in TARGET_BONES:
        _lock(bones[name], (0, 1, 2))
        _limit_location(bones[name], {axis: (low * reach, high * reach) for axis, (low, high) in REACH.items()})


def dress_board(rig: Any, places: Places) -> None:
    """Shapes, locks, limits and size of the board and what stands on it."""
    bones = rig.pose.bones
    for name in ("frame", *board.labels()):
        bone = bones[board.STATIC_PREFIX + name]
        _dress(bone, "frame" if name == "frame" else f"region:{name}", "")
        _lock(bone)
        bone.bone.hide_select = True
        bone.bone.color.palette = "CUSTOM"
        bone.bone.color.custom.normal = LABEL_COLOR
    for slider in board.sliders():
        bone = bones[slider.bone]
        _dress(bone, "slider", slider.side)
        _lock(bone, (1,))
        _limit_location(bone, {"y": (0.0, 1.0)})
    for stick in board.joysticks():
        bone = bones[stick.bone]
        free = tuple(axis for axis in (0, 1) if any(stick.limits(axis)))
        _dress(bone, "joystick", stick.side)
        _lock(bone, free)
        _limit_location(bone, {"xy"[axis]: stick.limits(axis) for axis in free})
    unit = UNIT * places.scale
    _dress(bones[BOARD], "handle", "", size=unit, at=(0, -0.35 * unit, 0))
    bones[BOARD].lock_rotation, bones[BOARD].lock_scale = (False, False, False), (True, True, True)
    # A constraint, not a pose: no clearing, pasting or keying can take the board's unit away.
    size = bones["MCH-board"].constraints.new("LIMIT_SCALE")
    size.owner_space = "LOCAL"
    for axis in "xyz":
        for end in ("min", "max"):
            setattr(size, f"use_{end}_{axis}", True)
            setattr(size, f"{end}_{axis}", unit)
