"""Control bones on a head's armature: board, sliders, joysticks, eye targets, limits, shapes and drivers."""

from __future__ import annotations

from dataclasses import dataclass
from math import radians
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from gshead_backend.avatar.types import Avatar
from gshead_backend.head import ARKIT_NAMES

from . import board
from .axes import to_blender
from .controls import BOARD, FOLLOW, TARGET, TARGET_BONES
from .drivers import drive_by_expression
from .layout import JOINT_BONES, gaze_terms
from .widgets import widget

SIZE = 0.2  # metres from the neck's joint to the crown that the lengths below are meant for
TARGET_DISTANCE = 0.35
UNIT = 0.0185
GAP = 0.03
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
DEAD_ZONE = 1e-5  # radians per radian of full gaze: rounding must not open shape keys


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


def add_controls(context: Any, rig: Any, avatar: Avatar) -> None:
    """Add every control to an armature object that has the head's own bones and channels. Leaves Object mode on."""
    places = Places.of(avatar)
    _activate(context, rig)
    bpy.ops.object.mode_set(mode="EDIT")
    _add_bones(rig.data.edit_bones, places)
    bpy.ops.object.mode_set(mode="OBJECT")
    _add_collections(rig.data)
    for bone in rig.pose.bones:
        bone.rotation_mode = "XYZ" if bone.name not in JOINT_BONES else bone.rotation_mode
    _dress_head(rig, places)
    _dress_board(rig, places)
    _add_spaces(rig, places)
    _add_drivers(rig, avatar)


def _activate(context: Any, rig: Any) -> None:
    if context.object is not None and context.object.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    for other in context.selected_objects:
        other.select_set(False)
    context.view_layer.objects.active = rig
    rig.select_set(True)


def _add_bones(bones: Any, places: Places) -> None:
    def add(name: str, parent: str | None, at: Vector, along: Vector) -> None:
        bone = bones.new(name)
        bone.head, bone.tail = at, at + along
        bone.align_roll((0.0, -1.0, 0.0))  # z toward the viewer, as in head space
        bone.parent = bones[parent] if parent else None
        bone.use_deform = False

    up = Vector((0, 0, 0.02 * places.scale))
    add("MCH-board_space", None, places.neck, up)
    add(BOARD, "MCH-board_space", places.board, up)
    add("MCH-board", BOARD, places.board, Vector((0, 0, 1)))
    for name in ("frame", *board.labels()):
        add(board.STATIC_PREFIX + name, "MCH-board", places.board, Vector((0, 0, 1)))
    for slider in board.sliders():
        x, y = slider.at
        add(slider.bone, "MCH-board", places.board + Vector((x, 0, y)), Vector((0.5 * slider.direction, 0, 0)))
    for stick in board.joysticks():
        x, y = stick.at
        add(stick.bone, "MCH-board", places.board + Vector((x, 0, y)), Vector((0, 0, 0.5)))
    ahead = Vector((0, -TARGET_DISTANCE * places.scale, 0))
    middle = (places.eyes["L"] + places.eyes["R"]) / 2 + ahead
    add(f"MCH-{TARGET}", None, middle, up)
    add(TARGET, f"MCH-{TARGET}", middle, up)
    for side in "LR":
        add(f"{TARGET}.{side}", TARGET, places.eyes[side] + ahead, up)
        add(f"MCH-gaze.{side}", "neck", places.eyes[side], up)


def _add_collections(data: Any) -> None:
    """Bones by region below "Board"; the head's own under "Controls"; what nobody touches is hidden."""
    collections = data.collections_all
    groups = {
        "Controls": list(TARGET_BONES), "Board": [BOARD, f"{board.STATIC_PREFIX}frame", f"{board.STATIC_PREFIX}Face"],
        "Mechanism": [b.name for b in data.bones if b.name.startswith("MCH-")],
    }  # fmt: skip
    for control in (*board.sliders(), *board.joysticks()):
        groups.setdefault(control.region, [board.STATIC_PREFIX + control.region]).append(control.bone)
    for name, bones in groups.items():
        found = collections.get(name)
        if found is None:
            found = data.collections.new(name, parent=None if name == "Board" else collections["Board"])
        for bone in bones:
            found.assign(data.bones[bone])
    collections["Board"].is_expanded = False
    collections["Mechanism"].is_visible = False


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


def _dress_head(rig: Any, places: Places) -> None:
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


def _dress_board(rig: Any, places: Places) -> None:
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


def _add_spaces(rig: Any, places: Places) -> None:
    """The board stays and the eye target follows the head, until their own properties say otherwise."""
    bones = rig.pose.bones
    for name, space, follow in ((BOARD, "MCH-board_space", 0.0), (TARGET, f"MCH-{TARGET}", 1.0)):
        bone = bones[name]
        bone[FOLLOW] = follow
        bone.id_properties_ui(FOLLOW).update(
            min=0.0, max=1.0, soft_min=0.0, soft_max=1.0, default=follow,
            description="1 follows the turning head, 0 does not",
        )  # fmt: skip
        bone.property_overridable_library_set(f'["{FOLLOW}"]', True)
        # The mechanism bone has no parent: an Armature constraint would add to a parent's movement.
        constraint = bones[space].constraints.new("ARMATURE")
        terms = {"neck": "v"} if name == BOARD else {"neck": "v", "root": "1-v"}
        base = f'pose.bones["{space}"].constraints["{constraint.name}"]'
        for k, (carrier, expression) in enumerate(terms.items()):
            target = constraint.targets.new()
            target.target, target.subtarget = rig, carrier
            path = f"{base}.influence" if name == BOARD else f"{base}.targets[{k}].weight"
            drive_by_expression(rig, path, rig, expression, {"v": f'pose.bones["{name}"]["{FOLLOW}"]'})
    for side in "LR":
        gaze = bones[f"MCH-gaze.{side}"].constraints.new("DAMPED_TRACK")
        gaze.target, gaze.subtarget, gaze.track_axis = rig, f"{TARGET}.{side}", "TRACK_Z"
    for bone in bones:
        if bone.name.startswith("MCH-"):
            bone.lock_location = bone.lock_scale = bone.lock_rotation = (True, True, True)


def _add_drivers(rig: Any, avatar: Avatar) -> None:
    """channel = slider + the half of each joystick axis that adds to it + gaze, held to the channel's own limits."""
    adds, gaze = board.additions(), gaze_terms(avatar.head)
    for channel in ARKIT_NAMES:
        paths = {"s": f'pose.bones["{board.SLIDER_BONES[channel]}"].location[1]'}
        rotations = {}
        expression = "s"
        for k, (bone, axis, sign) in enumerate(adds.get(channel, ())):
            paths[f"j{k}"] = f'pose.bones["{bone}"].location[{axis}]'
            expression += f"+max({'-' if sign < 0 else ''}j{k},0)"
        if channel in gaze:
            side, axis, factor = gaze[channel]
            rotations["g"] = (f"MCH-gaze.{side}", "XYZ"[axis])
            expression += f"+max({factor:.7g}*g-{DEAD_ZONE:g},0)"
        drive_by_expression(rig, f'["{channel}"]', rig, expression, paths, rotations)
