"""Tests run side by side (pytest-xdist), except those marked ``alone``: they measure time or memory."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

try:
    import fcntl
except ImportError:  # Windows: there bootstrap.py does not run tests side by side
    fcntl = None


class SideBySide:
    """In a worker of pytest-xdist: a test that is marked ``alone`` waits until the others' tests end, and they for it.

    Two files are locked: the room, by everyone in it or by one alone; and before it the gate, by who waits to come in,
    so that one who wants to be alone is not overtaken for ever.
    """

    def __init__(self, run: str, folder: Path | None = None) -> None:
        folder = folder or Path(tempfile.gettempdir())
        self._paths = [folder / f"gshead-tests-{run}.{name}" for name in ("gate", "room")]
        self._gate, self._room = (path.open("w") for path in self._paths)

    @contextlib.contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Beside others, or alone, for the length of the block."""
        with _locked(self._gate, alone=True), contextlib.ExitStack() as room:
            room.enter_context(_locked(self._room, alone=alone))
            inside = room.pop_all()
        with inside:
            yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of pytest-timeout: waiting is nobody's fault
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        with self.turn(alone=item.get_closest_marker("alone") is not None):
            return (yield)

    def pytest_unconfigure(self) -> None:
        for file, path in zip((self._gate, self._room), self._paths, strict=True):
            file.close()
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(file: TextIO, *, alone: bool) -> Iterator[None]:
    assert fcntl is not None
    fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def plugins(config: pytest.Config) -> list[SideBySide]:
    """What a process of a test run needs: nothing, unless it is one of several."""
    told = getattr(config, "workerinput", None)
    return [SideBySide(told["testrunuid"])] if told and fcntl else []
