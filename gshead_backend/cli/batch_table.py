"""The live table of ``gshead reconstruct FOLDER``: rows on a terminal, a line for every tenth elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table as Rows
from rich.text import Text

from ..farm.batch import Runner
from .console import Progress


class BatchTable:
    """What is under way, how many are done, and how the workers are."""

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), refresh_per_second=4) if sys.stderr.isatty() else None
        self._progress = Progress()
        self._started = time.monotonic()

    def __enter__(self) -> BatchTable:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, runner: Runner) -> None:
        """Show a run as it is now."""
        batch = runner.batch
        total, done = len(batch.items), len(batch.items) - batch.count("waiting")
        failed = batch.count("failed")
        text = f"{done} of {total} portraits" + (f", {failed} failed" if failed else "")
        if self._live is None:
            self._progress(done / total, text)
            return
        rows = Rows("photo", "done", "step", title=f"{text}, {time.monotonic() - self._started:.0f} s")
        for photo, request in runner.under_way.items():
            fraction, step = request.progress
            name = escape(photo.encode("utf-8", "replace").decode())
            rows.add_row(name, f"{fraction:.0%}" if step else "waits", escape(step))
        self._live.update(Group(rows, Text(", ".join(runner.workers))))
