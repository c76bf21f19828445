"""The sub-panel for final frames: heads in other engines' renders, blur, masks."""

from __future__ import annotations

from typing import Any

import bpy

from . import compositing, render_settings


class GSHEAD_PT_final(bpy.types.Panel):
    """Final frames"""

    bl_label = "Final Frames"
    bl_idname = "GSHEAD_PT_final"
    bl_parent_id = "GSHEAD_PT_render"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Gaussian Head"

    def draw(self, context: Any) -> None:
        layout, scene = self.layout, context.scene
        settings = render_settings.of(scene)
        column = layout.column(align=True)
        if compositing.is_set_up(scene):
            column.operator("gshead.add_to_compositor", text="Update Heads in Compositor", icon="FILE_REFRESH")
            column.operator("gshead.remove_from_compositor", icon="X")
        else:
            column.operator("gshead.add_to_compositor", icon="NODE_COMPOSITING")
        layout.prop(scene.render, "use_motion_blur")
        column = layout.column(align=True)
        column.active = scene.render.use_motion_blur
        column.prop(scene.render, "motion_blur_shutter")
        column.prop(scene.render, "motion_blur_position", text="")
        layout.prop(settings, "samples")
        row = layout.row()
        row.prop(context.view_layer, "use_pass_z", text="Depth")
        row.prop(settings, "use_masks")
        layout.operator("gshead.submit_to_farm", icon="RENDER_ANIMATION")


CLASSES = (GSHEAD_PT_final,)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
