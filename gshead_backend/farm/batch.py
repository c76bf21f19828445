"""Many portraits through one backend's pool: a few under way at a time, each written as it comes."""

from __future__ import annotations

import contextlib
import queue
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..avatar import avatar_from_bytes
from ..errors import BackendError, ExportError, GsheadError
from ..files import make_folder
from ..protocol import Endpoint, ThreadedClient
from ..protocol.launcher import start_backend
from ..protocol.locks import FileLock
from ..protocol.request import Request
from ..protocol.values import MadeAvatar
from .portraits import Batch, Item, display_name

_LOCK = ".gshead.lock"
_AHEAD = 2
_LOOK = 0.25


@dataclass
class Runner:
    """One run over a batch.

    Attributes:
        options: ``method``, ``quality``, ``seed`` and ``splats`` as ``ThreadedClient.batch_make`` takes them.
        tell: called several times a second, and whenever something changed.
        under_way: photos that are being made, in the order in which they were sent. workers: role and state of each.
    """

    batch: Batch
    client: ThreadedClient
    options: dict[str, Any]
    tell: Callable[[Runner], None] = lambda runner: None
    under_way: dict[str, Request[MadeAvatar]] = field(default_factory=dict)

    @property
    def workers(self) -> list[str]:
        beat = self.client.beat
        workers = beat.workers if beat is not None else self.client.hello.workers
        return [f"{w.role} {w.state}" for w in workers if w.role.startswith("pool")]

    def run(self) -> None:
        """Until every item is made, kept or failed; what is made stays.

        Raises ``BackendDiedError``, ``ExportError``.
        """
        done: queue.SimpleQueue[Item] = queue.SimpleQueue()
        waiting = iter(self.batch.items)
        more = True
        try:
            while more or self.under_way:
                while more and len(self.under_way) < self._window():
                    item = next(waiting, None)
                    more = item is not None
                    if item is not None:
                        self._send(item, done)
                        self.tell(self)  # thousands may be kept before one is sent
                self.tell(self)
                with contextlib.suppress(queue.Empty):
                    item = done.get(timeout=_LOOK)
                    self._take(item, self.under_way.pop(item.photo))
        finally:
            for request in self.under_way.values():
                request.cancel()
            self.batch.write()

    def _window(self) -> int:
        return max(1, min(_AHEAD * max(len(self.workers), 1), self.client.hello.limits.batch))

    def _send(self, item: Item, done: queue.SimpleQueue[Item]) -> None:
        try:
            data = self.batch.read(item)
            if data is None:
                return
            request = self.client.batch_make(data, name=display_name(Path(item.photo)), **self.options)
        except BackendError:
            raise
        except GsheadError as error:
            self.batch.fail(item, error)
            return
        self.under_way[item.photo] = request
        request.on_done(lambda _: done.put(item))

    def _take(self, item: Item, request: Request[MadeAvatar]) -> None:
        try:
            made = request.wait()
            avatar_from_bytes(made.data)  # what is written must be readable
        except GsheadError as error:
            if not self.client.alive:
                raise
            self.batch.fail(item, error)
            return
        self.batch.keep(
            item, made.data, seconds=round(made.seconds, 3), worker=made.worker, tries=made.tries,
            warnings=made.warnings,
        )  # fmt: skip


@contextlib.contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Nobody else writes a batch into this folder meanwhile. Raises ``ExportError``."""
    lock = FileLock(make_folder(out) / _LOCK)
    try:
        free = lock.acquire()
    except OSError as error:
        raise ExportError(f"The folder '{out}' cannot be written: {error.strerror or error}.") from error
    if not free:
        raise ExportError(f"Another 'gshead reconstruct' is at work in '{out}'.", remedy="Wait for its end.")
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def pool_client(
    pool: str, *, workers: int = 0, device: str = "auto", connection: Path | None = None, command: Sequence[str] = ()
) -> Iterator[ThreadedClient]:
    """A client of a backend with a pool, which ends with the block; or of one that runs, named by ``connection``."""
    if connection is not None:
        with ThreadedClient(Endpoint.read(connection), name="gshead reconstruct") as client:
            yield client
        return
    serve = [*(command or (sys.executable, "-m", "gshead_backend.cli", "serve")), "--pool", pool, "--device", device]
    serve += ["--pool-workers", str(workers), "--render-on-demand"]
    with tempfile.TemporaryDirectory(prefix="gsh-") as folder:
        backend = start_backend(serve, directory=Path(folder), name="batch", timeout=120.0)
        try:
            with ThreadedClient(backend.endpoint, name="gshead reconstruct") as client:
                yield client
        finally:
            with contextlib.suppress(GsheadError):
                backend.wait(20.0)
            if backend.process is not None and backend.process.poll() is None:
                backend.process.kill()
                backend.process.wait()
