"""Pictures and files of a scene with heads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import bpy

from .. import colors, compositing, face_mesh, splat_export, usd_export
from ..timeline import played_frames
from . import rendering
from .scene import Progress, full_path, parts_of


def add_camera(head: Any, *, yaw: float = 0.0, pitch: float = 0.0, size: tuple[int, int] | None = None) -> Any:
    """Add a camera that frames a head at rest and make it the scene's; returns its object.

    Args:
        yaw, pitch: degrees around the head; positive moves the camera to the person's left, and up.
        size: (width, height) pixels; also sets the scene's resolution. The scene's own by default.
    """
    return rendering.add_camera(bpy.context, parts_of(head).mesh, yaw, pitch, size)


def render_still(path: str | Path, *, frame: float | None = None, engine: str = "GSHEAD") -> Path:
    """Render the scene as F12 does and write it in the scene's image format; returns the file's path.

    Args:
        path: its ending is added when it has none. frame: the current one by default.
        engine: the render engine to use; ``""`` keeps the scene's.
    Raises:
        RenderError, BackendError, ArgumentError: no picture was made, and why.
    """
    scene = bpy.context.scene
    at = scene.frame_current_final if frame is None else frame
    return rendering.render(scene, [(at, full_path(path))], engine)[0]


def render_animation(
    folder: str | Path, *, frames: Sequence[int] | None = None, engine: str = "GSHEAD",
    on_progress: Progress | None = None, cancel: threading.Event | None = None,
) -> list[Path]:  # fmt: skip
    """Render frames (the scene's by default) into ``folder`` as 0001, 0002 and so on; returns the files' paths.

    Args:
        on_progress: called with (fraction, text) after each frame. cancel: set it to end with ``Cancelled``;
            what was rendered stays.
    Raises:
        As :func:`render_still`; frames before the one that failed stay.
    """
    scene, folder = bpy.context.scene, full_path(folder)
    numbers = played_frames(scene) if frames is None else frames
    wanted = [(number, folder / f"{number:04d}") for number in numbers]
    return rendering.render(scene, wanted, engine, on_progress, cancel)


def export_usd(
    head: Any, path: str | Path, *, mode: Literal["baked", "clips", "rig"] = "baked", precision: Literal["float",
    "half"] = "float", frames: range | None = None, with_camera: bool = True, with_lights: bool = True,
    texture: bool = True, chunk: int = 24, on_progress: Progress | None = None,
) -> None:  # fmt: skip
    """Write splats, rigged mesh, camera and lights over frames (the scene's by default) to a USD file.

    The arguments as in the Export USD dialogue; ``chunk`` is for clips. Raises ``ArgumentError`` or ``ExportError``.
    """
    usd_export.export_head(
        bpy.context, parts_of(head).mesh, full_path(path), mode=mode, precision=precision, frames=frames,
        with_camera=with_camera, with_lights=with_lights, texture=texture, chunk=chunk, progress=on_progress,
    )  # fmt: skip


def import_usd(path: str | Path, *, with_animation: bool = True) -> list[Any]:
    """Add the heads of a USD file that gshead wrote, rigged and keyed; returns them.

    Raises ``FileFormatError`` or ``HeadError``, with nothing added.
    """
    return splat_export.import_heads(bpy.context, full_path(path), with_animation=with_animation)[0]


def export_splats(
    head: Any, path: str | Path, *, frames: range | None = None, on_progress: Progress | None = None
) -> list[Path]:
    """Write splats frame by frame (the scene's by default) as .ply or .spz, or one .glb; returns the files.

    Several frames become numbered files; a .glb has the first frame's splats and the mesh with its animation. Raises
    ``ArgumentError`` or ``ExportError``.
    """
    return splat_export.export_frames(bpy.context, parts_of(head).mesh, full_path(path), frames, progress=on_progress)


def export_face(head: Any, path: str | Path, *, frames: range | None = None) -> Path:
    """Write the head as a mesh with complete ARKit shape keys, .glb or .fbx; returns the file.

    Raises ``ArgumentError`` or ``ExportError``.
    """
    return face_mesh.export_face(bpy.context, parts_of(head).mesh, full_path(path), frames)


def export_ply(head: Any, path: str | Path, *, frame: float | None = None) -> int:
    """Write the splats of one frame (the current one by default) as a 3DGS PLY; returns its size in bytes.

    Raises ``ExportError``.
    """
    return rendering.export_ply(bpy.context, parts_of(head).mesh, full_path(path), frame)


def keep_photo_colors() -> None:
    """Show and save the scene's pictures so that a photograph's colors come out as they went in."""
    colors.keep_photo_colors(bpy.context.scene)


def add_to_compositor(*, shadows: bool = True, reflections: bool = True) -> None:
    """Show the scene's heads in its Cycles or EEVEE renders, by depth; call it again to change how.

    Args:
        shadows: the heads' meshes cast shadows. reflections: they are reflected and give indirect light.
    Raises:
        ArgumentError: another render engine, or no camera.
    """
    compositing.set_up(bpy.context.scene, shadows=shadows, reflections=reflections)


def remove_from_compositor() -> None:
    """Take the heads out of the scene's compositor and leave everything as it was; harmless when they are not in it."""
    compositing.remove(bpy.context.scene)
