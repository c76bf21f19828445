"""Operators: thin faces of functions that scripts can call as well. Errors are reported, never raised at the user."""

from __future__ import annotations

import bpy

from . import animation, backend, bakes, controls, display, files, reconstruct, reenact, takes, usd

CLASSES = (*backend.CLASSES, *reconstruct.CLASSES, *files.CLASSES, *animation.CLASSES, *controls.CLASSES,
           *takes.CLASSES, *reenact.CLASSES, *bakes.CLASSES, *usd.CLASSES, *display.CLASSES)  # fmt: skip


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
