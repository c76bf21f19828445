"""The local farm's list of chunks: what goes wrong in a thread is told, and a long list reaches Blender."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gshead_backend.farm import blender as farm_blender
from gshead_backend.farm import pool
from gshead_backend.farm.blender import Blender, render_chunk
from gshead_backend.farm.pool import Farm, Worker, chunks_of

JOB: dict[str, Any] = {"blend": "a.blend", "key": "k", "engine": "", "retries": 0}


def test_an_unexpected_error_leaves_no_frame_unreported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that fails for a reason of its own must not pass for one that had nothing to do."""

    def fail(*arguments: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pool, "render_chunk", fail)
    workers = [Worker("a", None), Worker("b", "1")]
    job = {**JOB, "out": str(tmp_path)}
    farm = Farm(Blender("none"), job, chunks_of(range(1, 7), 2), workers, tmp_path, retries=0)
    farm.run()
    assert set(farm.failed) == {1, 2, 3, 4, 5, 6}
    assert "No space left" in farm.failed[1]


def test_a_list_of_very_many_frames_reaches_blender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than one variable of the environment may be."""
    echo = (
        "import json, os\n"
        "job = json.load(open(os.environ['GSHEAD_FARM_JOB']))\n"
        "print('GSHEAD-FARM ' + json.dumps({'event': 'done', 'text': ''}))\n"
        "print(sum(job['frames']), job['blend'])\n"
        f"open({str(tmp_path / 'sum')!r}, 'w').write(str(sum(job['frames'])))\n"
    )
    monkeypatch.setattr(farm_blender, "_START", echo)
    frames = range(1, 100_001, 2)
    chunk = render_chunk(Blender(sys.executable, module=True), {**JOB, "out": str(tmp_path)}, frames)
    assert not chunk.failed
    assert int((tmp_path / "sum").read_text()) == sum(frames)
    assert len(json.dumps(list(frames))) > 1 << 17


def test_a_blender_that_is_done_and_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hang = (
        "import json, os, time\n"
        "print('GSHEAD-FARM ' + json.dumps({'event': 'done'}), flush=True)\n"
        "os.close(1)\nos.close(2)\ntime.sleep(300)\n"
    )
    monkeypatch.setattr(farm_blender, "_START", hang)
    monkeypatch.setattr(farm_blender, "_LEAVES_WITHIN", 0.5)
    assert not render_chunk(Blender(sys.executable, module=True), {**JOB, "out": str(tmp_path)}, [1]).failed
