"""Gaussian Head: one portrait photo becomes a rigged 3D Gaussian head in Blender.

Copyright 2026 The gshead authors. GPL-3.0-or-later.
"""

from __future__ import annotations

from . import (
    compositing_guard,
    engine,
    keying,
    live,
    operators,
    overlay,
    panel_render,
    panels,
    preferences,
    render_settings,
    runtime,
    screen,
    usd_hook,
)

_MODULES = (
    *(preferences, runtime, render_settings, engine, overlay, compositing_guard),
    *(keying, operators, usd_hook, panels, panel_render),
)


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
