"""What live views owe the backend and the user, without a window: avatars, streams, and what went wrong."""

from __future__ import annotations

import time
from typing import Any

import bpy
import common
import render_setup


def main() -> None:
    made = render_setup.scene_with_head()
    from gshead_backend.errors import GsheadError, RenderError, UnknownIdError

    live, session = common.module("live"), common.module("runtime").session
    final, reading, camera = common.module("final"), common.module("reading"), common.module("camera")
    live.FIRST_PAUSE = 0.3
    client, puts, seen = session.client(start=True), [], {}
    real_put = client.threaded.avatar_put
    client.threaded.avatar_put = lambda data: (puts.append(len(data)), real_put(data))[1]
    scene = bpy.context.scene
    eye = camera.render_camera(scene.camera, scene.render)
    heads = final.wire_heads(reading.read_heads(bpy.context.evaluated_depsgraph_get()))
    avatar_id = heads[0][0].avatar_id

    def view_of(shown: list[Any]) -> Any:
        view = live.LiveView(lambda: None, depth=True)
        view.show(shown)
        return view

    def until(view: Any, done: Any, seconds: float = 20.0) -> list[str]:
        """Redraw as the timer does; what was told on the way, each once."""
        told, ends = [], time.monotonic() + seconds
        while not done() and time.monotonic() < ends:
            if (text := view.exchange(eye)) not in told:
                told.append(text)
            time.sleep(0.01)
        return told

    one, other = view_of(heads), view_of(heads)
    for view in (one, other):
        until(view, lambda view=view: view._shown and view.complete())
    seen["puts"] = len(puts)

    # a frame that the backend could not draw: told, and asked for again although nothing moves
    real_latest, failures = client.threaded.stream_latest, [RenderError("The device failed.")]

    def latest(*arguments: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return real_latest(*arguments, **options)

    client.threaded.stream_latest = latest
    scene.camera.location.x += 0.01
    bpy.context.view_layer.update()
    eye = camera.render_camera(scene.camera, scene.render)
    seen["told"] = one.exchange(eye)
    seen["spins"], seen["still_told"] = one.waiting(), one.exchange(eye)
    until(one, one.complete)
    seen["after"] = one.exchange(eye)

    # a head that the backend refuses, beside one that is there: told, and tried again after a while
    real_ready, refused = type(session.uploads(client)).ready, [RenderError("Too large.")]

    def ready(self: Any, *arguments: Any) -> bool:
        if refused:
            raise refused.pop()
        return real_ready(self, *arguments)

    type(session.uploads(client)).ready = ready
    third = view_of(heads)
    seen["refused"] = third.exchange(eye)
    until(third, third.complete)
    seen["after_refused"] = third.exchange(eye)
    type(session.uploads(client)).ready = real_ready

    # views that are closed before their streams are open leave none behind
    for _ in range(20):
        view = view_of(heads)
        view.exchange(eye)
        view.close()
    for view in (one, other, third):
        view.close()
    deadline = time.monotonic() + 5
    while client.threaded._streams and time.monotonic() < deadline:
        time.sleep(0.01)
    seen["streams"] = len(client.threaded._streams)
    client.stream_close(client.stream_open())

    # an empty view is complete once it was drawn: nobody waits for it
    empty = view_of([])
    empty.forget_wish()
    before = empty.complete()
    empty.exchange(eye)
    seen["empty"] = [before, empty.complete()]
    empty.close()

    # another file: the backend lets go of what it no longer uses
    seen["held"] = len(client.avatar_get(avatar_id)) > 0
    del made
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    try:
        client.avatar_get(avatar_id)
    except UnknownIdError:
        seen["dropped"] = True
    except GsheadError as error:
        seen["dropped"] = str(error)
    session.stop()
    common.report(**seen)


common.run(main)
