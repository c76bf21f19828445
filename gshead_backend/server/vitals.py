"""How a backend is: frames a second, memory of processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections import deque
from pathlib import Path

WINDOW = 5.0
"""Seconds over which frames are counted."""
TIDY_SECONDS, MOST_SECONDS, TIDY_BYTES = 2.0, 60.0, 16 << 20
_MOST = 4096


class Rate:
    """Counts events; how many there were a second lately."""

    def __init__(self) -> None:
        self.total = 0
        self._times: deque[float] = deque(maxlen=_MOST)

    def note(self) -> None:
        """One more."""
        self.total += 1
        self._times.append(time.monotonic())

    def per_second(self) -> float:
        """Over the last ``WINDOW`` seconds."""
        now = time.monotonic()
        while self._times and now - self._times[0] > WINDOW:
            self._times.popleft()
        if len(self._times) == _MOST:  # faster than the window holds
            return _MOST / max(now - self._times[0], 1e-3)
        return len(self._times) / WINDOW


class Housekeeping:
    """Gives freed memory back to the system while there is nothing else to do.

    Bursts of large messages leave holes that glibc keeps: hundreds of MiB for the life of the process.
    """

    def __init__(self) -> None:
        self._least = memory_of(os.getpid())
        self._looked, self._pause = time.monotonic(), TIDY_SECONDS

    def tick(self, now: float, *, idle: bool, held: int) -> None:
        """Often; acts when the process has grown by ``TIDY_BYTES``, seldom when that was of no use.

        ``held``: bytes that the process holds on purpose.
        """
        if not idle or now - self._looked < self._pause:
            return
        self._looked, memory = now, memory_of(os.getpid())
        if memory - held - self._least > TIDY_BYTES:
            return_freed_memory()
            left = memory_of(os.getpid())
            self._pause = TIDY_SECONDS if memory - left > TIDY_BYTES else min(2 * self._pause, MOST_SECONDS)
            memory = left
        self._least = min(self._least, memory - held)


def return_freed_memory() -> None:
    """Give all freed memory back to the system, where that can be said (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def memory_of(pid: int) -> int:
    """Resident bytes of a process; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        pass
    if pid == os.getpid() and sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # its highest so far
    return 0
