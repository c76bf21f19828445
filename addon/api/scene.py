"""The backend, and the heads of a scene."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import bpy

from gshead_backend.avatar.shading import only_photo_light
from gshead_backend.errors import ArgumentError

from .. import attach as attaching
from .. import heads as scene_heads
from .. import health, lighting, preferences, runtime, storage
from ..jobs import read_portrait
from ..rig.build import HeadObjects
from ..rig.read_pose import find_rig

Progress = Callable[[float, str], None]
Quality = Literal["draft", "standard", "high"]


def start_backend(command: Sequence[str] = (), connection_file: str = "") -> None:
    """Connect to the backend, starting one if need be; the functions below do it by themselves.

    Args:
        command: starts a backend here, such as ``("/path/to/gshead", "serve")``. connection_file: of one elsewhere.
            They hold until preferences are changed; without them preferences and environment decide. A connection
            that stands is kept: ``stop_backend`` first to change it.
    Raises:
        BackendError: it cannot be started or reached.
    """
    runtime.configure(preferences.current())
    settings = runtime.session.settings
    if command:
        settings = replace(settings, command=tuple(command), connection_file="")
    if connection_file:
        settings = replace(settings, connection_file=connection_file)
    runtime.session.settings = settings
    runtime.session.client(start=True)


def stop_backend() -> None:
    """Let go of the backend; it ends when nobody else uses it."""
    runtime.session.stop()


def reconstruct(
    portrait: str | Path | bytes, *, quality: Quality = "standard", name: str = "", method: str = "uvfit",
    model: str = "", on_progress: Progress | None = None, cancel: threading.Event | None = None,
) -> HeadObjects:  # fmt: skip
    """Make a rigged head from a photo and add it to the active collection; seconds to minutes.

    Args:
        portrait: path or bytes of an image file that shows one face from the front.
        quality: about 20, 60 or 150 thousand splats. name: of the objects; the file's by default.
        method: "uvfit", "rar", "sega", or "gagavatar" where its weights and a FLAME head are installed
            (docs/methods.md).
        model: the head model that it is made on, as installed on the backend's machine (docs/head-model.md); the
            method's own when empty.
        on_progress: called with (fraction 0..1, text). cancel: set it, from there or another thread, to stop.
    Returns:
        Its objects: ``.mesh`` and ``.rig``.
    Raises:
        FileFormatError: the file cannot be read. MissingWeightsError: of the method.
        PortraitError: no usable face. BackendError: it failed or died.
        Cancelled.
    """
    path = None if isinstance(portrait, bytes) else full_path(portrait)
    data = portrait if isinstance(portrait, bytes) else read_portrait(path)
    name = name or (path.stem if path is not None else "") or "Head"
    _, avatar = runtime.session.reconstruct(
        data, quality=quality, name=name, method=method, head=model, on_progress=on_progress, cancel=cancel
    )
    return scene_heads.add_head(bpy.context, avatar, name)


def load(path: str | Path) -> HeadObjects:
    """Add the head of a ``.gshead`` file; needs no backend. Raises ``FileFormatError`` or ``HeadError``."""
    return scene_heads.load_head_file(bpy.context, full_path(path))


def save(head: Any, path: str | Path) -> int:
    """Write a head's ``.gshead`` file; returns its size in bytes. Raises ``ExportError``."""
    return scene_heads.save_head_file(mesh_of(head).data, full_path(path))


def heads() -> list[HeadObjects]:
    """The heads of the scene, by name."""
    meshes = sorted((o for o in bpy.context.scene.objects if storage.is_head(o)), key=lambda o: o.name)
    return [HeadObjects(mesh, find_rig(mesh)) for mesh in meshes]


def attach(head: Any, armature: Any = None, bone: str = "") -> None:
    """Hang a head, where it is, on a bone of another armature object: the named one, else its head's by its name.

    Without ``armature`` the scene's only other one is taken. Raises ``ArgumentError`` when there is no such armature or
    bone, or the armature hangs on the head.
    """
    rig = parts_of(head).rig
    attaching.attach(bpy.context, rig, *attaching.choose(bpy.context, rig, armature, bone))


def detach(head: Any) -> None:
    """Take a head off its parent, where it is. Raises ``ArgumentError`` when it has none."""
    attaching.detach(bpy.context, parts_of(head).rig)


def set_light(
    head: Any, source: Literal["photo", "scene"] = "scene", *, strength: float = 1.0, shadows: bool = True
) -> None:
    """Show a head in its photo's light or in that of the scene's lights and world, in viewports and renders.

    Args:
        strength: how far the scene's light takes the place of the photo's, 0 to 1.
        shadows: things in the way of the scene's lights darken it, in final frames.
    Raises:
        ArgumentError: an unknown source, or a strength outside 0..1. UnsupportedError: a network draws this head.
    """
    mesh = mesh_of(head)
    if source not in ("photo", "scene") or not 0 <= strength <= 1:
        raise ArgumentError(
            f"A head's light is 'photo' or 'scene' with a strength of 0 to 1, not {source!r}, {strength}."
        )
    if source == "scene" and health.drawn_by_network(mesh):
        raise only_photo_light(mesh.name)
    settings = lighting.settings_of(mesh)
    settings.source, settings.strength, settings.shadows = source.upper(), strength, shadows


def parts_of(head: Any) -> HeadObjects:
    """The objects of a head from whatever part of it was given. Raises ``ArgumentError``."""
    if isinstance(head, HeadObjects):
        return head
    mesh = mesh_of(head)
    rig = find_rig(mesh)
    if rig is None:
        raise ArgumentError(f"'{mesh.name}' has no rig.", remedy="Give its Armature modifier one, or load it again.")
    return HeadObjects(mesh, rig)


def mesh_of(head: Any) -> Any:
    """The mesh object of a head from whatever part of it was given, also of one without a rig. ``ArgumentError``."""
    mesh = head.mesh if isinstance(head, HeadObjects) else scene_heads.mesh_of(head)
    if mesh is None:
        raise ArgumentError(f"{head!r} is no part of a Gaussian head.", remedy="api.heads() lists those of the scene.")
    return mesh


def full_path(path: str | Path) -> Path:
    """``//`` is the .blend file's folder; the rest is made absolute, because Blender writes to no other path."""
    return Path(bpy.path.abspath(str(path))).absolute()
