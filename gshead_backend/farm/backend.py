"""A backend that outlives the command that starts it, for a farm's step: started on enter, stopped on exit.

Nothing is orphaned when a farm's worker is killed between the two: without clients it ends by itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import BackendError, FileFormatError, GsheadError
from ..files import write_atomic
from ..protocol.client import Client
from ..protocol.endpoint import check_private_dir
from ..protocol.launcher import clean_environment, connection_path, live_endpoint, lock_path, tail

GRACE = 120.0
"""Seconds without a client after which it ends."""
NAME = "farm"


def start_for_step(note: Path, *, device: str = "auto", timeout: float = 120.0, command: Sequence[str] = ()) -> Path:
    """Start a backend and write down in ``note`` what ``stop_after_step`` needs; returns its connection file.

    Raises ``BackendError`` with the tail of its log.
    """
    folder = Path(tempfile.mkdtemp(prefix="gsh-"))  # short and private: sockets have short paths
    log = folder / "backend.log"
    serve = [*(command or (sys.executable, "-m", "gshead_backend.cli", "serve")), "--runtime-dir", str(folder)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*serve, "--name", NAME, "--grace", str(GRACE), "--startup-grace", str(GRACE), "--device", device],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=clean_environment(), start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + timeout
    while live_endpoint(directory=folder, name=NAME) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            text = tail(log)
            shutil.rmtree(folder, ignore_errors=True)
            raise BackendError(f"The backend for this step does not come up:\n{text}")
        time.sleep(0.05)
    connection = connection_path(folder, NAME)
    write_atomic(note, json.dumps({"folder": str(folder), "pid": process.pid}).encode())
    return connection


def stop_after_step(note: Path, *, timeout: float = 20.0) -> None:
    """End the backend that ``note`` names, by force when it does not, and remove its folder. May be called twice."""
    try:
        value = json.loads(note.read_text("utf-8"))
        folder, pid = Path(value["folder"]), int(value["pid"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"'{note}' does not say which backend to stop: {error}.") from error
    if not folder.name.startswith("gsh-"):
        raise FileFormatError(f"'{note}' names the folder '{folder}', which no step has made.")
    if folder.exists():
        check_private_dir(folder)  # no link, nobody else's
        if not lock_path(folder, NAME).is_file():
            raise FileFormatError(f"'{note}' names the folder '{folder}', in which no step has started a backend.")
    endpoint = live_endpoint(directory=folder, name=NAME) if folder.is_dir() else None
    if endpoint is not None:
        try:
            with Client(endpoint) as client:
                client.shutdown(force=True)
        except GsheadError:
            pass
        deadline = time.monotonic() + timeout
        while live_endpoint(directory=folder, name=NAME) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        if live_endpoint(directory=folder, name=NAME) is not None:
            os.kill(pid, 9)
    shutil.rmtree(folder, ignore_errors=True)
    note.unlink(missing_ok=True)
