"""A newest-wins stream of frames for one view. No bpy here."""

from __future__ import annotations

import contextlib
from typing import Any

from gshead_backend.errors import GsheadError

from .texels import texels


class Stream:
    """A newest-wins stream of one client; outlives its view just long enough to be closed."""

    def __init__(self, depth: bool) -> None:
        self.client: Any = None
        self._depth = depth
        self._opened: Any = None

    def open(self, client: Any) -> None:
        """Ask ``client`` for a stream; the one before it went with its own client."""
        self.client = client
        self._opened = client.threaded.stream_open(
            dtype="uint8", depth=self._depth, prepare=lambda frame: texels(frame.rgba, frame.depth)
        )

    def number(self) -> int | None:
        """The stream's number once the backend has answered. Raises ``GsheadError`` when it refused; open it again."""
        if self._opened is None or not self._opened.done():
            return None
        try:
            return self._opened.wait(0)
        except GsheadError:
            self.client = self._opened = None
            raise

    def close(self) -> None:
        """Give the stream back, also one that is only being opened; may be called twice."""
        client, self.client = self.client, None
        opened, self._opened = self._opened, None
        if client is not None and client.alive and opened is not None:
            opened.on_done(lambda request: _close(client, request))


def _close(client: Any, opened: Any) -> None:
    with contextlib.suppress(GsheadError):
        client.threaded.stream_close(opened.wait(0))


def at_work(client: Any) -> str:
    """What the backend says it is doing where a picture takes it long; else nothing."""
    beat = client.threaded.beat
    return next((w.message for w in beat.workers if w.role == "render" and w.state == "busy"), "") if beat else ""
