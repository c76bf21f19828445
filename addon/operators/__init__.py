"""Operators: thin faces of functions that scripts can call as well. Errors are reported, never raised at the user."""

from __future__ import annotations

import bpy

from . import (
    animation,
    avatars,
    backend,
    bakes,
    caching,
    checking,
    compositing,
    controls,
    display,
    face_mesh,
    farm,
    files,
    picking,
    problems,
    reconstruct,
    reenact,
    takes,
    usd,
)

_PARTS = (
    *(backend, reconstruct, files, avatars, animation, controls, takes, reenact, bakes, usd, face_mesh, display),
    *(caching, problems, checking, compositing, picking, farm),
)
CLASSES = tuple(cls for part in _PARTS for cls in part.CLASSES)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    usd.register_menus()
    picking.register()


def unregister() -> None:
    picking.unregister()
    usd.unregister_menus()
    if bpy.app.timers.is_registered(checking.redraw_preferences):
        bpy.app.timers.unregister(checking.redraw_preferences)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
