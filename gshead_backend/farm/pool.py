"""A local farm: one Blender a worker, chunks from one list, again after a failure, the same folder after a crash."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import GsheadError
from .blender import Blender, Chunk, render_chunk
from .frames import FrameFolder


@dataclass
class Worker:
    """A row of the table. ``gpu``: what ``CUDA_VISIBLE_DEVICES`` is to name, None for the CPU."""

    name: str
    gpu: str | None
    state: str = "idle"
    frames: str = ""
    done: int = 0
    failures: int = 0


@dataclass
class Farm:
    """Chunks of one job on this machine.

    Attributes:
        job: as ``render_chunk`` takes it. chunks: lists of frames. runtime: folder for the backends' sockets; workers
            of one device share a backend, which ends with the last of them.
        retries: of a chunk whose Blender ended early, and of frames that failed in it.
        tell: called whenever a row changed.
    """

    blender: Blender
    job: dict[str, Any]
    chunks: Sequence[Sequence[int]]
    workers: Sequence[Worker]
    runtime: Path
    retries: int = 2
    tell: Callable[[], None] = lambda: None
    failed: dict[int, str] = field(default_factory=dict)
    rendered: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until every frame is there or has failed too often. Ctrl-C ends the workers and is raised again."""
        FrameFolder(Path(self.job["out"]), self.job["key"]).sweep()
        self._list = deque((list(chunk), 0) for chunk in self.chunks)
        self._lock, self._at_work = threading.Lock(), 0
        threads = [threading.Thread(target=self._work, args=(worker,), name=worker.name) for worker in self.workers]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
        finally:
            self.stop.set()

    def _work(self, worker: Worker) -> None:
        blender = replace(self.blender, environment={**self.blender.environment, **self._environment(worker)})
        while not self.stop.is_set():
            with self._lock:
                item = self._list.popleft() if self._list else None
                self._at_work += item is not None
                finished = item is None and self._at_work == 0
            if item is None:
                if finished:
                    break
                time.sleep(0.1)  # another worker's chunk may come back
                continue
            try:
                self._do(blender, worker, *item)
            except Exception as error:  # a full disk, say: what this thread leaves undone must not pass for done
                self.failed |= {frame: f"{type(error).__name__}: {error}" for frame in item[0]}
                worker.failures += 1
            finally:
                with self._lock:
                    self._at_work -= 1
        worker.state, worker.frames = "done", ""
        self.tell()

    def _do(self, blender: Blender, worker: Worker, frames: list[int], tries: int) -> None:
        worker.state, worker.frames = "rendering", f"{frames[0]}-{frames[-1]}"
        self.tell()
        chunk = Chunk()

        def heard(event: dict[str, Any]) -> None:
            if event["event"] == "frame" and event["state"] != "failed":
                worker.done += 1
                (self.rendered if event["state"] == "rendered" else self.kept).append(int(event["frame"]))
                self.tell()

        reason = ""
        try:
            chunk = render_chunk(blender, self.job, frames, say=heard, stop=self.stop)
        except GsheadError as error:
            reason = error.message
        folder = FrameFolder(Path(self.job["out"]), self.job["key"])
        left = folder.left_of(frames, self.stop)
        worker.state = "idle"
        if not left or self.stop.is_set():
            return
        worker.failures += 1
        if tries < self.retries:
            time.sleep(min(2.0**tries, 10.0))
            with self._lock:
                self._list.append((left, tries + 1))
        else:
            self.failed |= {frame: chunk.failed.get(frame, reason or "not rendered") for frame in left}
        self.tell()

    def _environment(self, worker: Worker) -> dict[str, str]:
        """One backend a device: workers of it share a runtime folder, in which the first starts it."""
        folder = self.runtime / (f"gpu{worker.gpu}" if worker.gpu is not None else "cpu")
        folder.mkdir(mode=0o700, exist_ok=True)
        out = {"GSHEAD_RUNTIME_DIR": str(folder)}
        if worker.gpu is not None:
            out["CUDA_VISIBLE_DEVICES"] = worker.gpu
        return out


def chunks_of(frames: Sequence[int], size: int) -> list[list[int]]:
    """The frames in order, ``size`` at a time; one chunk when ``size`` is 0."""
    size = size or len(frames)
    return [list(frames[i : i + size]) for i in range(0, len(frames), size)]
