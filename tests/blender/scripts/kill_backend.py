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
    made.rig.pose.bones["jawOpen"].keyframe_insert("location", index=1, frame=1)
    session = common.module("runtime").session
    bpy.ops.gshead.start_backend()
    client = session.current().threaded
    pid, ask, died = client.endpoint.pid, client.render, {}

    def ask_and_kill(*args, **kwargs):
        """Frame 5 is surely under way when its backend is killed: it was frozen before it could answer."""
        if scene.frame_current != 5:
            return ask(*args, **kwargs)
        os.kill(pid, signal.SIGSTOP)
        request = ask(*args, **kwargs)
        died["at"] = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return request

    client.render = ask_and_kill
    try:
        bpy.ops.render.render(animation=True)
        message = ""
    except RuntimeError as error:
        message = str(error)
    took = time.monotonic() - died["at"]
    first = sorted(p.name for p in out.glob("*.png"))
    state = session.state

    def kill_between_frames(scene, *_) -> None:
        if scene.frame_current == 5:
            client = session.current()
            os.kill(client.threaded.endpoint.pid, signal.SIGKILL)
            while client.alive:
                time.sleep(0.01)

    bpy.app.handlers.render_pre.append(kill_between_frames)
    scene.frame_end = 6
    bpy.ops.render.render(animation=True)
    # A closure over bpy that outlives Blender would keep the 4.5 wheel from quitting.
    bpy.app.handlers.render_pre.clear()
    del client.render
    second = sorted(p.name for p in out.glob("*.png"))
    common.report(message=message, took=took, first=first, second=second, state=state,
                  new_pid=session.current().threaded.endpoint.pid != pid)  # fmt: skip


common.run(main)
