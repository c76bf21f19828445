"""The client's side of its newest-wins streams: of each the newest frame, or why there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..errors import GsheadError, UnknownIdError
from . import messages as m
from .frames import FrameReader
from .request import same_error
from .values import Frame

Prepare = Callable[[Frame], object]


@dataclass
class _Stream:
    prepare: Prepare | None = None
    frame: Frame | None = None
    error: GsheadError | None = None


class ClientStreams:
    """The open streams of one client; any thread may ask, the I/O thread fills them.

    Args:
        reader: turns what arrives into frames; for the I/O thread.
        check_alive: raises when the connection is over.
    """

    def __init__(self, reader: FrameReader, check_alive: Callable[[], None]) -> None:
        self._reader, self._check_alive = reader, check_alive
        self._streams: dict[int, _Stream] = {}
        self._news = threading.Condition()

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, number: int, prepare: Prepare | None) -> None:
        """The backend has opened it."""
        self._streams[number] = _Stream(prepare)

    def check(self, number: int) -> None:
        """Raises ``UnknownIdError`` unless it is open, or why the connection is over."""
        self._get(number)

    def remove(self, number: int) -> None:
        """Frames that still come are dropped. Raises as :meth:`check`."""
        self._get(number)
        self._streams.pop(number, None)

    def latest(self, number: int, newer_than: int, timeout: float) -> Frame | None:
        """The newest frame with ``token > newer_than``; waits up to ``timeout`` seconds. Raises the stream's error."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                state = self._get(number)
                if state.error is not None:
                    error, state.error = state.error, None
                    raise same_error(error)
                if state.frame is not None and state.frame.token > newer_than:
                    return state.frame
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._news.wait(left)

    def _get(self, number: int) -> _Stream:
        self._check_alive()
        state = self._streams.get(number)
        if state is None:
            raise UnknownIdError(f"This client has no open stream {number}.")
        return state

    # --- called by the I/O thread -------------------------------------------------------------------------------

    def take(self, message: m.StreamFrame, parts: list[memoryview]) -> None:
        """A frame has come."""
        try:
            frame = replace(self._reader.decode(message.frame, message.ring, parts), token=message.token)
            state = self._streams.get(message.stream)
            if state is not None and state.prepare is not None:
                frame = replace(frame, prepared=state.prepare(frame))
            self._set(message.stream, frame, None)
        except GsheadError as error:
            self.fail(message.stream, error)

    def fail(self, number: int, error: GsheadError) -> None:
        """There is no frame, for this reason."""
        self._set(number, None, error)

    def wake(self) -> None:
        """Let those who wait see that the connection is over."""
        with self._news:
            self._news.notify_all()

    def _set(self, number: int, frame: Frame | None, error: GsheadError | None) -> None:
        with self._news:
            state = self._streams.get(number)
            if state is not None:
                state.frame, state.error = frame or state.frame, error
            self._news.notify_all()
