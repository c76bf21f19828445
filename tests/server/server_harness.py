"""Helpers for tests with real backend processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gshead_backend.protocol import Client, Instance, camera_spec
from gshead_backend.protocol.launcher import start_backend
from gshead_backend.protocol.messages import CameraSpec

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
POSE_SIZE = 4 + 18


def serve_command(*, engine: str = "fake_engine:FakeEngine", **options: object) -> list[str]:
    """A command that serves with a fake engine; it takes what the launcher appends."""
    code = (
        f"import sys, logging; sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]; logging.basicConfig(level=logging.INFO); "
        "a = sys.argv; from pathlib import Path, PosixPath; from gshead_backend.server import ServeOptions, serve; "
        "from gshead_backend.protocol.messages import LimitsInfo; "
        "serve(ServeOptions(runtime_dir=Path(a[a.index('--runtime-dir') + 1]), name=a[a.index('--name') + 1], "
        f"watch_stdin='--watch-stdin' in a, **dict({', '.join(f'{k}={v!r}' for k, v in options.items())})), "
        f"engine={engine!r})"
    )
    return [sys.executable, "-c", code]


@contextlib.contextmanager
def real_backend(folder: Path) -> Iterator[Client]:
    """A client of a backend with the real engine on the CPU, which ends with the block."""
    run = folder / "run"
    run.mkdir(mode=0o700)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from gshead_backend.cli import main; sys.exit(main())"
    backend = start_backend([sys.executable, "-c", code, "serve", "--device", "cpu"], directory=run)
    with Client(backend.endpoint) as client:
        yield client
    backend.wait(10)


def make_camera(width: int = 64, height: int = 48) -> CameraSpec:
    """Any valid camera."""
    K = np.array([[100.0, 0, width / 2], [0, 100, height / 2], [0, 0, 1]])
    return camera_spec(width, height, K, np.eye(4))


def head(avatar_id: str, command: int = 0, value: int = 0) -> Instance:
    """An instance whose pose commands the fake engine."""
    pose = np.zeros(POSE_SIZE)
    pose[:2] = command, value
    return Instance(avatar_id, np.eye(4), pose)


def children() -> set[int]:
    """Process ids of this process's living children and grandchildren."""
    import psutil

    return {p.pid for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE}


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Looks until ``condition`` holds; False when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def descriptors() -> list[str]:
    """What each open file descriptor of this process is, where the system tells."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return []
    found = []
    for name in os.listdir(folder):
        try:
            found.append(f"{name} -> {os.readlink(folder / name)}")
        except OSError:
            continue
    return found


def run_python(code: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """Runs a snippet in a fresh interpreter that sees the repository."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        capture_output=True, text=True, timeout=60, **kwargs,
    )  # fmt: skip
