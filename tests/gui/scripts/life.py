"""Runs in Blender's window: a backend killed during playback, cached frames, dialogs, panels, preferences."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import stage
from stage import ARGS, FRONT, OUT, look, module, screen, until_shown

FRAMES = range(1, 7)
report: dict[str, Any] = {}


def steps() -> Iterator[float]:
    """The whole session; what it saw goes to ``report.json``."""
    area, rig = set_scene()
    yield 0.3
    look(area, "PERSP", FRONT)
    yield from frames_drawn(area)
    yield from killed_during_playback(area, rig)
    yield from frames_without_backend(area)
    yield from panels(area, rig)
    yield from dialogs(area)
    yield from preferences()
    stage.report(report)


def set_scene() -> tuple[Any, Any]:
    """The head, opening its mouth over the timeline, in Solid shading."""
    scene, window = bpy.context.scene, bpy.context.window_manager.windows[0]
    for obj in list(scene.objects):
        bpy.data.objects.remove(obj)
    area = next(a for a in window.screen.areas if a.type == "VIEW_3D")
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.gshead.load_avatar(filepath=ARGS["avatar"])
    rig = bpy.context.object
    for frame, value in ((FRAMES[0], 0.0), (FRAMES[-1], 1.0)):
        module("rig.controls").set_channels(rig, {"jawOpen": value})
        module("takes").key_everything(rig, frame)
    scene.frame_start, scene.frame_end = FRAMES[0], FRAMES[-1]
    space = area.spaces.active
    space.overlay.show_floor = space.overlay.show_text = space.show_gizmo = False
    space.show_region_ui = False
    rig.hide_set(True)
    return area, rig


def middle() -> np.ndarray:
    """The part of the screen with the head, above the notice."""
    return screen()[230:640, 330:720]


def frames_drawn(area: Any) -> Iterator[float]:
    """Every frame once, at rest, so that it is kept."""
    for frame in FRAMES:
        bpy.context.scene.frame_set(frame)
        yield from until_shown(area)
        np.save(OUT / f"frame{frame}.npy", middle())
    module("runtime").frames.wait()
    report["cached"] = module("runtime").frames.size()


def killed_during_playback(area: Any, rig: Any) -> Iterator[float]:
    """Python's time in redraws and timers while the backend dies and comes back, with nobody touching anything."""
    runtime, live, overlay = module("runtime"), module("live"), module("overlay")
    runtime.frames.clear()
    runtime.frames.wait()
    kept, runtime.frames = runtime.frames, None  # the backend has to come back, not the cache
    costs: list[tuple[float, float]] = []
    inner_read, inner_exchange = overlay._read, live.LiveView.exchange

    def timed(call: Any) -> Any:
        def wrapped(*args: Any) -> Any:
            wall, busy = time.perf_counter(), time.thread_time()
            try:
                return call(*args)
            finally:
                costs.append((1e3 * (time.perf_counter() - wall), 1e3 * (time.thread_time() - busy)))

        return wrapped

    overlay._read, live.LiveView.exchange = timed(inner_read), timed(inner_exchange)
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.screen.animation_play()
    yield 1.0
    client = runtime.session.current()
    os.kill(client.threaded.endpoint.pid, 9)
    died, frames = time.monotonic(), set()
    while runtime.session.current() in (client, None):
        frames.add(bpy.context.scene.frame_current)
        yield 0.02
    back = time.monotonic()
    view = next(iter(module("ticker").views))
    while not view._shown:
        yield 0.02
    report["killed"] = {"frames_meanwhile": len(frames), "backend": back - died, "picture": time.monotonic() - died}
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.screen.animation_cancel(restore_frame=False)
    overlay._read, live.LiveView.exchange = inner_read, inner_exchange
    report["redraws"] = [len(costs), max(c[0] for c in costs), max(c[1] for c in costs)]
    runtime.frames = kept
    yield from cached_by_operator(area)
    yield from frames_drawn(area)


def cached_by_operator(area: Any) -> Iterator[float]:
    """Cache Frames, from an empty cache."""
    frames = module("runtime").frames
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area):
        bpy.ops.gshead.cache_frames("EXEC_DEFAULT")
    started = time.monotonic()
    while frames.size()[0] < len(FRAMES) and time.monotonic() - started < 40:
        yield 0.1
    yield 1.0
    report["cached_again"] = frames.size()


def frames_without_backend(area: Any) -> Iterator[float]:
    """The same frames again from the disk, after the backend has gone for good."""
    runtime = module("runtime")
    bpy.ops.gshead.stop_backend()
    runtime.frames.wait()
    with runtime.frames._lock:
        runtime.frames._memory.clear()
        runtime.frames._memory_bytes = 0
    seconds = []
    view = next(iter(module("ticker").views))
    for frame in reversed(FRAMES):
        bpy.context.scene.frame_set(frame)
        started = time.monotonic()
        yield 0.01
        while not view._kept and time.monotonic() - started < 5:
            yield 0.01
        seconds.append(time.monotonic() - started)
        yield 0.6
        np.save(OUT / f"again{frame}.npy", middle())
        if frame == 4:
            np.save(OUT / "offline.npy", screen())
    report["offline"] = {"seconds": seconds, "state": runtime.session.state}


def dialogs(area: Any) -> Iterator[float]:
    """A photo that was dropped, and an error that a user caused."""
    window = bpy.context.window_manager.windows[0]
    region = next(r for r in area.regions if r.type == "WINDOW")
    window.cursor_warp(150, 250)
    yield 0.3
    with bpy.context.temp_override(window=window, area=area, region=region):
        try:
            bpy.ops.gshead.load_avatar("EXEC_DEFAULT", filepath="/data/somebody/heads/Grace Hopper.gshead")
        except RuntimeError as error:
            report["refused"] = str(error)
        result = bpy.ops.gshead.attach("INVOKE_DEFAULT", armature="Nobody")
    report["invoked"] = list(result)
    yield 1.0
    np.save(OUT / "problem.npy", screen())
    report["problem"] = module("runtime").problem.what
    bpy.ops.gshead.copy_details()
    report["clipboard"] = bpy.context.window_manager.clipboard
    window.cursor_warp(700, 650)
    yield 0.3
    with bpy.context.temp_override(window=window, area=area, region=region):
        files = [{"name": Path(ARGS["portrait"]).name}]
        bpy.ops.wm.drop_import_file("INVOKE_DEFAULT", directory=str(Path(ARGS["portrait"]).parent), files=files)
    yield 1.0
    np.save(OUT / "menu.npy", screen())  # Blender asks which of its handlers and ours takes a photo
    window.cursor_warp(650, 450)
    yield 0.3
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.gshead.reconstruct("INVOKE_DEFAULT", filepath=ARGS["portrait"])
    yield 1.0
    np.save(OUT / "drop.npy", screen())


def panels(area: Any, rig: Any) -> Iterator[float]:
    """The sidebar with a head, and as it is on the first day."""
    rig.hide_set(False)
    rig.select_set(True)
    bpy.context.view_layer.objects.active = rig
    space = area.spaces.active
    space.show_region_ui = True
    yield 0.5
    sidebar = next(r for r in area.regions if r.type == "UI")
    sidebar.active_panel_category = "Gaussian Head"
    area.tag_redraw()
    yield 1.0
    np.save(OUT / "sidebar.npy", screen())
    os.environ["GSHEAD_BACKEND_COMMAND"], kept = '["gshead-nowhere", "serve"]', os.environ["GSHEAD_BACKEND_COMMAND"]
    module("runtime").configure(module("preferences").current())
    bpy.context.view_layer.objects.active = None
    rig.select_set(False)
    area.tag_redraw()
    yield 3.0
    area.tag_redraw()
    yield 0.5
    np.save(OUT / "firstday.npy", screen())
    os.environ["GSHEAD_BACKEND_COMMAND"] = kept
    space.show_region_ui = False
    bpy.context.view_layer.objects.active = rig
    rig.select_set(True)
    module("runtime").configure(module("preferences").current())


def preferences() -> Iterator[float]:
    """Check Installation in the preferences, with the window alive meanwhile."""
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window):
        bpy.ops.preferences.addon_show(module=stage.PACKAGE)
    yield 1.0
    bpy.ops.gshead.check_installation()
    job, ticks = module("runtime").checkup, 0
    while not job.done:
        ticks += 1
        yield 0.05
    yield 1.5
    np.save(OUT / "preferences.npy", screen())
    report["checkup"] = {"ticks": ticks, "error": str(job.error or ""), "checks": len(job.checks)}


stage.play(steps)
