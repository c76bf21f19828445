"""A head's splats as PLY, SPZ or glTF, of one frame or of each; and the head of a USD file into the scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mathutils import Matrix

from gshead_backend import avatar as avatars  # its names load safetensors and msgspec when they are first used
from gshead_backend.avatar import drive
from gshead_backend.errors import ArgumentError
from gshead_backend.export.allowed import check_exportable

from . import compat, heads, storage
from .rig.axes import BLENDER_TO_HEAD
from .takes import apply_take, scene_fps
from .usd_export import checked_frames, sample_head

FORMATS = (".ply", ".spz", ".glb")
_Z_UP = np.linalg.inv(BLENDER_TO_HEAD)


def export_frame(context: Any, mesh_object: Any, path: str | Path) -> list[Path]:
    """The splats as they are on the current frame, in head space; returns the file. Raises ``GsheadError``."""
    now = context.scene.frame_current
    return _write(context, mesh_object, Path(path), range(now, now + 1), None)


def export_frames(
    context: Any, mesh_object: Any, path: str | Path, frames: range | None = None, *,
    progress: Callable[[float, str], None] | None = None,
) -> list[Path]:  # fmt: skip
    """The splats of every frame (the scene's range by default) as numbered files; returns them.

    A .glb is one file: splats of the first frame, and the mesh with the animation. Raises ``GsheadError``.
    """
    return _write(context, mesh_object, Path(path), checked_frames(context, frames), progress)


def _write(context: Any, mesh_object: Any, path: Path, frames: range, progress: Any) -> list[Path]:
    if path.suffix.lower() not in FORMATS:
        raise ArgumentError(f"'{path.name}' must end in {', '.join(FORMATS)}.")
    avatar = storage.read(mesh_object.data).avatar
    check_exportable(avatar)
    samples = sample_head(context, mesh_object, frames, with_camera=False)

    def splats() -> Iterator[tuple[int, Any]]:
        for i, frame in enumerate(frames):
            vertices = samples.vertices[i]
            vertices = avatar.personal.vertices(samples.poses[i]) if vertices is None else vertices
            yield frame, drive.drive_vertices(avatar, vertices, samples.poses[i])
            if progress is not None:
                progress((i + 1) / len(frames), f"Frame {frame}")

    if path.suffix.lower() == ".glb":
        from gshead_backend.export.gltf import export_glb

        export_glb(path, avatar, samples.poses, fps=scene_fps(context.scene), splats=next(splats())[1])
        return [path]
    from gshead_backend.export.sequence import WRITERS, export_sequence

    if len(frames) > 1:
        return export_sequence(path, splats())
    WRITERS[path.suffix.lower()](path, next(splats())[1])
    return [path]


def import_heads(context: Any, path: str | Path, *, with_animation: bool = True) -> tuple[list[Any], list[str]]:
    """Add every head of a USD file that gshead wrote, rigged and keyed; returns them and what was left out, in words.

    Raises ``FileFormatError`` or ``HeadError`` before anything is added to the scene.
    """
    from gshead_backend.export.usd_read import import_usd
    from gshead_backend.export.usd_take import take_of

    known = [storage.read(obj.data).avatar.head for obj in context.scene.objects if storage.is_head(obj)]
    found = import_usd(path, pxr=compat.bundled_pxr(), heads=known)
    made, notes = [], []
    for head in found:
        takes = take_of(head, Path(path).stem) if with_animation and len(head.poses) > 1 else None
        new = heads.add_head(context, avatars.avatar_to_bytes(head.avatar))
        _place(new.rig, head.matrices, head.up_axis)
        if takes is not None:
            apply_take(new.rig, takes[0], fps=scene_fps(context.scene))
            notes += takes[1]
        if any(not np.allclose(m, head.matrices[0]) for m in head.matrices):
            notes.append("The head's own movement through the scene is left out; it stands where it starts.")
        made.append(new)
    return made, notes


def _place(rig: Any, matrices: list[np.ndarray], up_axis: str) -> None:
    """Put the rig where the file has it on its first frame; the file's world is turned when its Y is up."""
    world = matrices[0] if up_axis == "Z" else _Z_UP @ matrices[0]
    rig.matrix_world = Matrix((world @ BLENDER_TO_HEAD).tolist())
