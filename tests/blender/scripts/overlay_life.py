"""Enabling and disabling the extension again and again, and what the overlay leaves in Blender."""

from __future__ import annotations

import importlib

import bpy
import common


def hooks() -> int:
    handlers = bpy.app.handlers
    names = ("depsgraph_update_post", "frame_change_post", "undo_post", "redo_post", "load_post")
    return sum("gshead" in str(f.__module__) for name in names for f in getattr(handlers, name))


def popovers() -> int:
    draws = getattr(bpy.types.VIEW3D_PT_overlay_object.draw, "_draw_funcs", [])
    return sum("gshead" in str(f.__module__) for f in draws)


def main() -> None:
    common.enable()
    enabled = []
    for _ in range(20):
        enabled.append([hooks(), popovers(), hasattr(bpy.types.Scene, "gshead_overlay")])
        bpy.ops.preferences.addon_disable(module=common.PACKAGE)
        enabled.append([hooks(), popovers(), hasattr(bpy.types.Scene, "gshead_overlay")])
        bpy.ops.preferences.addon_enable(module=common.PACKAGE)
    kept = enabled[::2], enabled[1::2]
    colors = importlib.import_module(f"{common.PACKAGE}.colors")
    scene = bpy.context.scene
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Punchy"
    scene.view_settings.exposure = 0.5
    before = colors.changes(scene.view_settings)
    bpy.ops.gshead.keep_photo_colors()
    common.report(
        first=enabled[0],
        left=enabled[1],
        on=all(e == enabled[0] for e in kept[0]),
        off=all(e == enabled[1] for e in kept[1]),
        colors=[before, colors.changes(scene.view_settings)],
    )


common.run(main)
