"""Gaussian Head: one portrait photo becomes a rigged 3D Gaussian head in Blender.

Copyright 2026 The gshead authors. GPL-3.0-or-later.
"""

from __future__ import annotations

from . import engine, keying, live, operators, overlay, panels, preferences, runtime, screen

_MODULES = (preferences, runtime, engine, overlay, keying, operators, panels)


def register() -> None:
    """Called by Blender when the extension is enabled."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled; leaves nothing running."""
    live.unregister()
    for module in reversed(_MODULES):
        module.unregister()
    screen.release()
