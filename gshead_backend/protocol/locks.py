"""An advisory lock file: held for the life of a process, released by the system however that life ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class FileLock:
    """Exclusive lock on ``path``; ``acquire`` never waits. The file itself stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """True when this process now holds the lock."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(self.path, flags, 0o600)
        try:
            _lock(handle)
        except OSError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Gives the lock up; may be called twice."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)  # closing drops a flock and a Windows region lock alike

    def held_elsewhere(self) -> bool:
        """Somebody else (another process, or another ``FileLock`` here) holds it now."""
        if not self.path.exists():
            return False
        if not self.acquire():
            return True
        self.release()
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
