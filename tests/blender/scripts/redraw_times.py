"""For ``python -m benchmarks run --only redraw``, in a bpy wheel: Python milliseconds of the overlay's redraws.

The picture is drawn into a small offscreen buffer, so that software drawing does not count, and uploaded whole.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import bpy
import common
import gpu
import numpy as np
from mathutils import Matrix

rows: list[tuple[str, list[float]]] = []


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def uploads(label: str, width: int, height: int) -> None:
    """The upload of a frame: two floats a pixel packed in the redraw (as it was), and packed before (as it is)."""
    screen, texels = common.module("screen"), common.module("texels")
    rgba = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)

    def two_floats() -> None:
        words = rgba.view("<u4").reshape(-1)
        out = np.empty((words.size, 2), np.float32)
        out[:, 0], out[:, 1] = words & np.uint32(0xFFFFFF), words >> np.uint32(24)
        buffer = gpu.types.Buffer("FLOAT", 2 * width * height, out.reshape(-1))
        gpu.types.GPUTexture((width, height), format="RG32F", data=buffer)

    picture, made = screen.Picture(), texels.texels(rgba, np.ones((height, width), np.float32))

    def packed() -> None:
        picture.set(made)
        picture._upload()

    color = texels.Texels(made.size, made.place, made.color)

    def packed_color() -> None:
        picture.set(color)
        picture._upload()

    for name, call in (
        (f"{label}, upload, two floats a pixel packed in the redraw", two_floats),
        (f"{label}, upload, packed before: color", packed_color),
        (f"{label}, upload, packed before: color and depth", packed),
        (f"{label}, packing on the I/O thread", lambda: texels.texels(rgba)),
    ):
        call()
        rows.append((name, [milliseconds(call) for _ in range(25)]))


def redraws(width: int, height: int) -> None:
    """A keyed head: reading it, redraws that ask, that find nothing new and that receive a frame."""
    live, reading, camera = common.module("live"), common.module("reading"), common.module("camera")
    final, session = common.module("final"), common.module("runtime").session
    made = common.module("heads").load_head_file(bpy.context, common.ARGS["avatar"])
    session.client(start=True)
    view = live.LiveView(lambda: None, depth=True)
    view._pace.wish = lambda: (1.0, 0)  # every frame whole
    window = Matrix(((2.0, 0, 0, 0), (0, 2.0 * width / height, 0, 0), (0, 0, -1.002, -0.2002), (0, 0, -1, 0)))
    look = Matrix(((1, 0, 0, 0), (0, 0, 1, 0.0), (0, -1, 0, -0.7), (0, 0, 0, 1)))
    offscreen = gpu.types.GPUOffScreen(64, 64, format="RGBA8")
    times: dict[str, list[float]] = {name: [] for name in ("quick", "thorough", "ask", "nothing", "receive")}

    def redraw() -> None:
        eye = camera.viewport_camera(window, look, width, height)
        view.exchange(eye)
        view.picture.draw_overlay(camera.depth_to_ndc(window, look, eye))

    def read(thorough: bool) -> Any:
        return final.wire_heads(reading.read_heads(depsgraph, thorough=thorough))

    with offscreen.bind():
        for turn in range(25):
            common.module("rig.controls").set_channels(made.rig, {"jawOpen": 0.02 * turn, "mouthSmileLeft": 0.5})
            bpy.context.view_layer.update()
            depsgraph = bpy.context.evaluated_depsgraph_get()
            times["thorough"].append(milliseconds(lambda: read(True)))
            times["quick"].append(milliseconds(lambda: view.show(read(False))))
            while view._stream.client is None or view._stream.number() is None or not view._wish:
                redraw()
                time.sleep(0.05)
            times["ask"].append(milliseconds(redraw))
            before = view._shown
            while view._shown < view._token:
                time.sleep(0.004)
                took = milliseconds(redraw)
                times["nothing" if view._shown == before else "receive"].append(took)
                before = view._shown
    offscreen.free()
    label = f"{width} x {height}, {len(made.mesh.data.vertices):,} vertices"
    for key, name in (
        ("thorough", "reading a head, every vertex compared (when it rests)"), ("quick", "reading a head (moving)"),
        ("ask", "redraw that asks for a frame"), ("nothing", "redraw without news"),
        ("receive", "redraw that receives a frame with depth"),
    ):  # fmt: skip
        rows.append((f"{label}, {name}", times[key][3:]))
    view.close()
    session.stop()


def main() -> None:
    common.enable()
    if hasattr(gpu, "init"):
        gpu.init()
    else:
        scene = bpy.context.scene
        scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        scene.collection.objects.link(scene.camera)
        scene.render.engine, scene.render.resolution_x, scene.render.resolution_y = "BLENDER_WORKBENCH", 16, 16
        bpy.ops.render.render()
    uploads("1080p", 1920, 1080)
    uploads("4K", 3840, 2160)
    redraws(1920, 1080)
    common.module("screen").release()
    summary = [
        [name, statistics.median(times), sorted(times)[int(0.9 * (len(times) - 1))], len(times)] for name, times in rows
    ]
    print("\n" + json.dumps({"rows": summary, "blender": bpy.app.version_string}), flush=True)


common.run(main)
