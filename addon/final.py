"""A final frame: heads of the depsgraph through the backend into Blender's render result."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from . import compat, compose, runtime
from .camera import render_camera
from .heads import PosedHead, visible_heads
from .session import instance
from .world import background


def render_frame(engine: Any, depsgraph: Any) -> None:
    """Render the depsgraph's frame into ``engine``'s result.

    Raises ``GsheadError`` for everything that would leave the picture incomplete; ``Cancelled`` when the user stopped.
    """
    scene = depsgraph.scene_eval
    started = time.perf_counter()
    engine.update_stats("Gaussian Head", "Reading the scene")
    heads = visible_heads(depsgraph)
    for head in heads:
        if head.warning:
            engine.report({"WARNING"}, head.warning)
    camera_object = engine.camera_override if _has_override(engine) else scene.camera
    if camera_object is None:
        raise _no_camera()
    view = render_camera(
        camera_object.evaluated_get(depsgraph), scene.render, matrix=engine.camera_model_matrix(camera_object),
        shift_x=engine.camera_shift_x(camera_object),
    )  # fmt: skip
    if heads:
        engine.update_stats("Gaussian Head", f"{len(heads)} head(s), {view.width} x {view.height}")
        frame = runtime.session.render(view, wire_heads(heads), cancelled=engine.test_break)
        if notice := runtime.session.take_notice():
            engine.report({"WARNING"}, notice)
        rgba, depth = frame.rgba, frame.depth
        if rgba.shape != (view.height, view.width, 4) or depth is None:
            raise _wrong_frame(rgba.shape, view)
    else:
        rgba, depth = compose.empty_frame(view.width, view.height)
    space = compat.working_space()
    behind = background(scene, compat.world_tree(scene.world))
    _write_result(engine, view.width, view.height, compose.combined_pass(rgba, behind, space), depth)
    engine.update_stats("Gaussian Head", f"{len(heads)} head(s) in {time.perf_counter() - started:.2f} s")


def wire_heads(heads: list[PosedHead]) -> list[tuple[Any, bytes]]:
    """What the session sends for each head, with the avatar's bytes in case the backend lacks them."""
    return [
        (instance(h.stored.avatar_id, h.matrix, h.state.pose, h.state.vertices), h.stored.data) for h in heads
    ]  # fmt: skip


def _has_override(engine: Any) -> bool:
    return getattr(engine, "camera_override", None) is not None


def _write_result(engine: Any, width: int, height: int, combined: np.ndarray, depth: np.ndarray) -> None:
    view = engine.active_view_get()
    result = engine.begin_result(0, 0, width, height, view=view)
    for layer in result.layers:
        for render_pass in layer.passes:
            if view and render_pass.view and render_pass.view != view:
                continue
            if render_pass.name == "Combined":
                render_pass.rect.foreach_set(combined)
            elif render_pass.name == "Depth":
                render_pass.rect.foreach_set(compose.depth_pass(depth))
    engine.end_result(result)


def _no_camera() -> Exception:
    from gshead_backend.errors import ArgumentError

    return ArgumentError("The scene has no camera.", remedy="Add one and make it the scene's active camera.")


def _wrong_frame(shape: tuple[int, ...], view: Any) -> Exception:
    from gshead_backend.errors import RenderError

    return RenderError(f"The backend sent a frame of shape {shape} for a camera of {view.width} x {view.height}.")
