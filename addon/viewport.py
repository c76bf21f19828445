"""The viewport's picture: newest-wins frames from the backend, drawn without ever waiting.

``update`` reads the heads when the depsgraph changed, ``draw`` asks for a frame when view or heads changed and draws
the newest one that has arrived; a timer redraws the region while one is on its way. While things move frames are as
detailed as they can be in time (``pace``); when they rest, one full frame follows.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from typing import Any

import bpy
import numpy as np

from gshead_backend.camera import Camera
from gshead_backend.errors import GsheadError

from . import compat, runtime
from .camera import viewport_camera
from .final import wire_heads
from .heads import visible_heads
from .pace import Pace
from .screen import Picture, draw_notice, release
from .session import READY, STARTING, spec
from .world import background

REST_SECONDS = 0.15
TICK_SECONDS = 1 / 60
SLOW_TICK_SECONDS = 0.5

_views: weakref.WeakSet[View] = weakref.WeakSet()


class _Stream:
    """A newest-wins stream of one client; outlives its view just long enough to be closed."""

    def __init__(self) -> None:
        self.client: Any = None
        self._opened: Any = None

    def open(self, client: Any) -> None:
        """Ask ``client`` for a stream; the one before it went with its own client."""
        self.client, self._opened = client, client.threaded.stream_open(dtype="uint8", depth=False)

    def number(self) -> int | None:
        """The stream's number once the backend has answered."""
        return self._opened.wait(0) if self._opened is not None and self._opened.done() else None

    def close(self) -> None:
        """Give the stream back; may be called twice."""
        client, self.client = self.client, None
        if client is not None and client.alive:
            with contextlib.suppress(GsheadError):
                number = self.number()
                if number is not None:
                    client.threaded.stream_close(number)


class View:
    """One viewport in Rendered shading: its stream, what it asked for last and the picture it shows."""

    def __init__(self, engine: Any) -> None:
        self._engine = weakref.ref(engine)
        self._heads: list[tuple[Any, bytes]] = []
        self._background: np.ndarray | None = None
        self._stream = _Stream()
        weakref.finalize(self, self._stream.close)
        self._uploads: dict[str, Any] = {}
        self._wish: tuple[Any, ...] = ()
        self._changes = 0
        self._full = False
        self._pace = Pace()
        self._token = self._shown = 0
        self._changed_at = 0.0
        self._picture = Picture()
        self._notice = ""
        self._drawn_state: tuple[str, str] | None = None
        _views.add(self)
        if not bpy.app.timers.is_registered(_tick):
            bpy.app.timers.register(_tick, first_interval=TICK_SECONDS)

    # --- called by Blender ----------------------------------------------------------------------------------------

    def update(self, context: Any, depsgraph: Any) -> None:
        """Read the heads again."""
        try:
            self._heads = wire_heads(visible_heads(depsgraph))
            self._notice = ""
        except GsheadError as error:
            self._notice = str(error)
        scene = depsgraph.scene_eval
        self._background = background(scene, compat.world_tree(scene.world))
        self._changes += 1

    def draw(self, context: Any, depsgraph: Any) -> None:
        """Ask and draw; what goes wrong becomes text in the corner and the last frame stays."""
        region, view = context.region, context.region_data
        self._drawn_state = (runtime.session.state, runtime.session.last_error)
        notice = self._notice
        try:
            camera = viewport_camera(view.window_matrix, view.view_matrix, region.width, region.height)
            notice = self._exchange(camera) or notice
        except GsheadError as error:
            notice = str(error)
        self._picture.draw(region.width, region.height, self._background)
        if notice:
            draw_notice(notice, region)

    def close(self) -> None:
        """Give the stream back now instead of when Blender drops the engine."""
        _views.discard(self)
        self._stream.close()

    # --- talking to the backend -----------------------------------------------------------------------------------

    def _exchange(self, camera: Camera) -> str:
        """Send a wish if there is one, take a frame if there is one; returns what to tell the user."""
        if not self._heads:
            self._picture.clear()
            return ""
        session = runtime.session
        client = session.current()
        if client is None:
            if session.settings.start_when_needed and not session.kept_off and not session.last_error:
                session.connect_in_background()
            return "Starting the backend" if session.state == STARTING else session.last_error or "Backend offline"
        stream = self._open_stream(client)
        if stream is None or not self._upload(client):
            self._full = False  # keeps the redraws coming until the head is there
            return "Handing the head to the backend"
        self._ask(client, stream, camera)
        frame = client.threaded.stream_latest(stream, newer_than=self._shown)
        if frame is not None:
            self._picture.set(frame.rgba)
            self._shown = frame.token
            self._pace.came(frame.token, frame.seconds, time.monotonic())
        return "" if self._shown else "Waiting for the first frame"

    def _open_stream(self, client: Any) -> int | None:
        if self._stream.client is not client:
            self._stream.open(client)
            self._uploads, self._wish = {}, ()
            self._token = self._shown = 0
            self._full = False
        return self._stream.number()

    def _upload(self, client: Any) -> bool:
        """Whether the backend holds every avatar; starts handing over those it lacks."""
        ready = True
        for instance, data in self._heads:
            request = self._uploads.get(instance.avatar_id)
            if request is None:
                request = self._uploads[instance.avatar_id] = client.threaded.avatar_put(data)
            if not request.done():
                ready = False
            else:
                request.wait(0)
        return ready

    def _ask(self, client: Any, stream: int, camera: Camera) -> None:
        wish = (self._changes, camera.width, camera.height, camera.K.tobytes(), camera.viewmat.tobytes())
        now = time.monotonic()
        if wish != self._wish:
            first = not self._wish
            self._wish, self._changed_at = wish, now
            self._send(client, stream, camera, full=first)
        elif not self._full and now - self._changed_at > REST_SECONDS:
            self._send(client, stream, camera, full=True)

    def _send(self, client: Any, stream: int, camera: Camera, *, full: bool) -> None:
        instances = [instance for instance, _ in self._heads]
        scale, splats = (1.0, 0) if full else self._pace.wish()
        self._token = client.threaded.stream_update(
            stream, spec(camera), instances, scale=scale, splats=splats, lossy=not full
        )
        self._full = full
        if not full:
            self._pace.asked(self._token)

    def waiting(self) -> bool:
        """Whether a redraw is needed soon although nothing in Blender changed."""
        if not self._heads:
            return False
        session = runtime.session
        if session.state != READY:
            return self._drawn_state != (session.state, session.last_error)
        if session.current() is not self._stream.client:
            return True  # a backend that has just come up has drawn nothing for this view yet
        return self._shown < self._token or not self._full

    def redraw(self) -> None:
        """Ask Blender to draw the region again; an engine that Blender has freed takes its view along."""
        try:
            engine = self._engine()
            if engine is not None:
                engine.tag_redraw()
        except ReferenceError:
            _views.discard(self)


def _tick() -> float | None:
    """Redraw the views that wait for something; ends with the last view."""
    views = list(_views)
    for view in views:
        if view.waiting():
            view.redraw()
    if not views:
        return None
    return TICK_SECONDS if runtime.session.state == READY else SLOW_TICK_SECONDS


def unregister() -> None:
    """Stop the timer and give the streams back."""
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for view in list(_views):
        view.close()
    release()
