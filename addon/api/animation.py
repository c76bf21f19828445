"""Channels, keys and takes of a head."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import bpy

from gshead_backend.avatar.retime import at_rate
from gshead_backend.avatar.take import Interpolation, Take
from gshead_backend.avatar.take_table import take_from_table
from gshead_backend.errors import ArgumentError

from .. import bake, nla, runtime, take_sampling, takes
from ..jobs import clip_of, track_clip
from ..rig import controls
from ..take_files import TakeOptions, read_take, write_take
from .scene import Progress, full_path, parts_of


def set_channels(head: Any, values: Mapping[str, float]) -> None:
    """Move the sliders of ARKit channels, 0 (rest) to 1; nothing is keyed. Raises ``ArgumentError`` for other names."""
    rig = parts_of(head).rig
    known = controls.channels_of(rig)
    if unknown := [name for name in values if name not in known]:
        raise ArgumentError(f"'{rig.name}' has no channel '{unknown[0]}'.", remedy="api.channels(head) names them.")
    controls.set_channels(rig, values)


def channels(head: Any) -> dict[str, float]:
    """Every ARKit channel and raw coefficient of a head at the current frame, joysticks and gaze included."""
    rig = parts_of(head).rig
    return controls.channel_values(rig.evaluated_get(bpy.context.evaluated_depsgraph_get()))


def key_table(
    head: Any, table: Mapping[str, Any], *, start: int = 1, interpolation: Interpolation = "linear",
    new_action: bool = False, name: str = "Table",
) -> Any:  # fmt: skip
    """Key channels from tables of numbers, written in bulk; returns the action.

    Args:
        table: channel to keys, lists or arrays: (K, 2) rows of frame and value, or (F,) values from ``start`` on;
            for a rotation (K, 4) rows of frame and three angles in degrees, or (F, 3) angles.
        interpolation: ``"linear"``, ``"smooth"`` or ``"constant"``.
        new_action: make an action called ``name``, instead of replacing these channels in the current one.
    Raises:
        ArgumentError: an unknown channel, a table of another shape, unordered or out of range; nothing is keyed then.
    """
    fps = takes.scene_fps(bpy.context.scene)
    take = take_from_table(table, fps=fps, start=start, interpolation=interpolation, name=name)
    return takes.apply_take(parts_of(head).rig, take, fps=fps, new_action=new_action)


def import_take(
    head: Any, take: str | Path | Take, *, start: float | None = None, new_action: bool = True, add_strip: bool = False,
    options: TakeOptions | None = None,
) -> Any:  # fmt: skip
    """Key a take onto a head at the scene's rate; returns the action.

    Args:
        take: a ``.json`` take or Live Link Face ``.csv``, or a ``Take``. start: scene frame; the take's own by default.
        new_action: keep the current action and make another. add_strip: put it on an NLA track of its own.
        options: how a file is brought in (scale, smoothing, ...).
    Raises:
        FileFormatError, ArgumentError: the file is no take.
    """
    fps, rig = takes.scene_fps(bpy.context.scene), parts_of(head).rig
    if not isinstance(take, Take):
        take = read_take(full_path(take), options or TakeOptions(fps))[0]
    action = takes.apply_take(rig, take, fps=fps, start=start, new_action=new_action)
    if add_strip and new_action:
        nla.push_down(rig)
    return action


def reenact(
    head: Any, clip: str | Path, *, start: float | None = None, new_action: bool = True, fps: float = 0.0,
    smooth: float = 1.0, motion: Literal["neck", "head", "none"] = "neck", center: bool = False,
    on_progress: Progress | None = None, cancel: threading.Event | None = None,
) -> Any:  # fmt: skip
    """Track the face in a video, or in a folder of pictures, and key it onto a head; returns the action.

    Args:
        fps: of the clip; 0 for a video's own, and for pictures the scene's. smooth: 0 to 5, 1 is usual.
        motion: what turns with the filmed head. center: its middle position is straight ahead.
        Others as :func:`import_take` and :func:`reconstruct`.
    Raises:
        FileFormatError: it cannot be read. NoFaceError: nobody is in it. BackendError. Cancelled.
    """
    rig, rate = parts_of(head).rig, takes.scene_fps(bpy.context.scene)
    path = clip_of(full_path(clip))
    take, _ = track_clip(
        runtime.session, path, name=path.stem[:60] or "Take", fps=fps or (rate if path.is_dir() else 0.0),
        smooth=smooth, motion=motion, center=center, on_progress=on_progress, cancel=cancel,
    )  # fmt: skip
    return takes.apply_take(rig, at_rate(take, rate), fps=rate, start=start, new_action=new_action)


def export_take(head: Any, path: str | Path = "", *, frames: range | None = None) -> Take:
    """What a head does over frames (the scene's by default), whatever animates it.

    Args:
        path: also written there, as a take (``.json``) or Live Link Face recording (``.csv``).
    Raises:
        ArgumentError: an empty range. ExportError: it cannot be written.
    """
    scene = bpy.context.scene
    name = bpy.path.display_name_from_filepath(str(path)) if path else parts_of(head).rig.name
    frames = bake.scene_frames(scene) if frames is None else frames
    sampled = take_sampling.sample(bpy.context, parts_of(head).mesh, frames)
    take = sampled.take(takes.scene_fps(scene), name)
    if path:
        write_take(take, full_path(path))
    return take
