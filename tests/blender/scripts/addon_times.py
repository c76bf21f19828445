"""For ``python -m benchmarks run --only blender``, in a bpy wheel: what the add-on costs there."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

import bpy
import common
import numpy as np
import render_setup

SIZE = (1920, 1080)


class ConstantEngine(bpy.types.RenderEngine):
    """What any engine costs at least: it hands Blender the same buffers for every frame."""

    bl_idname, bl_label, bl_use_postprocess = "GSHEAD_BENCHMARK_CONSTANT", "Constant", True
    buffers: tuple[np.ndarray, np.ndarray] | None = None

    def update_render_passes(self, scene: Any = None, renderlayer: Any = None) -> None:
        self.register_pass(scene, renderlayer, "Combined", 4, "RGBA", "COLOR")
        self.register_pass(scene, renderlayer, "Depth", 1, "Z", "VALUE")

    def render(self, depsgraph: Any) -> None:
        assert ConstantEngine.buffers is not None
        color, depth = ConstantEngine.buffers
        result = self.begin_result(0, 0, *SIZE)
        for render_pass in result.layers[0].passes:
            render_pass.rect.foreach_set(color if render_pass.name == "Combined" else depth)
        self.end_result(result)


def enable() -> None:
    """Seconds to enable the installed extension in a Blender that has just started."""
    common.enable()  # installs it the first time
    bpy.ops.preferences.addon_disable(module=common.PACKAGE)
    warm = [_enabled() for _ in range(5)]
    common.report(warm=statistics.median(warm))


def enable_cold() -> None:
    """The same with nothing of it loaded yet, as at the start of Blender: its wheels lie unpacked and compiled."""
    import addon_utils

    if common.PACKAGE in bpy.context.preferences.addons:
        raise SystemExit("The extension is already enabled.")
    # Disabling takes the wheels away; unpacking them again belongs to installing.
    addon_utils.extensions_refresh(ensure_wheels=True, addon_modules_pending=[common.PACKAGE])
    common.report(cold=_enabled())


def _enabled() -> float:
    start = time.perf_counter()
    bpy.ops.preferences.addon_enable(module=common.PACKAGE)
    seconds = time.perf_counter() - start
    assert common.PACKAGE in bpy.context.preferences.addons
    bpy.ops.preferences.addon_disable(module=common.PACKAGE)
    return seconds


def timeline() -> None:
    """A keyed head rendered by the engine, and the same frames by an engine that returns a constant buffer."""
    common.enable()
    scene, frames = bpy.context.scene, int(common.ARGS["frames"])
    bpy.ops.gshead.load_avatar(filepath=common.ARGS["avatar"])
    bpy.ops.gshead.import_take(filepath=common.ARGS["take"])
    render_setup.add_camera(scene, 64)
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.film_transparent = True
    scene.render.use_lock_interface = True
    bpy.context.view_layer.use_pass_z = True
    picture = np.zeros((SIZE[1], SIZE[0], 4), np.float32)
    picture[200:900, 600:1300] = (0.5, 0.3, 0.2, 1.0)
    picture[200:900, 600:1300, :3] += np.random.default_rng(0).normal(0, 0.02, (700, 700, 3))
    ConstantEngine.buffers = picture.ravel(), np.full(SIZE[0] * SIZE[1], 1.0, np.float32)
    bpy.utils.register_class(ConstantEngine)
    seconds: dict[str, float] = {}
    for kind in ("PNG", "OPEN_EXR_MULTILAYER"):
        _output(scene, kind)
        for engine in ("GSHEAD", ConstantEngine.bl_idname):
            scene.render.engine = engine
            scene.frame_start, scene.frame_end = 1, 2
            _rendered(scene, f"warm-{engine}")  # starts the backend, hands the head over
            scene.frame_end = frames
            seconds[f"{kind} {engine}"] = _rendered(scene, f"{kind}-{engine}") / frames
    common.report(frames=frames, seconds=seconds)


def _output(scene: Any, kind: str) -> None:
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE" if kind == "OPEN_EXR_MULTILAYER" else "IMAGE"
    settings.file_format = kind
    settings.color_mode = "RGBA"


def _rendered(scene: Any, name: str) -> float:
    scene.render.filepath = str(Path(common.ARGS["out"]) / f"{name}-")
    start = time.perf_counter()
    bpy.ops.render.render(animation=True)
    return time.perf_counter() - start


common.run({"enable": enable, "enable_cold": enable_cold, "timeline": timeline}[common.ARGS["what"]])
os._exit(0)  # the 4.5 wheel may hang while it tears down; the backend ends by itself
