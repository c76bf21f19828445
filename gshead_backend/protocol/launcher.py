"""Finds the user's backend or starts one. Standard library only, so it works before pyzmq can be imported."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ArgumentError, BackendError, BackendTimeoutError
from .endpoint import Endpoint, runtime_dir
from .locks import FileLock

DROPPED_ENVIRONMENT = (
    "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH",
)  # fmt: skip
"""Blender's own values of these would make another Python load the wrong libraries."""
STARTER_VARIABLE = "GSHEAD_STARTER"
"""Environment variable by which a starter recognises the backend it started (a wrapper may change the pid)."""
_TAIL_LINES = 20
_STEP = 0.02


@dataclass
class Backend:
    """A backend that runs: its endpoint and, when this process started it, the process and its log.

    Keep it: closing ``process.stdin`` (which garbage collection does) tells the backend that its starter is gone.
    """

    endpoint: Endpoint
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    log: Path | None = None

    @property
    def started_here(self) -> bool:
        """This process started the backend and watches it."""
        return self.process is not None

    def release(self) -> None:
        """Lets go of the pipe: the backend then lives only as long as leases remain. May be called twice."""
        if self.process is not None:
            _close_pipe(self.process)

    def wait(self, timeout: float) -> int:
        """The exit code once the process that this one started has ended; raises ``BackendTimeoutError``."""
        if self.process is None:
            raise ArgumentError("This backend was started by another process.")
        self.release()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BackendTimeoutError(f"The backend did not end within {timeout:g} seconds.") from None


_started: list[Backend] = []
"""Keeps the pipes open for the life of this process, whatever callers do with the values."""


def lock_path(directory: Path, name: str) -> Path:
    """The lock that a backend called ``name`` holds for as long as its front process lives."""
    return directory / f"{name}.lock"


def connection_path(directory: Path, name: str) -> Path:
    """The connection file of a backend called ``name``."""
    return directory / f"{name}.json"


def check_name(name: str) -> str:
    """``name`` itself; raises ``ArgumentError`` unless it is 1..40 of ``a-z A-Z 0-9 - _``."""
    if not 1 <= len(name) <= 40 or not all(c.isascii() and (c.isalnum() or c in "-_") for c in name):
        raise ArgumentError(f"A backend's name has 1 to 40 letters, digits, '-' or '_', not {name!r}.")
    return name


def live_endpoint(*, directory: Path | str | None = None, name: str = "default") -> Endpoint | None:
    """The endpoint of the backend that runs now, or None. Its lock proves that its process lives."""
    folder = runtime_dir(directory)
    path = connection_path(folder, check_name(name))
    if not path.exists() or not FileLock(lock_path(folder, name)).held_elsewhere():
        return None
    try:
        return Endpoint.read(path)
    except BackendError:
        return None  # it was removed in this moment: the backend is ending


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what belongs to its own Python, plus ``extra``."""
    kept = {k: v for k, v in os.environ.items() if k not in DROPPED_ENVIRONMENT}
    return {**kept, **(extra or {})}


def start_backend(
    command: Sequence[str], *, directory: Path | str | None = None, name: str = "default", timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
) -> Backend:  # fmt: skip
    """Starts a backend and waits until its front process listens.

    Args:
        command: what runs ``gshead serve``, e.g. ``["/path/gshead", "serve"]``; ``--runtime-dir``, ``--name`` and
            ``--watch-stdin`` are appended.
        env: additions to the cleaned environment.

    Returns:
        The backend; when another process started one with this name in the same moment, that one.

    Raises:
        BackendError: the command cannot be run or ended at once; the message has the tail of its log.
        BackendTimeoutError: it does not listen after ``timeout`` seconds (it has been stopped).
    """
    if isinstance(command, str) or not command:
        raise ArgumentError("The backend command must be a list with at least the program.")
    folder = runtime_dir(directory)
    log = folder / f"{check_name(name)}.log"
    full = [*command, "--runtime-dir", str(folder), "--name", name, "--watch-stdin"]
    mark = os.urandom(8).hex()
    process = _spawn(full, log, {**clean_environment(env), STARTER_VARIABLE: mark})
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        endpoint = live_endpoint(directory=folder, name=name)
        if endpoint is not None and endpoint.starter == mark:
            backend = Backend(endpoint, process, log)
            _started[:] = [b for b in _started if b.process and b.process.poll() is None] + [backend]
            return backend
        if ended and endpoint is not None:  # another process was faster: ours found the lock taken and ended
            _close_pipe(process)
            return Backend(endpoint, None, log)
        if ended:
            _close_pipe(process)
            raise BackendError(
                f"The backend command {command[0]!r} ended with exit code {process.returncode}:\n{tail(log)}",
                remedy="Run 'gshead doctor' in the backend's environment.",
            )
        time.sleep(_STEP)
    process.kill()
    process.communicate()
    raise BackendTimeoutError(
        f"The backend did not listen within {timeout:g} seconds:\n{tail(log)}",
        remedy="Run 'gshead doctor' in the backend's environment.",
    )


def connect_or_start(
    command: Sequence[str], *, directory: Path | str | None = None, name: str = "default", timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
) -> Backend:  # fmt: skip
    """The backend that already runs, or a new one; see :func:`start_backend` for the arguments and errors.

    A backend that is just ending keeps its lock for a moment; its successor is started once the lock is free.
    """
    deadline = time.monotonic() + timeout
    folder = runtime_dir(directory)
    while True:
        endpoint = live_endpoint(directory=folder, name=name)
        if endpoint is not None:
            return Backend(endpoint)
        if not FileLock(lock_path(folder, name)).held_elsewhere():
            left = max(deadline - time.monotonic(), 1.0)
            return start_backend(command, directory=folder, name=name, timeout=left, env=env)
        if time.monotonic() > deadline:
            raise BackendTimeoutError(f"A backend holds {lock_path(folder, name)} but does not listen.")
        time.sleep(_STEP)


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log file; a note when there is nothing."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 16384))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        text = ""
    return "\n".join(text.splitlines()[-lines:]) or "(it wrote nothing)"


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _spawn(command: Sequence[str], log: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if sys.platform == "win32":
            flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=handle, stderr=handle, env=env, creationflags=flags
            )
        # A session of its own: Ctrl-C in Blender's terminal must not end a backend that others use too.
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=handle, stderr=handle, env=env, start_new_session=True
        )
    except OSError as error:
        raise BackendError(
            f"The backend command {command[0]!r} cannot be run: {error.strerror}.",
            remedy="Set the backend command in the add-on's preferences.",
        ) from None
    finally:
        os.close(handle)
