"""A question under way: what ``ThreadedClient`` returns at once and any thread can wait for."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ..errors import BackendTimeoutError, GsheadError

T = TypeVar("T")
ProgressCallback = Callable[[float, str], None]
_SLICE = 0.1
"""Seconds between looks at the cancel event and at pending signals while waiting."""


def same_error(error: GsheadError) -> GsheadError:
    """A fresh exception with the same content: one instance must not be raised in several threads."""
    copy = type(error).__new__(type(error))
    GsheadError.__init__(copy, error.message, remedy=error.remedy)
    return copy


class Request(Generic[T]):
    """One request: its progress, its answer or its error."""

    def __init__(self, request_id: int, what: str, abort: Callable[[int], None]) -> None:
        self.id = request_id
        self.what = what
        self._abort = abort
        self._changed = threading.Condition()
        self._progress: list[tuple[float, str]] = []
        self._done = False
        self._value: T | None = None
        self._error: GsheadError | None = None
        self._callbacks: list[Callable[[Request[T]], None]] = []
        self._preview = b""

    @property
    def progress(self) -> tuple[float, str]:
        """The latest (fraction, text); (0, "") before the first."""
        with self._changed:
            return self._progress[-1] if self._progress else (0.0, "")

    @property
    def preview(self) -> bytes:
        """What the backend has shown before the answer, ``.gshead`` bytes; empty before that, or when not asked for."""
        with self._changed:
            return self._preview

    def done(self) -> bool:
        """The answer or the error is there."""
        with self._changed:
            return self._done

    def cancel(self) -> None:
        """Asks the backend to stop; the request then ends with ``Cancelled`` unless it was already done."""
        if not self.done():
            with contextlib.suppress(GsheadError):  # a dead backend has already ended this request
                self._abort(self.id)

    def on_done(self, callback: Callable[[Request[T]], None]) -> None:
        """Calls ``callback(self)`` once done: at once when it is, else later in the I/O thread (keep it short)."""
        with self._changed:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback(self)

    def wait(
        self, timeout: float | None = None, *, on_progress: ProgressCallback | None = None,
        on_preview: Callable[[bytes], None] | None = None, cancel: threading.Event | None = None,
    ) -> T:  # fmt: skip
        """The answer.

        Args:
            timeout: seconds, None for as long as the backend lives. On time-out the request is cancelled.
            on_progress: called in this thread with each (fraction, text). When it raises, the request is cancelled.
            on_preview: called in this thread when there is something to show before the answer.
            cancel: looked at ten times a second; when set, the request is cancelled.

        Raises:
            GsheadError: what the backend answered, or that it died.
            BackendTimeoutError: the time is over.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        seen, asked, shown = 0, False, b""
        try:
            while True:
                with self._changed:
                    if not self._done and len(self._progress) == seen:
                        left = _SLICE if deadline is None else min(_SLICE, deadline - time.monotonic())
                        self._changed.wait(max(left, 0.0))
                    fresh, done, preview = self._progress[seen:], self._done, self._preview
                    seen = len(self._progress)
                if on_progress is not None:
                    for fraction, text in fresh:
                        on_progress(fraction, text)
                if on_preview is not None and preview is not shown:
                    shown = preview
                    on_preview(preview)
                if done:
                    return self._outcome()
                if cancel is not None and cancel.is_set() and not asked:
                    asked = True
                    self.cancel()
                if deadline is not None and time.monotonic() >= deadline:
                    raise BackendTimeoutError(
                        f"The backend did not answer '{self.what}' within {timeout:g} seconds.",
                        remedy="Wait for the current work to end or restart the backend.",
                    )
        except BaseException:
            self.cancel()
            raise

    def _outcome(self) -> T:
        if self._error is not None:
            raise same_error(self._error)
        value: Any = self._value
        return value

    # --- called by the I/O thread -------------------------------------------------------------------------------

    def add_progress(self, fraction: float, text: str) -> None:
        """Notes a step."""
        with self._changed:
            self._progress.append((fraction, text))
            self._changed.notify_all()

    def add_preview(self, data: bytes) -> None:
        """Keeps what was shown."""
        with self._changed:
            self._preview = data
            self._changed.notify_all()

    def finish(self, value: T | None, error: GsheadError | None) -> None:
        """Sets the outcome; only the first call counts."""
        with self._changed:
            if self._done:
                return
            self._value, self._error, self._done = value, error, True
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            callback(self)
