"""A Blender in full swing, to be killed by the test: a frame, a stream and a reconstruction are under way."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import bpy
import common
import render_setup


def main() -> None:
    render_setup.scene_with_head(size=512)
    bpy.ops.gshead.start_backend()
    session, live = common.module("runtime").session, common.module("live")
    final, reading, camera = common.module("final"), common.module("reading"), common.module("camera")
    scene = bpy.context.scene
    render_setup.render_exr(Path(common.ARGS["out"]) / "one.exr")
    view = live.LiveView(lambda: None, depth=True)
    portrait = Path(common.ARGS["portrait"]).read_bytes()
    steps: list[str] = []

    def reconstruct() -> None:
        session.reconstruct(portrait, quality="standard", name="Ada", on_progress=lambda f, text: steps.append(text))

    threading.Thread(target=reconstruct, daemon=True).start()
    told = False
    while True:
        scene.camera.location.x += 0.001
        bpy.context.view_layer.update()
        view.show(final.wire_heads(reading.read_heads(bpy.context.evaluated_depsgraph_get())))
        view.exchange(camera.render_camera(scene.camera, scene.render))
        if steps and view._shown and not told:
            told = True
            print("UNDER WAY", flush=True)
        time.sleep(0.005)


common.run(main)
