"""A live picture of heads in one region: newest-wins frames from the backend, asked for and taken without ever waiting.

``viewport`` (Rendered shading) and ``overlay`` (every other shading) draw them. ``ticker`` redraws the region while a
frame is on its way. While things move frames are as detailed as they can be in time (``pace``); when they rest, one
full frame follows, which is kept (``frame_cache``): the same heads seen the same way need no backend again.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from gshead_backend.camera import Camera
from gshead_backend.errors import GsheadError

from . import runtime, ticker
from .frame_files import frame_key
from .pace import Pace
from .screen import Picture
from .session import READY, STARTING, spec
from .stream import Stream, at_work

REST_SECONDS = 0.15
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until what went wrong is tried again, twice as long each time."""
_MOST_NUDGES = 5


class LiveView:
    """The stream of one region, what it asked for last and the picture it shows.

    Args:
        redraw: asks Blender to draw the region again; raises ``ReferenceError`` when there is none any more.
        depth: whether frames come with depth.
    """

    def __init__(self, redraw: Callable[[], None], *, depth: bool) -> None:
        self.picture = Picture()
        self.region = 0  # pointer of the region that draws it
        self.rested = False  # set by whoever looked again, more thoroughly, since the last change
        self._redraw = redraw
        self._heads: list[tuple[Any, bytes]] = []
        self._depth = depth
        self._stream = Stream(depth)
        weakref.finalize(self, self._stream.close)
        self._wish: tuple[Any, ...] = ()
        self._changes = 0
        self._full = False
        self._pace = Pace()
        self._token = self._shown = 0
        self._changed_at = 0.0
        self._drawn_state: tuple[str, str] | None = None
        self._nudges = 0  # redraws asked for because it rests, since somebody looked thoroughly
        self._key = ""  # of the full frame of ``_keyed``
        self._keyed: tuple[Any, ...] = ()
        self._kept = self._loading = False  # the frame of ``_key`` is shown from the cache, or comes from its disk
        self._to_keep: dict[int, str] = {}  # keys of full frames by the token they were asked for
        self._looked = True  # drawn since ``forget_wish``
        self._wrong = ""  # what the backend answered in place of a frame
        self._wrong_for: tuple[Any, ...] = ()  # client and wish
        self._pause, self._again_at = FIRST_PAUSE, 0.0
        ticker.watch(self)

    def show(self, heads: list[tuple[Any, bytes]]) -> None:
        """Wire heads (``final.wire_heads``) to be drawn from now on; the same ones again ask for nothing."""
        if len(heads) != len(self._heads) or not all(map(_same, heads, self._heads)):
            self._changes += 1
            self._nudges = 0
        self._heads = heads

    def resting(self) -> bool:
        """Whether nothing has changed for a moment and nobody has set ``rested`` since."""
        return bool(self._wish) and not self.rested and time.monotonic() - self._changed_at > REST_SECONDS

    def exchange(self, camera: Camera) -> str:
        """Send a wish if there is one, take a frame if there is one; returns what to tell the user.

        What the backend refused is told until it is tried again, and meanwhile.
        """
        self._drawn_state = (runtime.session.state, runtime.session.last_error)
        self._looked = True
        if self.rested:
            self._nudges = 0
        if not self._heads:
            self.picture.clear()
            return ""
        session = runtime.session
        client = session.current()
        wish = (self._changes, camera.width, camera.height, camera.K.tobytes(), camera.viewmat.tobytes())
        kept = self._show_kept(wish, camera)
        if client is None:
            if session.settings.start_when_needed and not session.kept_off and not session.last_error:
                session.connect_in_background()
            if session.state == STARTING:
                return "" if kept else "Starting the backend"
            return ("Cached frame. " if kept else "") + (session.last_error or "Backend offline")
        if kept:
            return ""
        asker = id(client), *wish
        if self._wrong and asker == self._wrong_for and time.monotonic() < self._again_at:
            return self._wrong
        try:
            return self._talk(client, camera, wish)
        except GsheadError as error:
            self._pause = min(2 * self._pause, LONGEST_PAUSE) if asker == self._wrong_for else FIRST_PAUSE
            self._wrong, self._wrong_for, self._again_at = str(error), asker, time.monotonic() + self._pause
            self._token, self._full = self._shown, False  # nothing is on its way any more
            return self._wrong

    def _talk(self, client: Any, camera: Camera, wish: tuple[Any, ...]) -> str:
        """The part of ``exchange`` that needs a backend. Raises ``GsheadError`` that it answered with."""
        stream, uploads = self._open_stream(client), runtime.session.uploads(client)
        ready = [uploads.ready(instance.avatar_id, data) for instance, data in self._heads]
        if stream is None or not all(ready):
            self._full = False  # keeps the redraws coming until the head is there
            return self._wrong or "Handing the head to the backend"
        if self._loading:
            return self._wrong
        self._ask(client, stream, camera, wish)
        frame = client.threaded.stream_latest(stream, newer_than=self._shown)
        if frame is not None:
            self.picture.set(frame.prepared)
            self._shown = frame.token
            self._wrong, self._wrong_for = "", ()
            key = self._to_keep.pop(frame.token, "")
            if key and frame.codec != "jpeg" and runtime.frames is not None:
                runtime.frames.put(key, frame.prepared)
            self._pace.came(frame.token, frame.seconds, time.monotonic())
        if self._shown >= self._token:
            return self._wrong
        return self._wrong or at_work(client) or ("" if self._shown else "Waiting for the first frame")

    def waiting(self) -> bool:
        """Whether a redraw is needed soon although nothing in Blender changed."""
        if not self._heads:
            return False
        if self._loading:
            return True
        session = runtime.session
        if session.state != READY:
            return self._drawn_state != (session.state, session.last_error) or (self._kept and self._look_again())
        if self._kept:
            return self._look_again()
        if self._wrong and self._wrong_for[0] == id(session.current()):
            return time.monotonic() >= self._again_at
        if session.current() is not self._stream.client:
            return True  # a backend that has just come up has drawn nothing for this view yet
        return self._shown < self._token or not self._full or self._look_again()

    def _look_again(self) -> bool:
        """A full frame that came at once leaves nobody to look thoroughly; a region that is never drawn is let be."""
        return self.resting() and self._nudges < _MOST_NUDGES

    def complete(self) -> bool:
        """Whether the picture is the full-quality one of what was wished for last."""
        if not self._looked or self._loading:
            return False
        return not self._heads or self._kept or (self._full and self._shown == self._token)

    def forget_wish(self) -> None:
        """Count as incomplete until the next redraw has asked for, or found, what is to be seen then."""
        self._full = self._kept = self._looked = False

    def redraw(self) -> None:
        """Ask Blender to draw the region again; a view whose region has gone is closed."""
        self._nudges += self.resting()
        try:
            self._redraw()
        except ReferenceError:
            self.close()

    def close(self) -> None:
        """Give the stream back now instead of when Python drops the view."""
        ticker.views.discard(self)
        self._stream.close()
        self.picture.clear()

    def _open_stream(self, client: Any) -> int | None:
        if self._stream.client is not client:
            self._stream.open(client)
            self._wish = ()
            self._token = self._shown = 0
            self._full = False
        return self._stream.number()

    def _show_kept(self, wish: tuple[Any, ...], camera: Camera) -> bool:
        """Show the wished frame from the cache when it is there; ``_loading`` tells whether it comes from the disk."""
        if runtime.frames is None:
            self._kept = self._loading = False
            return False
        if wish != self._keyed:
            self._keyed, self._key, self._kept = wish, frame_key(self._heads, camera), False
        if self._kept:
            return True
        frame = runtime.frames.get(self._key, depth=self._depth) if not self._full or wish != self._wish else None
        self._loading = frame is None and runtime.frames.loading(self._key, depth=self._depth)
        if self._loading:
            ticker.hurry()
        if frame is not None:
            self.picture.set(frame)
            self._kept, self._shown = True, self._token  # what is still on its way belongs to another wish
            self._note(wish)
        return self._kept

    def _note(self, wish: tuple[Any, ...]) -> None:
        if wish[:1] != self._wish[:1]:
            self.rested = False
        if wish != self._wish:
            self._wish, self._changed_at, self._nudges = wish, time.monotonic(), 0

    def _ask(self, client: Any, stream: int, camera: Camera, wish: tuple[Any, ...]) -> None:
        now = time.monotonic()
        if wish != self._wish:
            first = not self._wish
            self._note(wish)
            self._send(client, stream, camera, full=first)
        elif not self._full and now - self._changed_at > REST_SECONDS:
            self._send(client, stream, camera, full=True)

    def _send(self, client: Any, stream: int, camera: Camera, *, full: bool) -> None:
        instances = [instance for instance, _ in self._heads]
        matrices = [instance.matrix for instance in instances]
        scale, splats = (1.0, 0) if full else self._pace.wish_for(camera, matrices)
        self._token = client.threaded.stream_update(
            stream, spec(camera), instances, scale=scale, splats=splats, lossy=not full
        )
        self._full = full
        if scale == 1.0 and splats == 0:
            self._to_keep = {token: key for token, key in self._to_keep.items() if token > self._shown}
            self._to_keep[self._token] = self._key
        if not full:
            self._pace.asked(self._token)


def _same(one: tuple[Any, bytes], other: tuple[Any, bytes]) -> bool:
    a, b = one[0], other[0]
    return (
        a.avatar_id == b.avatar_id
        and np.array_equal(a.matrix, b.matrix)
        and _equal(a.pose, b.pose)
        and _equal(a.vertices, b.vertices)
        and _equal(a.light, b.light)
        and a.light_strength == b.light_strength
    )


def _equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return (a is None) == (b is None) and (a is None or np.array_equal(a, b))
