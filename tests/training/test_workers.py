"""Pools of the trainers end with the command that made them, even when it is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

SCRIPT = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from gshead_backend.parallel import end_with_parent

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
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
