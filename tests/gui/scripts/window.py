"""Runs in Blender's window: shows a head in Rendered shading from several sides, renders it, and quits.

Steps are a generator that a timer advances; what it yields is how long to wait, so the window lives in between.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Euler

sys.path.insert(0, str(Path(__file__).parent))
import stage
from stage import ARGS, FRONT, OUT, QUARTER, look, module, projected, screen, time_redraws, tokens, until_shown


def steps() -> Iterator[float]:
    """The whole session; what it saw goes to ``report.json``."""
    report: dict[str, Any] = {"views": {}}
    area, region = set_scene()
    milliseconds = time_redraws()
    yield 0.1
    start = time.monotonic()
    for name, (perspective, rotation) in {
        "front": ("PERSP", FRONT), "quarter": ("PERSP", QUARTER), "ortho": ("ORTHO", QUARTER),
        "camera": ("CAMERA", None),
    }.items():  # fmt: skip
        look(area, perspective, rotation)
        yield from until_shown(area)
        report.setdefault("first_frame_seconds", time.monotonic() - start)
        report["views"][name] = {"pixels": projected(area.spaces.active.region_3d, region), "tokens": tokens()}
        np.save(OUT / f"{name}.npy", screen())
    for turn in range(20):
        look(area, "PERSP", Euler((1.5707963, 0, 0.02 * turn)))
        yield 0.03
    report["redraw_ms"], report["redraws"] = statistics.median(milliseconds), len(milliseconds)
    yield from until_shown(area)
    yield from rendered(report)
    module("runtime").frames.clear()  # the new backend has to draw, not the cache
    module("runtime").frames.wait()
    client = module("runtime").session.current()
    os.kill(client.threaded.endpoint.pid, 9)
    session = module("runtime").session
    while session.current() in (client, None):
        yield 0.05
    yield from until_shown(area, touch=False)
    report["backends"] = [client.threaded.endpoint.pid, session.current().threaded.endpoint.pid]
    report["tokens_after_kill"] = tokens()
    yield from reconstructed(report, area)
    stage.report(report)


def reconstructed(report: dict[str, Any], area: Any) -> Iterator[float]:
    """A portrait becomes a head while the window lives: shown early, keyed meanwhile, undone once, and finished."""
    window = bpy.context.window_manager.windows[0]
    storage, known, started = module("storage"), set(bpy.data.objects.keys()), time.monotonic()

    def heads() -> list[Any]:
        return [o for o in bpy.data.objects if o.name not in known and storage.is_head(o)]

    for obj in bpy.data.objects:  # the painted head stands in the same place
        obj.hide_viewport = True
    look(area, "PERSP", FRONT)
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.gshead.reconstruct("EXEC_DEFAULT", filepath=ARGS["portrait"], quality="standard")
    while not heads():
        yield 0.1
    shown_after = time.monotonic() - started
    mesh = heads()[0]
    first, uid = storage.read(mesh.data).avatar_id, mesh.session_uid
    rig = module("heads").rig_of(mesh)
    module("rig.controls").set_channels(rig, {"jawOpen": 0.6})
    rig.pose.bones["jawOpen"].keyframe_insert("location", index=1, frame=1)
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.ed.undo_push(message="a key")
        bpy.ops.mesh.primitive_cube_add()
        bpy.ops.ed.undo_push(message="a cube")
        bpy.ops.ed.undo()
    yield from until_shown(area)
    np.save(OUT / "preview.npy", screen())

    def now() -> Any:
        return next((o for o in bpy.data.objects if o.session_uid == uid), None)

    while now() is not None and storage.read(now().data).avatar_id == first:
        yield 0.2
    done_after = time.monotonic() - started
    yield from until_shown(area)
    np.save(OUT / "finished.npy", screen())
    mesh = now()
    report["reconstruct"] = {
        "shown_after": shown_after, "done_after": done_after, "heads": len(heads()), "there": mesh is not None,
        "jaw": module("heads").rig_of(mesh)["jawOpen"] if mesh else None,
    }  # fmt: skip


def set_scene() -> tuple[Any, Any]:
    """The extension, the head, a camera and one 3D viewport without anything drawn over it."""
    scene, window = bpy.context.scene, bpy.context.window_manager.windows[0]
    for obj in list(scene.objects):
        bpy.data.objects.remove(obj)
    area = next(a for a in window.screen.areas if a.type == "VIEW_3D")
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.gshead.load_avatar(filepath=ARGS["avatar"])
    data = bpy.data.cameras.new("Camera")
    data.lens, data.shift_x = 85.0, 0.05
    camera = bpy.data.objects.new("Camera", data)
    camera.location, camera.rotation_euler = (0.1, -0.9, 0.05), (1.5707963, 0.0, 0.1)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine = "GSHEAD"
    scene.render.resolution_x, scene.render.resolution_y = 160, 120
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(OUT / "window.png")
    scene.view_settings.view_transform = "Standard"
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "scene.blend"))
    bpy.context.preferences.view.render_display_type = "NONE"
    space = area.spaces.active
    space.overlay.show_overlays = space.show_gizmo = False
    space.show_region_ui = space.show_region_toolbar = False
    space.shading.type = "RENDERED"
    return area, next(r for r in area.regions if r.type == "WINDOW")


def rendered(report: dict[str, Any]) -> Iterator[float]:
    """F12 as the key does it: modal, on a thread of its own, while the viewport goes on."""
    threads, ended = [], []
    engine = module("engine").final
    inner = engine.render_frame

    def watched(*args: Any) -> None:
        threads.append(threading.current_thread() is threading.main_thread())
        inner(*args)

    engine.render_frame = watched
    bpy.app.handlers.render_complete.append(lambda *_: ended.append(True))
    bpy.app.handlers.render_cancel.append(lambda *_: ended.append(False))
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window):
        bpy.ops.render.render("INVOKE_DEFAULT", write_still=True)
    while not ended:
        yield 0.05
    yield 0.2
    report["render"] = {"complete": ended, "on_main_thread": threads}


stage.play(steps)
