"""Pools of processes end with the command that made them, even when it is killed; one that breaks says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gshead_backend.errors import BackendDiedError
from gshead_backend.process_pool import process_pool

SCRIPT = """
import time
from gshead_backend.process_pool import process_pool

if __name__ == "__main__":
    with process_pool(2, "nothing was done", remedy="") as pool:
        waiting = [pool.submit(time.sleep, 60) for _ in range(2)]
        time.sleep(60)
"""


def test_no_process_of_a_pool_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(SCRIPT, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, str(script)])
    try:
        children: list[psutil.Process] = []
        until = time.monotonic() + 30
        while time.monotonic() < until and len(children) < 3:  # two workers and the resource tracker
            children = psutil.Process(parent.pid).children(recursive=True)
            time.sleep(0.1)
        assert len(children) >= 3
        time.sleep(1)  # the workers have imported what they run
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert alive == []


def test_a_process_has_one_thread_and_this_one_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    with process_pool(1, "nothing was done", remedy="") as pool:
        inside = pool.submit(os.getenv, "OMP_NUM_THREADS"), pool.submit(os.getenv, "NUMBA_NUM_THREADS")
        assert tuple(value.result() for value in inside) == ("1", "1")
    assert (os.environ["OMP_NUM_THREADS"], os.environ.get("NUMBA_NUM_THREADS")) == ("7", None)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_process_that_is_killed_is_told_by_name() -> None:
    with (
        pytest.raises(BackendDiedError, match="ended while beans were counted") as told,
        process_pool(1, "beans were counted", remedy="Count again.") as pool,
    ):
        pool.submit(signal.raise_signal, signal.SIGKILL).result()
    assert told.value.remedy == "Count again."


def test_what_waits_is_not_begun_when_the_block_fails(tmp_path: Path) -> None:
    def fails() -> None:
        with process_pool(1, "files were made", remedy="") as pool:
            pool.submit(time.sleep, 1.0)
            for i in range(20):
                pool.submit((tmp_path / str(i)).touch)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    time.sleep(4)
    assert len(list(tmp_path.iterdir())) <= 2, "some are handed over before it is their turn"
