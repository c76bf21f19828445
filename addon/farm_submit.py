"""The scene as a job for a farm's manager: a copy of the .blend with its avatars packed, and the manager's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from gshead_backend.errors import ArgumentError
from gshead_backend.farm.templates import Kind, Submission, write_template

FILES = {"openjd": "", "slurm": "job.sh", "flamenco": "gshead-render.js"}
"""Name of the job's file in its folder; openjd's own are the folder's."""


def submit(context: Any, folder: Path, kind: Kind, *, chunk: int, extension: str = "", gpu: bool = False) -> list[Path]:
    """Write a job's folder and return its files, the .blend first; frames will go into ``frames`` in it.

    An avatar that is unpacked beside the scene's own file is packed into the copy. Raises ``ArgumentError``,
    ``ExportError``.
    """
    scene = context.scene
    if scene.render.is_movie_format:
        raise ArgumentError(
            f"The scene writes {scene.render.image_settings.file_format}, not pictures.",
            remedy="Set the output's file format to PNG or OpenEXR.",
        )
    if scene.camera is None:
        raise ArgumentError("The scene has no camera.", remedy="Add one, or make one active.")
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(bpy.data.filepath).stem or "shot"
    blend = folder / f"{name}.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), copy=True, check_existing=False)
    frames = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
    job = Submission(str(blend), str(folder / "frames"), frames, chunk, extension, "", gpu)
    return [blend, *write_template(kind, job, folder / FILES[kind] if FILES[kind] else folder)]
