"""Sixteen real portraits over a pool of two workers, one of which is killed midway: all are made, none twice."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image, ImageEnhance
from this_tree import BACKEND_COMMAND, ROOT

from gshead_backend.avatar import load_avatar

SAMPLE = ROOT / "samples" / "synthetic_portrait.png"
_RUN = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); import gshead_backend.farm.batch as b; "
    "real = b.pool_client; b.pool_client = lambda *a, **k: real(*a, **{**k, 'command': "
    + repr(BACKEND_COMMAND)
    + "}); "
    "from gshead_backend.cli import main; sys.exit(main())"
)
POOLS = [
    pytest.param(("--workers", "2"), "gshead_backend.server.worker", id="local"),
    pytest.param(
        ("--pool", "ray://local", "--workers", "2"), "ray::PoolActor", id="ray",
        marks=pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason='Ray is not installed (extra "ray")'),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample portrait, small, in sixteen lights."""
    folder = tmp_path_factory.mktemp("photos")
    picture = Image.open(SAMPLE).convert("RGB").resize((384, 384))
    for i in range(16):
        data = io.BytesIO()
        ImageEnhance.Brightness(picture).enhance(0.8 + 0.02 * i).save(data, "PNG")
        (folder / f"person {i:02d}.png").write_bytes(data.getvalue())
    return folder


def _workers(pid: int, what: str) -> list[psutil.Process]:
    """The pool's processes below ``pid``: for local ones, those with a role of the pool in their log."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if what in words and not words.startswith("ray::IDLE"):
            found.append(process)
    return found


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("pool", "what"), POOLS)
def test_sixteen_portraits_one_worker_killed(
    photos: Path, tmp_path: Path, pool: tuple[str, ...], what: str
) -> None:  # fmt: skip
    out = tmp_path / "out"
    command = ["reconstruct", str(photos), "-o", str(out), "--quality", "draft", "--splats", "3000", "--device", "cpu"]
    run = subprocess.Popen(
        [sys.executable, "-c", _RUN, *command, *pool, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "GSHEAD_LOG": "json"},
    )  # fmt: skip
    end = time.monotonic() + 1200
    while len(list(out.glob("[!.]*.gshead"))) < 3:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end
        time.sleep(0.2)
    workers = _workers(run.pid, what)
    assert len(workers) >= 2
    family = psutil.Process(run.pid).children(recursive=True)
    workers[-1].send_signal(signal.SIGKILL)
    output, errors = run.communicate(timeout=1200)
    assert run.returncode == 0, errors[-3000:]
    result = json.loads(output)
    assert (result["made"], result["failed"]) == (16, 0)
    tries = sorted(item["tries"] for item in result["items"])
    assert tries == [1] * 15 + [2], "the one that the killed worker had begun"
    assert {item["worker"] for item in result["items"]} == {"pool-1", "pool-2"}
    files = sorted(path.name for path in out.glob("*.gshead"))
    assert files == [f"person {i:02d}.gshead" for i in range(16)]
    assert len({item["sha256"] for item in result["items"]}) == 16
    assert all(re.fullmatch(r"person \d\d", load_avatar(out / name).name) for name in files)
    gone = time.monotonic() + 10
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family):
        assert time.monotonic() < gone, "a process is left"
        time.sleep(0.1)
