"""A chunk of frames in a headless Blender: which Blender, how it is started, what it tells, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, RenderError
from ..protocol.launcher import clean_environment

MARK = "GSHEAD-FARM "
_LEAVES_WITHIN = 60.0
"""Seconds that Blender may take to end once it has said that it is done."""
JOB_VARIABLE = "GSHEAD_FARM_JOB"
_START = """
import importlib, json, os, sys
import bpy
with open(os.environ["GSHEAD_FARM_JOB"], encoding="utf-8") as file:
    job = json.load(file)
if job["extension"]:
    bpy.ops.extensions.package_install_files(
        filepath=job["extension"], repo="user_default", enable_on_install=True, overwrite=True)
names = [n for n in bpy.context.preferences.addons.keys() if n.startswith("bl_ext.") and n.endswith(".gshead")]
if not names:
    print('GSHEAD-FARM ' + json.dumps({"event": "failed", "text": "the extension 'gshead' is not enabled there"}))
    sys.stdout.flush()
    os._exit(4)
importlib.import_module(names[0] + ".farm_task").run(job)
"""


@dataclass(frozen=True)
class Blender:
    """A Blender to render with.

    Attributes:
        program: a ``blender`` executable, or a Python that has the ``bpy`` module. module: it is the latter.
        extension: the extension's zip, installed into a settings folder of its own; empty for the user's Blender, in
            which it is enabled.
        environment: additions to the environment.
    """

    program: str
    module: bool = False
    extension: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def command(self) -> list[str]:
        if self.module:
            return [self.program, "-c", _START]
        fresh = ["--factory-startup"] if self.extension else []
        return [self.program, "--background", *fresh, "--python-exit-code", "4", "--python-expr", _START]


def find_blender(program: str = "", extension: str = "") -> Blender:
    """The Blender named, or ``$GSHEAD_BLENDER``, or ``blender`` on the path; a Python is taken for one with ``bpy``.

    Raises ``ArgumentError``.
    """
    named = program or os.environ.get("GSHEAD_BLENDER", "") or "blender"
    found = shutil.which(named)
    if found is None:
        raise ArgumentError(
            f"There is no Blender '{named}'.",
            remedy="Name one with --blender: Blender's program, or a Python in which the bpy module is installed.",
        )
    if extension and not Path(extension).is_file():
        raise ArgumentError(f"There is no extension '{extension}'.", remedy="Build it: 'bootstrap.py build-addon'.")
    return Blender(found, Path(found).name.startswith("python"), str(Path(extension).resolve()) if extension else "")


@dataclass
class Chunk:
    """What became of frames. ``failed``: frame to reason."""

    rendered: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)


def render_chunk(
    blender: Blender, job: dict[str, Any], frames: Sequence[int], *,
    say: Callable[[dict[str, Any]], None] = lambda event: None, stop: threading.Event | None = None,
) -> Chunk:  # fmt: skip
    """Render frames that are not there yet, in one Blender that ends with this process, however that ends.

    Args:
        job: "blend", "out", "key", "engine" ("" keeps the file's) and "retries".
        say: called with every event: {"event": "frame", "frame", "state", "seconds", "text"}.
        stop: set it to end early.
    Raises:
        RenderError: Blender ended early; frames that were finished stay.
    """
    chunk = Chunk()
    with tempfile.TemporaryDirectory(prefix="gshead-farm-") as folder:
        note = Path(folder) / "job.json"  # a file: a list of many frames is too long for the environment
        note.write_text(json.dumps({**job, "frames": list(frames), "extension": blender.extension}), "utf-8")
        environment = {
            **clean_environment(), "PYTHONNOUSERSITE": "1", **blender.environment, JOB_VARIABLE: str(note),
        }  # fmt: skip
        if blender.extension:
            environment["BLENDER_USER_RESOURCES"] = folder
        process = subprocess.Popen(
            blender.command(), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        )  # fmt: skip
        if stop is not None:
            threading.Thread(target=_kill_when, args=(process, stop), daemon=True).start()
        finished, last = False, ""
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if not line.startswith(MARK):
                    last = line.strip() or last
                    continue
                event = json.loads(line[len(MARK) :])
                finished = finished or event["event"] == "done"
                last = event.get("text") or last
                _note(chunk, event)
                say(event)
        finally:
            if process.poll() is None and not finished:
                process.kill()
            assert process.stdin is not None
            process.stdin.close()
            code = _wait(process)
            if process.stdout is not None:
                process.stdout.close()
    if not finished and not (stop is not None and stop.is_set()):
        raise RenderError(
            f"Blender ended with exit code {code} before it was done: {last or 'it said nothing'}",
            remedy="Run the same command again: frames that are finished are kept.",
        )
    return chunk


def _wait(process: subprocess.Popen[str]) -> int:
    """Its exit code; one that has done everything and does not end is made to."""
    try:
        return process.wait(_LEAVES_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _kill_when(process: subprocess.Popen[str], stop: threading.Event) -> None:
    while process.poll() is None:
        if stop.wait(0.2):
            process.kill()
            return


def _note(chunk: Chunk, event: dict[str, Any]) -> None:
    if event["event"] != "frame":
        return
    number = int(event["frame"])
    if event["state"] == "failed":
        chunk.failed[number] = str(event.get("text", ""))
    else:
        (chunk.rendered if event["state"] == "rendered" else chunk.kept).append(number)
