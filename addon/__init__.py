"""Gaussian Head: one portrait photo becomes a rigged 3D Gaussian head in Blender.

Copyright 2026 The gshead authors. GPL-3.0-or-later.
"""

from __future__ import annotations

from . import (
    boxes,
    compositing_guard,
    engine,
    keying,
    lighting,
    operators,
    overlay,
    panel_render,
    panels,
    preferences,
    render_settings,
    runtime,
    screen,
    telling,
    ticker,
    usd_hook,
)

_MODULES = (
    *(preferences, runtime, telling, render_settings, lighting, engine, overlay, boxes, compositing_guard),
    *(keying, operators, usd_hook, panels, panel_render),
)


def register() -> None:
    """Called by Blender when the extension is enabled."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled; leaves nothing running."""
    ticker.unregister()
    for module in reversed(_MODULES):
        module.unregister()
    screen.release()
