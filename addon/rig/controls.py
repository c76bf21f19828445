"""The controls of a rig as names, curves and values: what takes, keys and panels read and write. No bpy here.

Bones are the truth. A channel such as ``jawOpen`` is a custom property of the armature object that a driver computes
from its slider, the joysticks that add to it and the gaze; the shape keys and mechanism bones follow the property.
A rig of an earlier version has no sliders: there the property itself is keyed, and everything here says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gshead_backend.head import ARKIT_NAMES

from .board import SLIDER_BONES, joysticks
from .layout import JOINT_BONES, RAW_PREFIX

TARGET = "eye_target"
TARGET_BONES = (TARGET, f"{TARGET}.L", f"{TARGET}.R")
BOARD = "board"
FOLLOW = "follow_head"  # custom property of the board and of the eye target
ROTATION_BONES = {
    "headRotation": "root",
    "neckRotation": "neck",
    "leftEyeRotation": "eye.L",
    "rightEyeRotation": "eye.R",
}


class ControlCurve(NamedTuple):
    """Where a channel is keyed: the F-curve's value is ``offset + scale * channel``; ``group`` names its group."""

    data_path: str
    array_index: int
    scale: float
    offset: float
    group: str


def has_board(rig: Any) -> bool:
    """Whether an armature object has control bones for its channels, as rigs have since the face board."""
    return SLIDER_BONES["jawOpen"] in rig.pose.bones


def control_curves(rig: Any) -> dict[str, ControlCurve]:
    """Each of the rig's channels, the 52 ARKit ones first, to the F-curve that keys it."""
    board = has_board(rig)
    found = {}
    for name in channels_of(rig):
        bone = SLIDER_BONES.get(name)
        if board and bone is not None:
            found[name] = ControlCurve(f'pose.bones["{bone}"].location', 1, 1.0, 0.0, bone)
        else:
            found[name] = ControlCurve(f'["{name}"]', 0, 1.0, 0.0, "Face")
    return found


def rotation_paths() -> dict[str, tuple[str, str]]:
    """A take's rotation channels to (bone, data path of its three Euler angles in radians, order XYZ)."""
    return {name: (bone, f'pose.bones["{bone}"].rotation_euler') for name, bone in ROTATION_BONES.items()}


def channels_of(rig: Any) -> list[str]:
    """The ARKit channels that an armature object carries, in Apple's order, then its raw coefficients."""
    keys = set(rig.keys())
    return [n for n in ARKIT_NAMES if n in keys] + sorted(k for k in keys if k.startswith(RAW_PREFIX))


def channel_values(rig: Any) -> dict[str, float]:
    """What every channel comes to, joysticks and gaze included.

    Args:
        rig: an evaluated armature object, or an original one, which shows the last evaluation of the scene.
    """
    return {name: float(rig[name]) for name in channels_of(rig)}


def slider_values(rig: Any) -> dict[str, float]:
    """What every channel's own control says now: the values that keys of :func:`control_curves` hold."""
    found = {}
    for name, curve in control_curves(rig).items():
        bone = rig.pose.bones.get(curve.group)
        found[name] = float(rig[name] if bone is None else bone.location[curve.array_index])
    return found


def set_channels(rig: Any, values: Mapping[str, float]) -> None:
    """Move the sliders of channels to values; joysticks and gaze go on adding theirs.

    Raises ``KeyError`` for a channel that the rig does not have.
    """
    curves = control_curves(rig)
    for name, value in values.items():
        curve = curves[name]
        bone = rig.pose.bones.get(curve.group)
        if bone is None:
            rig[name] = float(value)
        else:
            bone.location[curve.array_index] = curve.offset + curve.scale * value
    rig.update_tag()


def control_axes(rig: Any) -> dict[str, dict[str, tuple[int, ...]]]:
    """Every control bone of the rig to what an animator keys of it: property to the axes that move.

    The property is ``location`` or ``rotation``, whatever rotation mode the bone is in.
    """
    axes: dict[str, dict[str, tuple[int, ...]]] = {bone: {"rotation": (0, 1, 2)} for bone in JOINT_BONES}
    axes[JOINT_BONES[0]]["location"] = (0, 1, 2)
    if has_board(rig):
        axes |= {bone: {"location": (0, 1, 2)} for bone in TARGET_BONES}
        axes |= {bone: {"location": (1,)} for bone in SLIDER_BONES.values()}
        for stick in joysticks():
            axes[stick.bone] = {"location": tuple(axis for axis in (0, 1) if any(stick.limits(axis)))}
    return {bone: moved for bone, moved in axes.items() if bone in rig.pose.bones}


def control_paths(rig: Any) -> list[tuple[str, int, str]]:
    """(data path, array index, group) of everything that is keyed of a rig; raw coefficients come last."""
    found: list[tuple[str, int, str]] = []
    for bone, moved in control_axes(rig).items():
        for what, axes in moved.items():
            path, indices = what, axes
            if what == "rotation":
                mode = rig.pose.bones[bone].rotation_mode
                path = {"QUATERNION": "rotation_quaternion", "AXIS_ANGLE": "rotation_axis_angle"}.get(
                    mode, "rotation_euler"
                )
                indices = axes if path == "rotation_euler" else (0, 1, 2, 3)
            found += [(f'pose.bones["{bone}"].{path}', index, bone) for index in indices]
    return found + [(c.data_path, 0, c.group) for c in control_curves(rig).values() if c.group == "Face"]
