"""The live table of ``gshead farm run``: rows on a terminal, a line for every tenth elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table as Rows

from ..farm.pool import Worker
from .console import Progress


class Table:
    """``update`` may be called from any thread."""

    def __init__(self, workers: Sequence[Worker], frames: int) -> None:
        self._workers, self._frames = workers, frames
        self._live = Live(console=Console(stderr=True), refresh_per_second=4) if sys.stderr.isatty() else None
        self._progress = Progress()
        self._lock = threading.Lock()

    def __enter__(self) -> Table:
        if self._live is not None:
            self._live.start()
        self.update()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Show the workers as they are now."""
        done = sum(worker.done for worker in self._workers)
        with self._lock:
            if self._live is None:
                self._progress(done / max(self._frames, 1), f"{done} of {self._frames} frames")
                return
            rows = Rows("worker", "device", "state", "frames", "done", "failures", title=f"{done} of {self._frames}")
            for w in self._workers:
                device = "CPU" if w.gpu is None else f"GPU {w.gpu}"
                rows.add_row(w.name, device, w.state, w.frames, str(w.done), str(w.failures))
            self._live.update(rows)
