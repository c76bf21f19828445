"""Requests that wait for their answers, by the id of their message."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import GsheadError, from_code
from . import messages as m
from .request import Request, same_error

T = TypeVar("T")
Convert = Callable[[Any, list[memoryview]], T]


class Pending:
    """Any thread may add; the I/O thread hands answers out, and in the end the reason why there are none.

    ``death``: why the connection is over, once it is.
    """

    def __init__(self) -> None:
        self.death: GsheadError | None = None
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[Request[Any], Convert[Any]]] = {}

    def check_alive(self) -> None:
        """Raises why the connection is over."""
        if self.death is not None:
            raise same_error(self.death)

    def add(self, request: Request[T], convert: Convert[T]) -> None:
        """``convert`` makes the request's value of its answer. Raises as :meth:`check_alive`."""
        with self._lock:
            self.check_alive()
            self._waiting[request.id] = (request, convert)

    def __contains__(self, request_id: int) -> bool:
        with self._lock:
            return request_id in self._waiting

    # --- called by the I/O thread -------------------------------------------------------------------------------

    def take(self, parent: int, message: m.Message, parts: list[memoryview]) -> None:
        """An answer, or news of one, has come for the request ``parent``."""
        with self._lock:
            entry = self._waiting.get(parent)
            if entry is not None and not isinstance(message, m.Progress | m.Preview):
                del self._waiting[parent]
        if entry is None:
            return
        request, convert = entry
        if isinstance(message, m.Progress):
            request.add_progress(message.fraction if math.isfinite(message.fraction) else 0.0, message.text)
        elif isinstance(message, m.Preview):
            request.add_preview(bytes(parts[0]) if len(parts) == 1 else b"")
        elif isinstance(message, m.Error):
            request.finish(None, from_code(message.code, message.message, message.remedy))
        else:
            try:
                request.finish(convert(message, parts), None)
            except GsheadError as error:
                request.finish(None, error)

    def fail(self, error: GsheadError) -> None:
        """The connection is over: no request will be answered any more."""
        with self._lock:
            self.death = error
            waiting, self._waiting = list(self._waiting.values()), {}
        for request, _ in waiting:
            request.finish(None, same_error(error))
