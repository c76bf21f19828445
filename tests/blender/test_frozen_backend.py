"""Blender and a backend that is frozen: nothing hangs, the frame fails by name, the next one has a new backend."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from harness import VERSIONS, Blender, blender_python


@pytest.fixture
def newest(tmp_path: Path) -> Iterator[Blender]:
    """One Blender is enough: nothing here depends on its version."""
    there = [version for version in VERSIONS if blender_python(version).exists()]
    if not there:
        pytest.skip("SKIPPED: no Blender is set up here (python3 bootstrap.py setup)")
    runtime = Path(tempfile.mkdtemp(prefix="gsh-"))
    yield Blender(there[-1], tmp_path / "settings", runtime)
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
def test_a_frozen_backend_hangs_no_blender(newest: Blender, tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    seen = newest.run("frozen_backend", out=str(tmp_path))
    assert seen["longest"] < 0.5, "a redraw, a frame change, an edit"
    assert (tmp_path / "saved.blend").exists()
    assert "GSH-E602: The backend has been silent for 5 seconds." in seen["message"]
    assert seen["failed"] < 5 + 4
    assert seen["written"] == ["after.exr", "before.exr"], "no picture of the frame that failed"
    assert seen["new"] != seen["pid"]
    assert seen["replaced"] < 60, "two unanswered hellos, 10 s each, and a start"
    if psutil.pid_exists(seen["pid"]) and psutil.Process(seen["pid"]).status() != psutil.STATUS_ZOMBIE:
        os.kill(seen["pid"], signal.SIGKILL)
        pytest.fail("the frozen backend still lives")
