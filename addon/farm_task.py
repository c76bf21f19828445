"""A farm's chunk inside Blender: frames into a folder, each once, whole, or with the reason why not."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import bpy

import gshead_backend
from gshead_backend.errors import BackendError, GsheadError, RenderError
from gshead_backend.farm.frames import FrameFolder

from .api import rendering

MARK = "GSHEAD-FARM "
PAUSE = 1.0
"""Seconds before a frame is tried again for which the backend was lost."""


def run(job: dict[str, Any]) -> None:
    """The whole task; ends the process. Exit code 0: every frame is there or failed for a reason that was told."""
    threading.Thread(target=_end_with_starter, name="gshead-farm-watch", daemon=True).start()
    code = 0
    try:
        bpy.ops.wm.open_mainfile(filepath=job["blend"], load_ui=False, use_scripts=False)
        folder = FrameFolder(Path(job["out"]), job["key"])
        for frame in job["frames"]:
            _frame(folder, frame, job)
        _tell(event="done")
    except Exception as error:
        _tell(event="failed", text=str(error).strip() or type(error).__name__)
        code = 3
    from . import runtime

    runtime.session.stop()
    sys.stdout.flush()
    os._exit(code)  # Blender's own way out may wait for what a killed backend left


def _frame(folder: FrameFolder, frame: int, job: dict[str, Any]) -> None:
    with folder.claimed(frame) as mine:
        if not mine:
            _tell(event="frame", frame=frame, state="kept", text="another worker is at it")
            return
        if folder.valid(frame):
            _tell(event="frame", frame=frame, state="kept")
            return
        for attempt in range(int(job["retries"]) + 1):
            started = time.monotonic()
            try:
                record = folder.finish(frame, _rendered(folder, frame, job), time.monotonic() - started, _versions())
            except GsheadError as error:
                if isinstance(error, BackendError) and attempt < int(job["retries"]):
                    time.sleep(PAUSE * 2**attempt)
                    continue
                _tell(event="frame", frame=frame, state="failed", text=str(error))
                return
            _tell(event="frame", frame=frame, state="rendered", seconds=record.seconds, file=record.file)
            return


def _rendered(folder: FrameFolder, frame: int, job: dict[str, Any]) -> Path:
    """A picture under a name of its own, looked at once more before it counts."""
    ending = bpy.context.scene.render.file_extension
    scratch = folder.scratch(frame)
    path = scratch.with_name(scratch.name + ending)
    try:
        (made,) = rendering.render(bpy.context.scene, [(frame, path)], job["engine"])
        image = bpy.data.images.load(str(made))
        whole = min(image.size) > 0 and len(image.pixels) > 0
        bpy.data.images.remove(image)
        if not whole:
            raise RenderError(f"The picture of frame {frame} cannot be read back.")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return made


def _versions() -> dict[str, str]:
    return {"blender": bpy.app.version_string, "gshead": gshead_backend.__version__}


def _tell(**event: Any) -> None:
    print(MARK + json.dumps(event), flush=True)


def _end_with_starter() -> None:
    """The starter's end of the pipe is closed: nobody waits for these frames any more."""
    while os.read(0, 4096):
        pass
    os._exit(9)
