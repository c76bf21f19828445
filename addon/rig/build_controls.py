"""Control bones on a head's armature: board, sliders, joysticks, eye targets, limits, shapes and drivers."""

from __future__ import annotations

from typing import Any

import bpy
from mathutils import Vector

from gshead_backend.avatar.types import Avatar
from gshead_backend.head import ARKIT_NAMES

from . import board
from .controls import BOARD, FOLLOW, TARGET, TARGET_BONES
from .dress import dress_board, dress_head
from .drivers import drive_by_expression
from .layout import JOINT_BONES, gaze_terms
from .places import TARGET_DISTANCE, Places

DEAD_ZONE = 1e-5  # radians per radian of full gaze: rounding must not open shape keys


def add_controls(context: Any, rig: Any, avatar: Avatar) -> None:
    """Add every control to an armature object that has the head's own bones and channels. Leaves Object mode on."""
    places = Places.of(avatar)
    activate(context, rig)
    bpy.ops.object.mode_set(mode="EDIT")
    _add_bones(rig.data.edit_bones, places)
    bpy.ops.object.mode_set(mode="OBJECT")
    _add_collections(rig.data)
    for bone in rig.pose.bones:
        bone.rotation_mode = "XYZ" if bone.name not in JOINT_BONES else bone.rotation_mode
    dress_head(rig, places)
    dress_board(rig, places)
    _add_spaces(rig, places)
    _add_drivers(rig, avatar)


def activate(context: Any, rig: Any) -> None:
    """Object Mode, with ``rig`` active and nothing else selected."""
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
