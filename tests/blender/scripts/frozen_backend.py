"""A render whose backend is frozen: it fails by name, Blender goes on meanwhile, the next one has a new backend."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import bpy
import common
import render_setup


def main() -> None:
    out = Path(common.ARGS["out"])
    render_setup.scene_with_head(size=64)
    from gshead_backend.protocol import loop

    loop.SILENCE_LIMIT = 5.0
    scene, session, live = bpy.context.scene, common.module("runtime").session, common.module("live")
    final, reading, camera = common.module("final"), common.module("reading"), common.module("camera")
    bpy.ops.gshead.start_backend()
    render_setup.render_exr(out / "before.exr")
    pid = session.current().threaded.endpoint.pid
    os.kill(pid, signal.SIGSTOP)

    view, longest = live.LiveView(lambda: None, depth=True), 0.0
    for _ in range(60):  # a viewport redraws, the timeline moves, the file is saved: nothing of it waits
        began = time.monotonic()
        scene.frame_set(scene.frame_current + 1)
        scene.camera.location.x += 0.001
        bpy.context.view_layer.update()
        view.show(final.wire_heads(reading.read_heads(bpy.context.evaluated_depsgraph_get())))
        view.exchange(camera.render_camera(scene.camera, scene.render))
        longest = max(longest, time.monotonic() - began)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "saved.blend"))

    began = time.monotonic()
    try:
        render_setup.render_exr(out / "frozen.exr")
        message = ""
    except RuntimeError as error:
        message = str(error)
    failed = time.monotonic() - began
    view.close()
    began = time.monotonic()
    render_setup.render_exr(out / "after.exr")
    common.report(
        longest=longest, message=message, failed=failed, replaced=time.monotonic() - began,
        written=sorted(p.name for p in out.glob("*.exr")), pid=pid, new=session.current().threaded.endpoint.pid,
    )  # fmt: skip


common.run(main)
