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

from .. import bake, runtime, take_sampling, takes
from ..jobs import clip_wish, track_clip
from ..rig import controls
from ..take_files import TakeOptions, read_take, write_take
from ..timeline import played_frames
from .scene import Progress, full_path, mesh_of, parts_of


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
    scene, rig = bpy.context.scene, parts_of(head).rig
    if not isinstance(take, Take):
        take = read_take(full_path(take), options or TakeOptions(takes.scene_fps(scene)))[0]
    return takes.put_take(scene, rig, take, start=start, new_action=new_action, add_strip=add_strip)[0]


def reenact(
    head: Any, clip: str | Path, *, start: float | None = None, new_action: bool = True, add_strip: bool = False,
    fps: float = 0.0, smooth: float = 1.0, motion: Literal["neck", "head", "none"] = "neck", center: bool = False,
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
    scene, rig = bpy.context.scene, parts_of(head).rig
    rate = takes.scene_fps(scene)
    path, wish = clip_wish(full_path(clip), rate, fps)
    take, _ = track_clip(
        runtime.session, path, **wish, smooth=smooth, motion=motion, center=center, on_progress=on_progress,
        cancel=cancel,
    )  # fmt: skip
    return takes.put_take(
        scene, rig, at_rate(take, rate), start=start, new_action=new_action, add_strip=add_strip
    )[0]  # fmt: skip


def export_take(head: Any, path: str | Path = "", *, frames: range | None = None) -> Take:
    """What a head does over frames (the scene's by default), whatever animates it.

    Args:
        path: also written there, as a take (``.json``) or Live Link Face recording (``.csv``).
    Raises:
        ArgumentError: an empty range. ExportError: it cannot be written.
    """
    scene = bpy.context.scene
    name = bpy.path.display_name_from_filepath(str(path)) if path else parts_of(head).rig.name
    sampled = take_sampling.sample(bpy.context, parts_of(head).mesh, _frames(frames))
    take = sampled.take(takes.scene_fps(scene), name)
    if path:
        write_take(take, full_path(path))
    return take


def key_pose(head: Any, *, frame: float | None = None) -> int:
    """Key every control as it is now, at a frame (the current one by default); returns how many values were keyed."""
    at = bpy.context.scene.frame_current_final if frame is None else frame
    return takes.key_everything(parts_of(head).rig, at)


def clear_pose(head: Any) -> None:
    """Put every control back to rest; keys stay."""
    takes.clear_pose(parts_of(head).rig)


def bake_shape_keys(head: Any, *, frames: range | None = None) -> Any:
    """Key the mesh's shape keys as they are seen over frames (the scene's by default); returns the action.

    Their drivers rest until ``remove_bake``. Raises ``ArgumentError``.
    """
    return bake.bake_to_shape_keys(bpy.context, mesh_of(head), _frames(frames))


def bake_controls(head: Any, *, frames: range | None = None) -> Any:
    """Key the rig's controls as the shape keys are keyed, in a new action, which is returned.

    Raises ``ArgumentError``.
    """
    return bake.bake_to_controls(bpy.context, mesh_of(head), _frames(frames))


def remove_bake(head: Any) -> None:
    """Let the shape keys follow the rig again and remove their keys."""
    bake.remove_bake(mesh_of(head))


def _frames(frames: range | None) -> range:
    return played_frames(bpy.context.scene) if frames is None else frames
