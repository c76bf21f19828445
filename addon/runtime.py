"""What lives as long as the extension is enabled: the session, and the hooks that end it with Blender."""

from __future__ import annotations

import atexit
import json
import os
import shlex
import sys
from typing import Any

import bpy

from gshead_backend.errors import ArgumentError

from . import compat, reading, storage
from .session import Session, Settings

COMMAND_VARIABLE = "GSHEAD_BACKEND_COMMAND"
CONNECTION_VARIABLE = "GSHEAD_CONNECTION_FILE"

session = Session()


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


def _stop(*_: Any, _session: Session = session, _finalizing: Any = sys.is_finalizing) -> None:
    # Blender as a Python module quits after Python has emptied all modules; ``atexit`` has done the work by then.
    if not _finalizing():
        _session.stop()


@bpy.app.handlers.persistent
def _file_opened(*_: Any) -> None:
    storage.forget()
    reading.forget()
    session.prune(set())  # what the new file uses is handed over again when it is drawn


def register() -> None:
    handlers = compat.exit_handlers()
    if handlers is not None:
        handlers.append(_stop)
    atexit.register(_stop)
    bpy.app.handlers.load_post.append(_file_opened)


def unregister() -> None:
    handlers = compat.exit_handlers()
    if handlers is not None and _stop in handlers:
        handlers.remove(_stop)
    if _file_opened in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(_file_opened)
    atexit.unregister(_stop)
    session.stop()
