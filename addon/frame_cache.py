"""Viewport frames that were drawn once, in memory and in a private folder, so that scrubbing back is instant.

The main thread asks memory and an index; a thread of its own reads, writes and removes files. What goes wrong with a
file costs its frame, never more. No bpy here.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from gshead_backend.files import write_atomic

from .frame_files import can_pack, frame_from_bytes, frame_to_bytes
from .texels import Texels

MEMORY_BYTES = 256 * 2**20
SUFFIX = ".frame"
PATIENCE = 0.002
"""Seconds that ``get`` gives the disk: most frames come within them, so that they are in the very next picture."""
_WAITING_WRITES = 64  # frames on their way to the disk; more are kept in memory alone


class FrameCache:
    """Frames by key, with depth or without.

    Args:
        folder: made private (0700) and this cache's alone. limit_bytes: of the files; the longest unused go first.
        limit_days: files that were not used for longer go when the cache is opened.
    """

    def __init__(self, folder: Path, limit_bytes: int, limit_days: float = float("inf")) -> None:
        self.folder, self.limit_bytes, self.limit_days = folder, limit_bytes, limit_days
        self._memory: OrderedDict[str, Texels] = OrderedDict()
        self._memory_bytes = 0
        self._files: OrderedDict[str, int] = OrderedDict()  # bytes by name, the longest unused first
        self._loading: set[str] = set()
        self._lock = threading.Lock()
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._later(self._scan)

    # --- any thread; never waits for long -------------------------------------------------------------------------

    def get(self, key: str, *, depth: bool) -> Texels | None:
        """The frame when it is in memory, or comes from the disk within ``PATIENCE``; later ones: see ``loading``."""
        names = _names(key, depth)
        with self._lock:
            if (frame := self._remembered(names)) is not None:
                return frame
            wanted = [name for name in names if name in self._files and name not in self._loading]
            self._loading.update(wanted)
        if not wanted:
            return None
        came = threading.Event()
        for name in wanted:
            self._later(lambda name=name: self._load(name))
        self._later(came.set)
        if not came.wait(PATIENCE):
            return None
        with self._lock:
            return self._remembered(names)

    def loading(self, key: str, *, depth: bool) -> bool:
        """Whether the frame is on its way from the disk."""
        with self._lock:
            return any(name in self._loading for name in _names(key, depth))

    def put(self, key: str, frame: Texels) -> None:
        """Keep a full-quality frame."""
        name = _names(key, frame.depth is not None)[0]
        with self._lock:
            self._remember(name, frame)
            known = name in self._files
        if not known and self.limit_bytes > 0 and self._work.qsize() < _WAITING_WRITES:
            self._later(lambda: self._store(name, frame))

    def clear(self) -> None:
        """Forget every frame and remove the files, soon."""
        with self._lock:
            self._memory.clear()
            self._memory_bytes = 0
        self._later(self._remove_all)

    def resize(self, limit_bytes: int) -> None:
        """Take another limit, soon."""
        self.limit_bytes = limit_bytes
        self._later(self._evict)

    def size(self) -> tuple[int, int]:
        """(frames, bytes) on the disk."""
        with self._lock:
            return len(self._files), sum(self._files.values())

    def wait(self) -> None:
        """Until everything asked for so far is done; for tests and for quitting."""
        done = threading.Event()
        self._later(done.set)
        done.wait(10)

    def close(self) -> None:
        """End the thread; waiting writes are given up after a moment."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._work.put(None)
            thread.join(1)

    # --- the cache's own thread -----------------------------------------------------------------------------------

    def _later(self, work: Callable[[], None]) -> None:
        self._work.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gshead-frames", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            with contextlib.suppress(Exception):  # a frame is lost; the thread, and with it the cache, goes on
                work()

    def _scan(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(self.folder, 0o700)
        found, oldest = [], time.time() - 86400 * self.limit_days
        for entry in os.scandir(self.folder):
            if entry.is_file(follow_symlinks=False) and entry.name.endswith(SUFFIX):
                status = entry.stat(follow_symlinks=False)
                # left by a Blender that was killed while it wrote, or a picture of a person that nobody looks at
                if entry.name.startswith(".") or status.st_mtime < oldest:
                    os.unlink(entry.path)
                else:
                    found.append((status.st_mtime, entry.name[: -len(SUFFIX)], status.st_size))
        with self._lock:
            self._files.update((name, size) for _, name, size in sorted(found))
        self._evict()

    def _load(self, name: str) -> None:
        frame, path = None, self._path(name)
        try:
            frame = frame_from_bytes(path.read_bytes())
            os.utime(path)
        except Exception:  # whatever a damaged file makes a decoder raise
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        with self._lock:
            if frame is None:
                self._files.pop(name, None)
            else:
                self._remember(name, frame)
                if name in self._files:
                    self._files.move_to_end(name)
            self._loading.discard(name)

    def _store(self, name: str, frame: Texels) -> None:
        if not can_pack():
            return
        data = frame_to_bytes(frame)
        path = self._path(name)
        write_atomic(path, data)
        os.chmod(path, 0o600)
        with self._lock:
            self._files[name] = len(data)
        self._evict()

    def _evict(self) -> None:
        with self._lock:
            surplus, total = [], sum(self._files.values())
            while self._files and total > self.limit_bytes:
                name, size = self._files.popitem(last=False)
                total -= size
                surplus.append(name)
        for name in surplus:
            with contextlib.suppress(OSError):  # another Blender may have been quicker
                self._path(name).unlink()

    def _remove_all(self) -> None:
        limit, self.limit_bytes = self.limit_bytes, 0
        self._evict()
        self.limit_bytes = limit

    def _remember(self, name: str, frame: Texels) -> None:
        if name in self._memory:
            self._memory_bytes -= _bytes(self._memory.pop(name))
        self._memory[name] = frame
        self._memory_bytes += _bytes(frame)
        while self._memory_bytes > MEMORY_BYTES and len(self._memory) > 1:
            self._memory_bytes -= _bytes(self._memory.popitem(last=False)[1])

    def _remembered(self, names: tuple[str, ...]) -> Texels | None:
        for name in names:
            if name in self._memory:
                self._memory.move_to_end(name)
                return self._memory[name]
        return None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"


def _names(key: str, depth: bool) -> tuple[str, ...]:
    """What a frame may be called; one with depth serves a view that needs none."""
    return (f"{key}d",) if depth else (f"{key}c", f"{key}d")


def _bytes(frame: Texels) -> int:
    return frame.color.nbytes + (0 if frame.depth is None else frame.depth.nbytes)
