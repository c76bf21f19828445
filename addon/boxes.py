"""Meshes of heads are boxes while the backend draws their splats in viewports; otherwise, and in files, whole."""

from __future__ import annotations

from typing import Any

import bpy

from . import runtime, storage
from .session import READY

PROPERTY = "gshead_overlay"
_checked: tuple[Any, ...] = ()


def update() -> None:
    """Make boxes of the meshes that splats stand for, and meshes of boxes; quick when nothing has changed."""
    global _checked
    scenes = tuple((scene.as_pointer(), getattr(scene, PROPERTY)) for scene in bpy.data.scenes)
    state = (runtime.session.state == READY, len(bpy.data.objects), scenes)
    if state == _checked:
        return
    _checked = state
    for scene in bpy.data.scenes:
        box = state[0] and getattr(scene, PROPERTY) and not bpy.app.background
        for obj in scene.objects:
            if storage.is_head(obj) and obj.library is None and obj.display_type in ("TEXTURED", "BOUNDS"):
                wanted = "BOUNDS" if box else "TEXTURED"
                if obj.display_type != wanted:
                    obj.display_type = wanted


def look_again() -> None:
    """Undo or a file may have brought back old settings."""
    global _checked
    _checked = ()


def show_meshes() -> None:
    """Every mesh is whole."""
    for obj in bpy.data.objects:
        if storage.is_head(obj) and obj.library is None and obj.display_type == "BOUNDS":
            obj.display_type = "TEXTURED"


@bpy.app.handlers.persistent
def _before_saving(*_: Any) -> None:
    show_meshes()  # who opens the file without the extension sees heads, not boxes


@bpy.app.handlers.persistent
def _after_saving(*_: Any) -> None:
    look_again()
    update()


def _hooks() -> list[tuple[list[Any], Any]]:
    handlers = bpy.app.handlers
    return [
        (handlers.save_pre, _before_saving), (handlers.save_post, _after_saving),
        (handlers.save_post_fail, _after_saving),
    ]  # fmt: skip


def register() -> None:
    for hook, function in _hooks():
        hook.append(function)


def unregister() -> None:
    for hook, function in _hooks():
        if function in hook:
            hook.remove(function)
    show_meshes()
