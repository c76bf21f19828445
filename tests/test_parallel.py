"""What processes that draw frames share."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys
import numpy as np
from gshead_backend.parallel import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
def frame():
    arrays = [np.ones(size << 20, np.uint8) for size in (3, 1, 4, 1, 5, 9, 2, 6)]
    del arrays
frame()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    frame()
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="says how glibc behaves")
def test_freed_memory_serves_the_next_frame_without_page_faults() -> None:
    def faults(mode: str) -> list[int]:
        done = subprocess.run([sys.executable, "-c", _FAULTS, mode], capture_output=True, text=True, check=True)
        return [int(x) for x in done.stdout.split()]

    kept, few = faults("keep")
    assert kept == 1
    assert few < 100 < 1000 < faults("usual")[1]
