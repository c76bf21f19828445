"""A final frame: heads of the depsgraph through the backend into Blender's render result."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from gshead_backend import __version__
from gshead_backend.camera import Camera

from . import compat, compose, render_settings, runtime, storage
from .camera import render_camera, render_region
from .heads import PosedHead, visible_heads
from .sampling import Average, Sample, fill_depth, masks, samples, thin_lens
from .session import instance
from .shadow_casters import shadows_on
from .world import background

HEADS_DEPTH = "Heads Depth"  # continued beyond the heads' outlines, for the compositor
MOST_MASKS = 16
PROVENANCE = f"gshead {__version__}: a computed picture of a person, made from a photograph"
"""Written into every saved frame's metadata, as ``gshead``."""


def render_frame(engine: Any, depsgraph: Any) -> None:
    """Render the depsgraph's frame, every view of it, into ``engine``'s result.

    Raises ``GsheadError`` for everything that would leave the picture incomplete; ``Cancelled`` when the user stopped.
    """
    scene = depsgraph.scene_eval
    started = time.perf_counter()
    engine.update_stats("Gaussian Head", "Reading the scene")
    frame, subframe = scene.frame_current, scene.frame_subframe
    render, settings = scene.render, render_settings.of(scene)
    shutter = render.motion_blur_shutter if render.use_motion_blur else None
    lens = _lens_in_use(engine, depsgraph)
    taken = samples(settings.samples, shutter=shutter, position=render.motion_blur_position, lens=lens)
    views = view_names(engine)
    shots = {view: _Shot(engine, depsgraph, view) for view in views}
    now, fallen = 0.0, []
    try:
        for number, sample in enumerate(taken):
            if sample.time != now:
                engine.frame_set(*_moment(frame + subframe + sample.time))
                now = sample.time
            heads = visible_heads(depsgraph)
            if number == 0:
                _warn(engine, [h.warning for h in heads])
                fallen = shadows_on(heads, depsgraph)
            if len(fallen) == len(heads):  # shadows are those of the shutter's middle
                heads = [replace(head, shadow=shadow) for head, shadow in zip(heads, fallen, strict=True)]
            for view in views:
                shots[view].take(sample, heads, f"sample {number} of {len(taken) - 1}" if len(taken) > 1 else "")
            engine.update_progress(number / len(taken))
    finally:
        if now != 0.0:
            engine.frame_set(frame, subframe)
    if notice := runtime.session.take_notice():
        engine.report({"WARNING"}, notice)
    for view in views:
        layers, depth = shots[view].average.result()
        shots[view].write(passes(engine, depsgraph, layers, depth))
    engine.get_result().stamp_data_add_field("gshead", PROVENANCE)
    engine.update_stats("Gaussian Head", f"{len(heads)} head(s) in {time.perf_counter() - started:.2f} s")


def passes(engine: Any, depsgraph: Any, layers: dict[str, np.ndarray], depth: np.ndarray) -> dict[str, np.ndarray]:
    """Flat arrays by the name of the pass."""
    scene = depsgraph.scene_eval
    behind = background(scene, compat.world_tree(scene.world))
    made = {"Combined": compose.combined_pass(layers.pop("rgba"), behind, compat.working_space()),
            "Depth": compose.depth_pass(depth)}  # fmt: skip
    if render_settings.of(scene).source is not None:
        made[HEADS_DEPTH] = compose.depth_pass(fill_depth(depth))
    return made | {name: compose.mask_pass(mask) for name, mask in layers.items()}


def pass_names(scene: Any, layer: Any) -> list[tuple[str, int, str, str]]:
    """(name, channels, their letters, kind) of the passes that a view layer of ``scene`` gets."""
    settings = render_settings.of(scene)
    names = [("Combined", 4, "RGBA", "COLOR")]
    if layer.use_pass_z:
        names.append(("Depth", 1, "Z", "VALUE"))
    if settings.source is not None:
        names.append((HEADS_DEPTH, 1, "Z", "VALUE"))
    if settings.use_masks:
        found = [o.name for o in scene.objects if storage.is_head(o) and not o.hide_render]
        names += [(mask_name(name), 1, "X", "VALUE") for name in sorted(found)[:MOST_MASKS]]
    return names


def mask_name(head: str) -> str:
    """The pass that holds the coverage of a head object; EXR separates names by dots."""
    return f"Mask {head.replace('.', '_')}"[:60]


def view_names(engine: Any) -> list[str]:
    """The views of this render: one without a name, or those of stereo and multi-view."""
    result = engine.begin_result(0, 0, 1, 1)
    names = [view.name for view in result.views]
    engine.end_result(result, cancel=True)
    return names or [""]


class _Shot:
    """One view of one frame: its samples' average and its way into the result."""

    def __init__(self, engine: Any, depsgraph: Any, view: str) -> None:
        self.engine, self.depsgraph, self.view = engine, depsgraph, view
        self.average = Average()
        self._last: tuple[Any, Any] | None = None
        self._size = 0, 0

    def take(self, sample: Sample, heads: list[PosedHead], note: str) -> None:
        """Draw one sample and take it into the average; a frame in which nothing moved is not drawn again."""
        camera = self._camera(sample)
        self._size = camera.width, camera.height
        key = (camera.K.tobytes(), camera.viewmat.tobytes(), *(_key(head) for head in heads))
        if self._last is None or self._last[0] != key:
            text = f"{len(heads)} head(s), {camera.width} x {camera.height}"
            self.engine.update_stats("Gaussian Head", ", ".join(filter(None, (text, self.view, note))))
            self._last = key, self._draw(camera, heads)
        layers, depth = self._last[1]
        self.average.add(layers, depth, sample.weight)

    def write(self, arrays: dict[str, np.ndarray]) -> None:
        """Fill this view's passes."""
        result = self.engine.begin_result(0, 0, *self._size, view=self.view)
        for layer in result.layers:  # of this view alone
            for render_pass in layer.passes:
                if render_pass.name in arrays:
                    render_pass.rect.foreach_set(arrays[render_pass.name])
        self.engine.end_result(result)

    def _camera(self, sample: Sample) -> Camera:
        engine, scene = self.engine, self.depsgraph.scene_eval
        engine.active_view_set(self.view)
        camera = _camera_object(engine, scene).evaluated_get(self.depsgraph)
        sharp = render_camera(camera, scene.render, matrix=engine.camera_model_matrix(camera),
                              shift_x=engine.camera_shift_x(camera))  # fmt: skip
        lens = None if sharp.orthographic else thin_lens(camera.data, focus_distance(camera))
        return sharp if lens is None or sample.lens == (0.0, 0.0) else lens.camera(sharp, sample.lens)

    def _draw(self, camera: Camera, heads: list[PosedHead]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        rgba, depth = self._frame(camera, heads)
        layers = {"rgba": rgba}
        if render_settings.of(self.depsgraph.scene_eval).use_masks:
            layers |= self._masks(camera, heads, rgba, depth)
        return layers, depth

    def _masks(self, camera: Camera, heads: list[PosedHead], rgba: np.ndarray, depth: np.ndarray) -> dict[str, Any]:
        names = sorted({head.name for head in heads})
        if len(names) > MOST_MASKS:
            _warn(self.engine, [f"{len(names)} heads: only the first {MOST_MASKS} by name have masks."])
        if len(names) < 2:
            return {mask_name(name): rgba[..., 3] for name in names}
        alone = [self._frame(camera, [h for h in heads if h.name == name]) for name in names]
        made = masks([rgba[..., 3] for rgba, _ in alone], [depth for _, depth in alone])
        return {mask_name(name): mask for name, mask in zip(names, made, strict=True)}

    def _frame(self, camera: Camera, heads: list[PosedHead]) -> tuple[np.ndarray, np.ndarray]:
        if not heads:
            return compose.empty_frame(camera.width, camera.height)
        frame = runtime.session.render(camera, wire_heads(heads), cancelled=self.engine.test_break)
        if frame.rgba.shape != (camera.height, camera.width, 4) or frame.depth is None:
            raise _wrong_frame(frame.rgba.shape, camera)
        return frame.rgba, frame.depth


def focus_distance(camera: Any) -> float:
    """Metres along an evaluated camera's axis to what is sharp: its focus object (or bone), else its distance."""
    dof = camera.data.dof
    if dof.focus_object is None:
        return dof.focus_distance
    target = dof.focus_object
    place = target.matrix_world.translation
    if dof.focus_subtarget and target.type == "ARMATURE" and dof.focus_subtarget in target.pose.bones:
        place = (target.matrix_world @ target.pose.bones[dof.focus_subtarget].matrix).translation
    matrix = camera.matrix_world.normalized()
    return abs((place - matrix.translation).dot(matrix.col[2].xyz))


def failed_frame(engine: Any, scene: Any) -> None:
    """Fill every view with the colour that nobody takes for a picture, before everything else."""
    _, _, width, height = render_region(scene.render)
    pixels = np.tile(np.array([1, 0, 1, 1], np.float32), width * height)
    near = np.zeros(width * height, np.float32)
    for view in view_names(engine):
        result = engine.begin_result(0, 0, width, height, view=view)
        for render_pass in (p for layer in result.layers for p in layer.passes):
            if render_pass.channels == 4:
                render_pass.rect.foreach_set(pixels)
            else:
                render_pass.rect.foreach_set(near)
        engine.end_result(result)


def _camera_object(engine: Any, scene: Any) -> Any:
    camera = getattr(engine, "camera_override", None) or scene.camera
    if camera is None:
        raise _no_camera()
    return camera


def _lens_in_use(engine: Any, depsgraph: Any) -> bool:
    """Whether frames are averaged over the lens; says what of its settings cannot be followed."""
    camera = _camera_object(engine, depsgraph.scene_eval).evaluated_get(depsgraph)
    dof = camera.data.dof
    if not dof.use_dof:
        return False
    if camera.data.type != "PERSP":
        _warn(engine, [f"Camera '{camera.name}' has Depth of Field on and is not a perspective camera: "
                       "heads are drawn sharp."])  # fmt: skip
        return False
    if dof.aperture_blades > 2:
        _warn(engine, [f"Camera '{camera.name}' has an aperture of {dof.aperture_blades} blades: "
                       "heads are blurred by a round one."])  # fmt: skip
    return focus_distance(camera) > 0


def _moment(time: float) -> tuple[int, float]:
    frame = int(np.floor(time))
    return frame, min(float(time - frame), 0.999999)


def _key(head: PosedHead) -> tuple[Any, ...]:
    vertices = b"" if head.state.vertices is None else head.state.vertices.tobytes()
    light = b"" if head.light is None else head.light.tobytes()
    where = head.matrix.tobytes(), head.state.pose.to_vector().tobytes(), vertices
    return head.name, head.stored.avatar_id, *where, light, head.light_strength


def _warn(engine: Any, warnings: list[str]) -> None:
    for warning in filter(None, warnings):
        engine.report({"WARNING"}, warning)


def wire_heads(heads: list[PosedHead]) -> list[tuple[Any, bytes]]:
    """What the session sends for each head, with the avatar's bytes in case the backend lacks them."""
    return [
        (
            instance(
                h.stored.avatar_id, h.matrix, h.state.pose, h.state.vertices, h.light, h.light_strength, h.shadow
            ),
            h.stored.data,
        )
        for h in heads
    ]  # fmt: skip


def _no_camera() -> Exception:
    from gshead_backend.errors import ArgumentError

    return ArgumentError("The scene has no camera.", remedy="Add one and make it the scene's active camera.")


def _wrong_frame(shape: tuple[int, ...], view: Any) -> Exception:
    from gshead_backend.errors import RenderError

    return RenderError(f"The backend sent a frame of shape {shape} for a camera of {view.width} x {view.height}.")
