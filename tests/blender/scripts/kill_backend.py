"""An animation render whose backend is killed in the middle (by the test), then a second try."""

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
    made = render_setup.scene_with_head(size=64)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 40
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(out / "####.png")
    made.rig.keyframe_insert('["jawOpen"]', frame=1)
    session = common.module("runtime").session
    bpy.ops.gshead.start_backend()
    pid = session.current().threaded.endpoint.pid
    workers = [w.pid for w in session.client().threaded.beat.workers] if session.client().threaded.beat else []
    died = {}

    def kill(scene, *_) -> None:
        if scene.frame_current == 5 and not died:
            died["at"] = time.monotonic()
            os.kill(pid, signal.SIGKILL)

    bpy.app.handlers.render_pre.append(kill)
    try:
        bpy.ops.render.render(animation=True)
        message = ""
    except RuntimeError as error:
        message = str(error)
    took = time.monotonic() - died["at"]
    first = sorted(p.name for p in out.glob("*.png"))
    state = session.state
    bpy.app.handlers.render_pre.remove(kill)
    scene.frame_end = 6
    bpy.ops.render.render(animation=True)
    second = sorted(p.name for p in out.glob("*.png"))
    common.report(message=message, took=took, first=first, second=second, state=state, workers=workers,
                  new_pid=session.current().threaded.endpoint.pid != pid)  # fmt: skip


main()
