"""A process that is killed while it writes: its file is the old one or the new one, whole, never half."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("GSHEAD_POWER_CUTS", "40"))
"""200 with ``GSHEAD_POWER_CUTS=200``: about a minute a writer."""
WRITERS = {
    "write_atomic": "from gshead_backend.files import write_atomic as write",
    "write_private": "from gshead_backend.protocol.endpoint import write_private as write",
}
_LOOP = """
import hashlib, os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
{how}
path, n = Path({path!r}), 0
print("go", flush=True)
while True:
    n += 1
    body = os.urandom(64) * ((n * 7919) % 6000 + 1)
    write(path, hashlib.sha256(body).digest() + body)
"""


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """The writers are killed here, on purpose."""


@pytest.mark.parametrize("writer", WRITERS)
def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path, writer: str) -> None:
    rng, path = random.Random(1), tmp_path / "file.bin"
    code = _LOOP.format(root=str(ROOT), how=WRITERS[writer], path=str(path))
    cut, digests = 0, set()
    for i in range(5 * ROUNDS):
        if i >= ROUNDS and cut:  # by chance none of the first may be hit in the middle
            break
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.communicate()
        if path.exists():
            data = path.read_bytes()
            assert hashlib.sha256(data[32:]).digest() == data[:32], "half a file"
            digests.add(data[:32])
        cut += len(list(tmp_path.iterdir())) > 1
        for other in tmp_path.iterdir():
            if other != path:
                assert other.name.startswith("."), "what a killed process leaves is hidden, and no one's file"
                other.unlink()
    assert len(digests) > ROUNDS // 4, "files were replaced"
    assert cut > 0, "some were killed in the middle of a write"
