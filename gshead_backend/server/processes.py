"""What workers run in: processes of this machine, or of another one that somebody else starts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import zmq

from ..protocol.curve import KeyGuard

_BOOT = (
    "import sys, os, json; pipe = open(0, 'rb', 0, closefd=False); config = json.loads(pipe.readline()); "
    "sys.path[:] = config['sys_path']; from gshead_backend.server.worker import main; main(config)"
)


@dataclass(frozen=True)
class WorkerSetup:
    """What every worker of a backend is started with. Without ``ipc`` (Windows) links are tcp with CURVE."""

    directory: Path
    prefix: str
    engine: str
    device: str
    splats: int
    context: zmq.Context[zmq.Socket[bytes]]
    guard: KeyGuard | None
    wake: Callable[[], None]
    ipc: bool = os.name == "posix"
    boot: str = ""


class Process(Protocol):
    """What a worker needs of its process: ``subprocess.Popen``, or one that somebody else keeps on another machine.

    ``stdin.close()`` asks it to end.
    """

    pid: int
    stdin: Any

    @property
    def returncode(self) -> int | Any: ...
    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Elsewhere(Protocol):
    """Who starts processes on other machines; they connect to this one over tcp with CURVE."""

    host: str

    def spawn(self, domain: str, config: Mapping[str, Any]) -> Process: ...


def spawn_here(config: Mapping[str, Any], environment: Mapping[str, str]) -> Process:
    """A child of this process; the end of its standard input tells it that this one is gone."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _BOOT], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, close_fds=True,
        env=dict(environment),
    )  # fmt: skip
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # its end is noticed and reported elsewhere
        process.stdin.write(json.dumps(config).encode() + b"\n")
        process.stdin.flush()
    return process


def wait_for(process: Process, wake: Callable[[], None]) -> None:
    """Calls ``wake`` once the process has ended."""
    process.wait()
    wake()
