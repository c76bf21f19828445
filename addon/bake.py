"""Baking, both ways: the rig's doing to keys of the mesh's shape keys, and keyed shape keys to the rig's controls.

A bake mutes the drivers of the shape keys instead of removing them, so that it can be taken back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
import numpy as np

from gshead_backend.avatar.take import Channel
from gshead_backend.errors import ArgumentError

from . import compat, takes
from .rig.board import joysticks
from .rig.controls import ROTATION_BONES, TARGET_BONES, channels_of, control_curves
from .rig.layout import RAW_PREFIX
from .rig.read_pose import find_rig
from .take_sampling import sample

GROUP = "Shape Keys"


def is_baked(mesh_object: Any) -> bool:
    """Whether the shape keys play from keys, their drivers muted."""
    drivers = _drivers(mesh_object.data.shape_keys)
    return bool(drivers) and all(curve.mute for curve in drivers)


def bake_to_shape_keys(context: Any, mesh_object: Any, frames: range) -> Any:
    """Key what every shape key comes to on every frame and mute its driver; returns the action.

    The mesh then plays without the rig's drivers; the armature still turns neck, jaw and eyes.
    Raises ``ArgumentError`` as ``sample``.
    """
    sampled = sample(context, mesh_object, frames)
    keys = mesh_object.data.shape_keys
    _drop_action(keys)
    action = compat.ensure_action(keys, f"{mesh_object.name} Shape Keys")
    bag = compat.channelbag(keys, action)
    times = np.array(frames, np.float64)
    for name, values in sampled.shapes.items():
        still = np.ptp(values) < 1e-7
        channel = Channel(times[:1] if still else times, values[:1] if still else values)
        path = f'key_blocks["{bpy.utils.escape_identifier(name)}"].value'
        takes.write_keys(compat.curve(bag, path, 0, GROUP), channel.frames, channel.values, channel)
    for curve in _drivers(keys):
        curve.mute = True
    mesh_object.data.update_tag()
    return action


def remove_bake(mesh_object: Any) -> None:
    """The shape keys follow the rig again; their keys go."""
    keys = mesh_object.data.shape_keys
    _drop_action(keys)
    for curve in _drivers(keys):
        curve.mute = False
    mesh_object.data.update_tag()


def bake_to_controls(context: Any, mesh_object: Any, frames: range) -> Any:
    """Key the rig's controls as the shape keys are keyed, let the keys follow the rig again; returns the new action.

    Head, neck and eyes are keyed as they are seen, except where a constraint of their bone goes on to turn it.
    Joysticks and the eye target come to rest, as the sliders now hold all that they did.
    Raises ``ArgumentError`` as ``sample``, or when shape keys have no driver through which to follow a rig.
    """
    keys, rig = mesh_object.data.shape_keys, find_rig(mesh_object)
    if rig is None or not channels_of(rig) or not _drivers(keys):
        raise ArgumentError(
            f"The shape keys of '{mesh_object.name}' follow no rig, so there are no controls to key.",
            remedy="Load the head's .gshead file again and give its shape keys the same action.",
        )
    if keys.animation_data.action is not None:  # what is keyed counts, not what drivers would put in its place
        for curve in _drivers(keys):
            curve.mute = True
    sampled = sample(context, mesh_object, frames)
    remove_bake(mesh_object)
    fps = takes.scene_fps(context.scene)
    take = sampled.take(fps, f"{rig.name} Baked", every=True)
    held = {channel for channel, bone in ROTATION_BONES.items() if _acting(rig, bone)}
    take = replace(take, channels={name: c for name, c in take.channels.items() if name not in held})
    action = takes.apply_take(rig, take, fps=fps)
    bag = compat.channelbag(rig, action)
    for name, (path, index, scale, offset, group) in control_curves(rig).items():
        if name.startswith(RAW_PREFIX) and name in sampled.shapes:
            channel = Channel(np.array(frames, np.float64), offset + scale * sampled.shapes[name])
            takes.write_keys(compat.curve(bag, path, index, group), channel.frames, channel.values, channel)
    _rest(rig, bag, frames.start)
    return action


def _rest(rig: Any, bag: Any, frame: int) -> None:
    zero = Channel(np.array([float(frame)]), np.zeros(1))
    for name in (*(stick.bone for stick in joysticks()), *TARGET_BONES):
        bone = rig.pose.bones.get(name)
        if bone is not None:
            bone.location = (0, 0, 0)
            for axis in range(3):
                curve = compat.curve(bag, f'pose.bones["{name}"].location', axis, name)
                takes.write_keys(curve, zero.frames, zero.values, zero)


def _acting(rig: Any, bone: str) -> list[Any]:
    """The constraints that turn a bone further than its own channels say; limits only hold what they say."""
    constraints = rig.pose.bones[bone].constraints if bone in rig.pose.bones else ()
    return [c for c in constraints if not c.mute and c.influence > 0 and not c.type.startswith("LIMIT_")]


def _drivers(keys: Any) -> list[Any]:
    return list(keys.animation_data.drivers) if keys is not None and keys.animation_data else []


def _drop_action(keys: Any) -> None:
    action = keys.animation_data.action if keys.animation_data else None
    if action is not None:
        keys.animation_data.action = None
        if action.users == 0:
            bpy.data.actions.remove(action)
