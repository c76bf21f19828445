"""Frames of a scene: which ones play, going through them, and coming back. No bpy here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any


def played_frames(scene: Any) -> range:
    """The frames that play: the preview range where it is used, else the scene's."""
    if scene.use_preview_range:
        return range(scene.frame_preview_start, scene.frame_preview_end + 1)
    return range(scene.frame_start, scene.frame_end + 1)


def go_to(scene: Any, frame: float) -> None:
    """Set the current frame, fractions included."""
    scene.frame_set(int(frame // 1), subframe=frame % 1)


@contextlib.contextmanager
def coming_back(scene: Any) -> Iterator[None]:
    """Put the current frame back after the block."""
    before = scene.frame_current, scene.frame_subframe
    try:
        yield
    finally:
        scene.frame_set(before[0], subframe=before[1])


def evaluated(context: Any, frames: Iterable[float]) -> Iterator[Any]:
    """The depsgraph at every frame; the current frame is put back at the end."""
    with coming_back(context.scene):
        for frame in frames:
            go_to(context.scene, frame)
            yield context.evaluated_depsgraph_get()
