"""What the viewport's shader draws, read back from an offscreen buffer (llvmpipe): exact bytes to scene-linear."""

from __future__ import annotations

import bpy
import common
import gpu
import numpy as np


def main() -> None:
    common.enable()
    if hasattr(gpu, "init"):
        gpu.init()
    else:  # a tiny Workbench render makes a context in 4.5 and 5.0
        scene = bpy.context.scene
        camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        scene.collection.objects.link(camera)
        scene.camera, scene.render.engine = camera, "BLENDER_WORKBENCH"
        scene.render.resolution_x = scene.render.resolution_y = 16
        bpy.ops.render.render()
    screen = common.module("screen")
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (16, 32, 4), dtype=np.uint8)
    frame[0, 0] = 255
    frame[0, 1] = 0
    frame[0, 2] = 128, 128, 128, 255
    results = {}
    for name, background in (("clear", None), ("over", np.array([0.2, 0.4, 0.6]))):
        offscreen = gpu.types.GPUOffScreen(32, 16, format="RGBA32F")
        with offscreen.bind():
            gpu.state.active_framebuffer_get().clear(color=(0, 0, 0, 0))
            picture = screen.Picture()
            picture.set(frame)
            picture.draw(32, 16, background)
            buffer = gpu.state.active_framebuffer_get().read_color(0, 0, 32, 16, 4, 0, "FLOAT")
        results[name] = np.array(buffer.to_list(), np.float32).reshape(16, 32, 4)[::-1]
        offscreen.free()
    encoded = frame / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    wanted = np.concatenate([linear[..., :3], encoded[..., 3:]], -1)
    over = wanted + (1 - wanted[..., 3:]) * np.array([0.2, 0.4, 0.6, 1.0])
    del picture, buffer, offscreen  # before the graphics context goes
    screen.release()
    common.report(
        clear=float(np.abs(results["clear"] - wanted).max()),
        over=float(np.abs(results["over"] - over).max()),
        grey=results["clear"][0, 2].tolist(),
    )


common.run(main)
