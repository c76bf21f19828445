"""A click on a head in Object Mode selects it."""

from __future__ import annotations

from typing import Any

import bpy

from .. import picking


class GSHEAD_OT_select_head(bpy.types.Operator):
    """Select the head whose splats are under the mouse"""

    bl_idname = "gshead.select_head"
    bl_label = "Select"  # what the status bar says of the mouse button
    bl_options = {"UNDO", "INTERNAL"}  # noqa: RUF012

    extend: bpy.props.BoolProperty(name="Extend", description="Keep what is selected", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        return context.mode == "OBJECT" and context.region_data is not None

    def invoke(self, context: Any, event: Any) -> set[str]:
        if event.type == "RIGHTMOUSE" and _select_mouse(context) != "RIGHT":
            return {"PASS_THROUGH"}  # the context menu's
        if event.type == "LEFTMOUSE" and _select_mouse(context) != "LEFT":
            return {"PASS_THROUGH"}
        found = picking.pick(context, event.mouse_region_x, event.mouse_region_y, extend=self.extend)
        return {"FINISHED"} if found else {"PASS_THROUGH"}


def _select_mouse(context: Any) -> str:
    preferences = context.window_manager.keyconfigs.active.preferences
    return getattr(preferences, "select_mouse", "LEFT")


CLASSES = (GSHEAD_OT_select_head,)
_keys: list[tuple[Any, Any]] = []


def register() -> None:
    config = bpy.context.window_manager.keyconfigs.addon
    if config is None:  # without a window
        return
    keymap = config.keymaps.new(name="Object Mode")
    for button in ("LEFTMOUSE", "RIGHTMOUSE"):
        for shift in (False, True):
            item = keymap.keymap_items.new(GSHEAD_OT_select_head.bl_idname, button, "CLICK", shift=shift)
            item.properties.extend = shift
            _keys.append((keymap, item))


def unregister() -> None:
    while _keys:
        keymap, item = _keys.pop()
        keymap.keymap_items.remove(item)
