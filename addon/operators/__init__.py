"""Operators: thin faces of functions that scripts can call as well. Errors are reported, never raised at the user."""

from __future__ import annotations

import bpy

from . import animation, avatars, backend, bakes, controls, display, files, reconstruct, reenact, takes, usd

_PARTS = (backend, reconstruct, files, avatars, animation, controls, takes, reenact, bakes, usd, display)
CLASSES = tuple(cls for part in _PARTS for cls in part.CLASSES)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
