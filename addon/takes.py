"""Takes as keyframes on the armature object: channels and bones, one Action slot, written in bulk."""

from __future__ import annotations

from typing import Any

import numpy as np

from gshead_backend.avatar.take import Channel, Take

from . import compat, nla
from .rig.controls import ROTATION_BONES, control_axes, control_curves, control_paths

BEZIER, LINEAR, CONSTANT = 2, 1, 0  # values of Keyframe.interpolation
FREE_HANDLE = 0


def scene_fps(scene: Any) -> float:
    """Frames per second of a scene, its base included."""
    return scene.render.fps / scene.render.fps_base


def apply_take(rig: Any, take: Take, *, fps: float, start: float | None = None, new_action: bool = True) -> Any:
    """Key a take onto a rig; returns the action.

    Channels that the take does not name are left as they are. In between keys Blender shows what ``Take.pose`` says.

    Args:
        fps: of the scene; keys are moved so that the take keeps its speed.
        start: scene frame of the take's first one; its own by default.
        new_action: make an action of the take's name instead of writing into the current one.
    """
    if new_action and rig.animation_data is not None:
        rig.animation_data.action = None
    action = compat.ensure_action(rig, take.name)
    bag = compat.channelbag(rig, action)
    first = take.start if start is None else start
    controls = control_curves(rig)
    for name, channel in take.channels.items():
        times = first + (np.asarray(channel.frames) - take.start) * (fps / take.fps)
        if name in ROTATION_BONES:
            bone = rig.pose.bones[ROTATION_BONES[name]]
            bone.rotation_mode = "XYZ"
            path = f'pose.bones["{bone.name}"].rotation_euler'
            for axis, values in enumerate(np.radians(channel.values).T):
                write_keys(compat.curve(bag, path, axis, bone.name), times, values, channel)
        else:
            path, index, scale, offset, group = controls[name]
            values = offset + scale * np.asarray(channel.values)
            write_keys(compat.curve(bag, path, index, group), times, values, channel)
    rig.update_tag()
    return action


def put_take(
    scene: Any, rig: Any, take: Take, *, start: float | None = None, new_action: bool = True, add_strip: bool = False
) -> tuple[Any, Any | None]:
    """``apply_take`` at a scene's rate, on an NLA track of its own if wanted; returns the action and the strip.

    Only a new action becomes a strip.
    """
    action = apply_take(rig, take, fps=scene_fps(scene), start=start, new_action=new_action)
    return action, nla.push_down(rig) if add_strip and new_action else None


def key_everything(rig: Any, frame: float) -> int:
    """Key every control as it is now; returns how many values were keyed."""
    bag = compat.channelbag(rig, compat.ensure_action(rig, rig.name))
    paths = control_paths(rig)
    for path, index, group in paths:
        value = rig.path_resolve(path)
        value = value if isinstance(value, float) else value[index]
        compat.curve(bag, path, index, group).keyframe_points.insert(frame, float(value), options={"FAST"})
    for curve in bag.fcurves:
        curve.update()
    return len(paths)


def clear_pose(rig: Any) -> None:
    """All controls to rest; where the board stands is no part of the pose."""
    for name, curve in control_curves(rig).items():
        if curve.group not in rig.pose.bones:
            rig[name] = 0.0
    for name in control_axes(rig):
        bone = rig.pose.bones[name]
        bone.matrix_basis.identity()
        bone.location, bone.scale = (0, 0, 0), (1, 1, 1)
        bone.rotation_euler, bone.rotation_quaternion = (0, 0, 0), (1, 0, 0, 0)
        bone.rotation_axis_angle = (0, 0, 1, 0)
    rig.update_tag()


def write_keys(curve: Any, times: np.ndarray, values: np.ndarray, channel: Channel) -> None:
    """Replace a curve's keys in bulk; "smooth" becomes flat Bezier handles a third of the way, which is 3t² - 2t³."""
    count = len(times)
    points = curve.keyframe_points
    points.clear()
    points.add(count)
    points.foreach_set("co", np.stack([times, values], 1).astype(np.float32).ravel())
    kind = {"smooth": BEZIER, "linear": LINEAR, "constant": CONSTANT}[channel.interpolation]
    points.foreach_set("interpolation", np.full(count, kind, np.int32))
    before = np.diff(times, prepend=times[0] - 1) / 3
    after = np.diff(times, append=times[-1] + 1) / 3
    for side, offset in (("left", -before), ("right", after)):
        points.foreach_set(f"handle_{side}_type", np.full(count, FREE_HANDLE, np.int32))
        points.foreach_set(f"handle_{side}", np.stack([times + offset, values], 1).astype(np.float32).ravel())
