"""A Blender that is killed in the middle of everything leaves nothing behind in the backend that it used."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from harness import ROOT, Blender, read_line, running

from gshead_backend.protocol import Client
from gshead_backend.protocol.launcher import live_endpoint

PORTRAIT = ROOT / "samples" / "synthetic_portrait.png"


def _until(condition, seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and /proc")
def test_a_killed_blender_leaves_nothing_behind(blender: Blender, tmp_path: Path) -> None:
    script = blender.start("vanishing", out=str(tmp_path), portrait=str(PORTRAIT))
    with running(script) as doomed:
        read_line(doomed, "UNDER WAY")
        endpoint = live_endpoint(directory=blender.runtime)
        assert endpoint is not None
        front = psutil.Process(endpoint.pid)
        with Client(endpoint, name="onlooker") as onlooker:
            busy = onlooker.status()
            assert len(busy.sessions) == 2
            assert [job.running for job in busy.jobs] == [True]
            assert max(s.streams for s in busy.sessions) == 1
            assert busy.memory["avatars"] > 0
            assert list(blender.runtime.glob("*.ring.*")), "its frames come through a ring"
            handles, workers = front.num_fds(), front.children(recursive=True)
            doomed.send_signal(signal.SIGKILL)
            doomed.wait(10)
            began = time.monotonic()
            assert _until(lambda: len(onlooker.status().sessions) == 1, 5), "its lease is over"
            assert time.monotonic() - began < 3
            assert not list(blender.runtime.glob("*.ring.*"))
            assert _until(lambda: not onlooker.status().jobs, 15), "nobody wants its reconstruction any more"
            assert _until(lambda: front.num_fds() < handles, 5)
            (left,) = onlooker.status().sessions
            assert (left.streams, left.frames, left.avatars) == (0, 0, 0)
        assert _until(lambda: not front.is_running() or front.status() == psutil.STATUS_ZOMBIE, 10), "it was the last"
        _, alive = psutil.wait_procs(workers, 5)
        assert not alive, "no worker stays"
    assert not list(blender.runtime.glob("*.sock")), "no socket stays"
    assert not list(blender.runtime.glob("*.json"))
