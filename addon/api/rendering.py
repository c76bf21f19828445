"""What scripts need and the interface has in other ways: a framing camera, rendering to files, a PLY of one frame."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from gshead_backend.avatar import drive
from gshead_backend.avatar.framing import portrait_camera
from gshead_backend.errors import ArgumentError, Cancelled, RenderError, from_code
from gshead_backend.export.allowed import check_exportable
from gshead_backend.export.ply import export_ply as write_ply

from .. import storage
from ..camera import BLENDER_TO_OPENCV, render_size
from ..rig.axes import head_to_world
from ..rig.read_pose import read_state
from ..timeline import coming_back, evaluated, go_to

SENSOR_MM = 36.0


def add_camera(context: Any, mesh_object: Any, yaw: float, pitch: float, size: tuple[int, int] | None) -> Any:
    """See ``api.add_camera``."""
    scene = context.scene
    if size is not None:
        scene.render.resolution_x, scene.render.resolution_y = size
        scene.render.resolution_percentage = 100
    width, height = render_size(scene.render)
    view = portrait_camera(storage.read(mesh_object.data).avatar, (width, height), yaw, pitch)
    data = bpy.data.cameras.new("Camera")
    data.sensor_width, data.sensor_fit = SENSOR_MM, "AUTO"
    data.lens = SENSOR_MM * float(view.K[0, 0]) / max(width, height)
    data.clip_start, data.clip_end = view.near, view.far
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    context.view_layer.update()
    to_world = head_to_world(np.array(mesh_object.matrix_world)) @ np.linalg.inv(view.viewmat) @ BLENDER_TO_OPENCV
    camera.matrix_world = Matrix(to_world)
    scene.camera = camera
    return camera


def render(
    scene: Any, wanted: Sequence[tuple[float, Path]], engine: str, on_progress: Callable[[float, str], None] | None =
    None, cancel: threading.Event | None = None,
) -> list[Path]:  # fmt: skip
    """Render (frame, path) pairs one after the other; frame, path and engine of the scene are put back.

    Raises as ``api.render_animation``.
    """
    settings = scene.render
    if settings.is_movie_format:
        raise ArgumentError(
            f"The scene writes {settings.image_settings.file_format}, not pictures.",
            remedy="Set scene.render.image_settings.file_format to PNG or OPEN_EXR.",
        )
    before = settings.filepath, settings.engine
    written = []
    with coming_back(scene):
        try:
            settings.engine = engine or settings.engine
            for number, path in wanted:
                if cancel is not None and cancel.is_set():
                    raise Cancelled(f"Rendering was stopped after {len(written)} of {len(wanted)} frames.")
                go_to(scene, number)
                written.append(_render_one(settings, path))
                if on_progress is not None:
                    on_progress(len(written) / len(wanted), f"Frame {number:g}")
        finally:
            settings.filepath, settings.engine = before
    return written


def _render_one(settings: Any, path: Path) -> Path:
    ending = settings.file_extension
    path = path if path.suffix.lower() == ending.lower() or not settings.use_file_extension else Path(f"{path}{ending}")
    settings.filepath = str(path)
    try:
        bpy.ops.render.render(write_still=True)
    except RuntimeError as error:
        raise _told(str(error)) from error
    if not path.is_file():
        raise RenderError(f"Blender wrote no picture to '{path}'.", remedy="Look at Blender's console.")
    return path


def _told(text: str) -> Exception:
    """The project's error that an operator's report carries, else a ``RenderError``."""
    found = re.search(r"(GSH-E\d{3}): (.*)", text, re.DOTALL)
    return from_code(found[1], found[2].strip()) if found else RenderError(text.strip().removeprefix("Error: "))


def export_ply(context: Any, mesh_object: Any, path: Path, frame: float | None) -> int:
    """See ``api.export_ply``."""
    avatar = storage.read(mesh_object.data).avatar
    check_exportable(avatar)
    if frame is None:
        state = read_state(mesh_object, avatar, context.evaluated_depsgraph_get())
    else:
        (state,) = [read_state(mesh_object, avatar, depsgraph) for depsgraph in evaluated(context, [frame])]
    if state.vertices is None:
        return write_ply(path, drive.drive(avatar, state.pose))
    return write_ply(path, drive.drive_vertices(avatar, state.vertices, state.pose))
