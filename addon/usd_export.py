"""A head's animation sampled from the depsgraph and written as USD with Blender's own OpenUSD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gshead_backend.camera import Camera
from gshead_backend.errors import ArgumentError
from gshead_backend.head import HeadPose

from . import compat, storage
from .camera import render_camera
from .rig.axes import head_to_world
from .rig.read_pose import read_state
from .takes import scene_fps
from .timeline import evaluated
from .usd_lights import lights_of


@dataclass
class Samples:
    """One entry a frame: pose, vertices where the mesh is deformed by more, head space to world, and camera."""

    poses: list[HeadPose] = field(default_factory=list)
    transforms: list[np.ndarray] = field(default_factory=list)
    cameras: list[Camera] = field(default_factory=list)
    vertices: list[np.ndarray | None] = field(default_factory=list)


def sample_head(context: Any, mesh_object: Any, frames: range, *, with_camera: bool = True) -> Samples:
    """Evaluate the scene at every frame and read the head; the current frame is put back afterwards."""
    scene = context.scene
    avatar = storage.read(mesh_object.data).avatar
    samples = Samples()
    for depsgraph in evaluated(context, frames):
        state = read_state(mesh_object, avatar, depsgraph)
        samples.poses.append(state.pose)
        world = np.array(mesh_object.evaluated_get(depsgraph).matrix_world, np.float64)
        samples.transforms.append(head_to_world(world))
        samples.vertices.append(state.vertices)
        if with_camera and scene.camera is not None:
            samples.cameras.append(render_camera(scene.camera.evaluated_get(depsgraph), scene.render))
    return samples


def export_head(
    context: Any, mesh_object: Any, path: str | Path, *, mode: str = "baked", precision: str = "float",
    frames: range | None = None, with_camera: bool = True, with_lights: bool = True, texture: bool = True,
    chunk: int = 24, progress: Callable[[float, str], None] | None = None,
) -> Samples:  # fmt: skip
    """Write the head over ``frames`` (the scene's range by default) to a USD file in Blender's own axes.

    Raises ``GsheadError``; then no file is left.
    """
    frames = checked_frames(context, frames)
    from gshead_backend.export.usd import export_usd  # the writers load when something is exported

    pxr = compat.bundled_pxr()
    samples = sample_head(context, mesh_object, frames, with_camera=with_camera)
    export_usd(
        Path(path), storage.read(mesh_object.data).avatar, samples.poses, pxr=pxr,
        fps=scene_fps(context.scene), start_frame=frames.start, camera=samples.cameras or None,
        transform=samples.transforms, vertices=samples.vertices, mode=mode, precision=precision, up_axis="Z",
        lights=lights_of(context.evaluated_depsgraph_get()) if with_lights else (), texture=texture, chunk=chunk,
        progress=progress,
    )  # fmt: skip
    return samples


def checked_frames(context: Any, frames: range | None) -> range:
    """The frames, the scene's range by default. Raises ``ArgumentError`` when there are none."""
    if frames is None:
        frames = range(context.scene.frame_start, context.scene.frame_end + 1)
    if not len(frames):
        raise ArgumentError("The frame range is empty.", remedy="Set the scene's start and end frame.")
    return frames
