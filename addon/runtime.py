"""What lives as long as the extension is enabled: the session, and the hooks that end it with Blender."""

from __future__ import annotations

import atexit
import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import bpy

from gshead_backend.errors import ArgumentError
from gshead_backend.folders import read_limits

from . import compat, reading, storage, world
from .checkup import CheckupJob
from .frame_cache import FrameCache
from .problem import Problem
from .session import Session, Settings

COMMAND_VARIABLE = "GSHEAD_BACKEND_COMMAND"
CONNECTION_VARIABLE = "GSHEAD_CONNECTION_FILE"
INSTALL_COMMAND = "python3 bootstrap.py setup"

session = Session()
problem: Problem | None = None
"""What the last operator failed with, until the user dismisses it."""
checkup: CheckupJob | None = None
"""The last Check Installation."""
frames: FrameCache | None = None
"""Viewport frames that were drawn once; None while the cache is off."""


def parse_command(text: str) -> tuple[str, ...]:
    """An argument list from a preference: a JSON list of strings, or words quoted as in a shell (no shell runs).

    Raises ``ArgumentError`` when it is neither.
    """
    text = text.strip()
    try:
        words = json.loads(text) if text.startswith("[") else shlex.split(text, posix=os.name != "nt")
    except ValueError as error:
        raise ArgumentError(f"The backend command {text!r} cannot be read: {error}.") from error
    if not words or not all(isinstance(word, str) and word for word in words):
        raise ArgumentError(f"The backend command {text!r} must be a list of words, such as: gshead serve")
    return tuple(word.strip('"') if os.name == "nt" else word for word in words)


def configure(preferences: Any | None) -> None:
    """Take settings from the preferences and the environment (which farms set, and which wins)."""
    command = os.environ.get(COMMAND_VARIABLE) or getattr(preferences, "backend_command", "") or "gshead serve"
    connection = os.environ.get(CONNECTION_VARIABLE) or getattr(preferences, "connection_file", "")
    if connection.startswith("//"):
        raise ArgumentError("The connection file must not be relative to a .blend file.", remedy="Use a full path.")
    session.settings = Settings(
        command=parse_command(command),
        connection_file=connection,
        start_when_needed=bool(getattr(preferences, "start_when_needed", True)),
        online=bool(bpy.app.online_access),
    )
    _configure_frames(float(getattr(preferences, "frame_cache_limit", 0.0)))


_looked: tuple[tuple[str, ...], float, bool] = ((), 0.0, False)


def backend_missing() -> bool:
    """Whether the backend command names a program that is not on this machine; looks once in two seconds."""
    global _looked
    command, now = session.settings.command, time.monotonic()
    if session.settings.connection_file or not command:
        return False
    if command != _looked[0] or now - _looked[1] > 2.0:
        _looked = command, now, shutil.which(command[0]) is None
    return _looked[2]


def _configure_frames(gibibytes: float) -> None:
    """Open, resize or, at 0, close the cache of viewport frames."""
    global frames
    limits = read_limits()
    limit = int(gibibytes * 2**30) if limits.bytes is None else min(int(gibibytes * 2**30), limits.bytes)
    limit = 0 if bpy.app.background else limit  # no viewports there
    if frames is not None and limit > 0:
        frames.resize(limit)
    elif limit > 0 and (folder := _user_folder("frames")) is not None:
        frames = FrameCache(folder, limit, limits.days)
    elif frames is not None:
        frames.clear()
        frames.close()
        frames = None


def _user_folder(name: str) -> Path | None:
    """The extension's own folder of that name, or None when it was not installed as an extension."""
    try:
        return Path(bpy.utils.extension_path_user(__package__, path=name))
    except ValueError:
        return None


def _stop(*_: Any, _session: Session = session, _finalizing: Any = sys.is_finalizing) -> None:
    # Blender as a Python module quits after Python has emptied all modules; ``atexit`` has done the work by then.
    if not _finalizing():
        _session.stop()


def close_frames() -> None:
    """End the cache's thread; its files stay."""
    global frames
    if frames is not None:
        frames.close()
        frames = None


@bpy.app.handlers.persistent
def _file_opened(*_: Any) -> None:
    storage.forget()
    reading.forget()
    world.forget()
    session.prune(storage.used_ids())


@bpy.app.handlers.persistent
def _before_saving(path: str = "", *_: Any) -> None:
    if path and (moved := storage.before_saving(path)):
        print(f"Gaussian Head: packed into the .blend file, which is saved in another folder: {', '.join(moved)}")


@bpy.app.handlers.persistent
def _imported(context: Any, *_: Any) -> None:
    files = {item.source_library.filepath for item in context.import_items if item.source_library is not None}
    storage.after_importing([Path(bpy.path.abspath(file)).parent for file in sorted(files)])


def _hooks() -> list[tuple[list[Any], Any]]:
    handlers = bpy.app.handlers
    return [
        (handlers.load_post, _file_opened), (handlers.save_pre, _before_saving),
        (handlers.blend_import_post, _imported),
    ]  # fmt: skip


def register() -> None:
    handlers = compat.exit_handlers()
    if handlers is not None:
        handlers.append(_stop)
    atexit.register(_stop)
    for hook, function in _hooks():
        hook.append(function)


def unregister() -> None:
    handlers = compat.exit_handlers()
    if handlers is not None and _stop in handlers:
        handlers.remove(_stop)
    for hook, function in _hooks():
        if function in hook:
            hook.remove(function)
    atexit.unregister(_stop)
    session.stop()
    close_frames()
