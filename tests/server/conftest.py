"""Real backend processes with a tiny engine, and a check that a test leaves nothing behind."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from server_harness import children, descriptors, serve_command, wait_until

from gshead_backend.protocol import Client
from gshead_backend.protocol.launcher import Backend, start_backend


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A private runtime directory."""
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def start(runtime: Path) -> Iterator[Callable[..., Backend]]:
    """Starts backends; ends them, checks that they end by themselves once their starter is gone, and tidies up."""
    started: list[Backend] = []

    def run(*, env: dict[str, str] | None = None, name: str = "default", **options: object) -> Backend:
        backend = start_backend(serve_command(**options), directory=runtime, name=name, env=env)
        started.append(backend)
        return backend

    yield run
    for backend in started:
        try:
            backend.wait(10)
        except Exception:
            backend.process.kill()
            backend.process.wait()
            raise


@pytest.fixture
def backend(start: Callable[..., Backend]) -> Backend:
    """A backend with default options."""
    return start()


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    """A client of ``backend``."""
    with Client(backend.endpoint, name="test") as c:
        yield c


@pytest.fixture(autouse=True)
def nothing_left(runtime: Path) -> Iterator[None]:
    """No thread, process, descriptor or file may outlive a test."""
    threads, processes, handles = set(threading.enumerate()), children(), descriptors()
    yield
    assert wait_until(lambda: set(threading.enumerate()) <= threads), threading.enumerate()
    assert wait_until(lambda: children() <= processes), children() - processes
    assert wait_until(lambda: len(descriptors()) <= len(handles)), set(descriptors()) - set(handles)
    kept = [p.name for p in runtime.iterdir() if p.suffix not in (".lock", ".log", ".keys")]
    assert kept == []
