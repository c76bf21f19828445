"""The "Gaussian Head" tab of the 3D viewport's sidebar, in the order of the work."""

from __future__ import annotations

import re
from typing import Any

import bpy

from gshead_backend.errors import GsheadError

from . import (
    colors,
    compat,
    heads,
    health,
    lighting,
    overlay,
    panel_portrait,
    panel_rig,
    panel_takes,
    runtime,
    storage,
    usd_hook,
)
from .rig.controls import channels_of
from .rig.layout import RAW_PREFIX, region_channels
from .text import draw_text


class _Tab:
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Gaussian Head"


class _HeadTab(_Tab):
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.mesh_of(context.object) is not None


class GSHEAD_PT_portrait(_Tab, bpy.types.Panel):
    """Backend and reconstruction"""

    bl_label = "Portrait"
    bl_idname = "GSHEAD_PT_portrait"

    def draw(self, context: Any) -> None:
        layout = self.layout
        if runtime.backend_missing():
            panel_portrait.draw_guidance(layout, context)
        else:
            panel_portrait.draw_status(layout)
        panel_portrait.draw_problem(layout, context)
        column = layout.column(align=True)
        column.operator("gshead.reconstruct", icon="USER")
        column.operator("gshead.load_avatar", icon="FILE_FOLDER")
        column.operator("gshead.import_usd", icon="IMPORT")


class GSHEAD_PT_head(_HeadTab, bpy.types.Panel):
    """The active head's avatar"""

    bl_label = "Head"
    bl_idname = "GSHEAD_PT_head"
    bl_options = set()  # noqa: RUF012

    def draw(self, context: Any) -> None:
        layout = self.layout
        mesh = heads.mesh_of(context.object)
        try:
            avatar = storage.read(mesh.data).avatar
        except GsheadError as error:
            draw_text(layout, context, str(error), icon="ERROR")
            if storage.file_of(mesh.data):
                layout.operator("gshead.relink_avatar", icon="FILE_FOLDER")
            return
        column = layout.column(align=True)
        column.label(text=mesh.name, icon="USER")
        if avatar.portrait is None:
            column.label(text=f"{len(avatar):,} splats on {avatar.head.name}")
        else:
            column.label(text=f"Drawn by a network, on {avatar.head.name}")
        column.label(text=f"Made with {avatar.method}" if avatar.method else "Method unknown")
        for problem in health.problems(mesh):
            draw_text(layout, context, problem, icon="ERROR")
        if health.shares_expression(mesh):
            layout.operator("gshead.make_single_user", icon="DUPLICATE")
        layout.operator("gshead.save_avatar", icon="FILE_TICK")
        if storage.packed_in_file(mesh.data):
            layout.operator("gshead.unpack_avatar", icon="UGLYPACKAGE")
        else:
            layout.label(text=storage.file_of(mesh.data), icon="FILE")
            layout.operator("gshead.pack_avatar", icon="PACKAGE")


class GSHEAD_PT_animate(_HeadTab, bpy.types.Panel):
    """Takes, keys and sliders of the active head"""

    bl_label = "Animate"
    bl_idname = "GSHEAD_PT_animate"
    bl_options = set()  # noqa: RUF012

    def draw(self, context: Any) -> None:
        layout = self.layout
        panel_takes.draw(layout, heads.mesh_of(context.object))
        row = layout.row(align=True)
        row.operator("gshead.key_all", icon="KEY_HLT")
        row.operator("gshead.clear_pose", icon="LOOP_BACK")
        if (rig := heads.rig_of(context.object)) is not None:
            panel_rig.draw_buttons(layout, rig)


class GSHEAD_PT_view(_HeadTab, bpy.types.Panel):
    """How heads look in the viewport"""

    bl_label = "View"
    bl_idname = "GSHEAD_PT_view"
    bl_order = 90

    def draw(self, context: Any) -> None:
        layout, scene = self.layout, context.scene
        _draw_light(layout, heads.mesh_of(context.object))
        layout.prop(scene, overlay.PROPERTY, text="Splats in Every Shading")
        if changed := colors.changes(scene.view_settings):
            box = layout.box()
            draw_text(box, context, ", ".join(changed) + ": renders do not show the photo's colors.", inset=True)
            box.operator("gshead.keep_photo_colors", icon="COLOR")
        if runtime.frames is not None:
            layout.operator("gshead.cache_frames", icon="RENDER_ANIMATION")
            count, size = runtime.frames.size()
            row = layout.row(align=True)
            row.label(text=f"Frame Cache: {count} frames, {size / 2**20:.0f} MiB")
            row.operator("gshead.clear_frame_cache", text="", icon="TRASH")


def _draw_light(layout: Any, mesh: Any) -> None:
    if health.drawn_by_network(mesh):
        layout.label(text="Light: the photo's, as its network draws it", icon="LIGHT")
        return
    settings = lighting.settings_of(mesh)
    row = layout.row(align=True)
    row.prop(settings, "source", expand=True)
    if settings.source == "SCENE":
        layout.prop(settings, "strength")
        layout.prop(settings, "shadows")


class GSHEAD_PT_render(_HeadTab, bpy.types.Panel):
    """Rendering and export"""

    bl_label = "Render and Export"
    bl_idname = "GSHEAD_PT_render"
    bl_options = set()  # noqa: RUF012
    bl_order = 100

    def draw(self, context: Any) -> None:
        layout, scene = self.layout, context.scene
        layout.prop(scene.render, "engine")
        layout.prop(scene.render, "film_transparent", text="Transparent Background")
        column = layout.column(align=True)
        column.operator("gshead.export_usd", icon="EXPORT")
        column.operator("gshead.export_splats", icon="POINTCLOUD_DATA")
        column.operator("gshead.export_face", icon="SHAPEKEY_DATA")
        if compat.usd_hook_class() is not None:
            layout.prop(scene, usd_hook.PROPERTY)


def _region_panel(title: str, order: int) -> type:
    """A sub-panel with the sliders of one region of the face."""

    def draw(self: Any, context: Any) -> None:
        rig = heads.rig_of(context.object)
        panel_rig.draw_channels(self.layout, rig, dict(region_channels(channels_of(rig)))[title],
                                context.scene.frame_current_final)  # fmt: skip

    def poll(cls: Any, context: Any) -> bool:
        rig = heads.rig_of(context.object)
        return rig is not None and any(t == title for t, _ in region_channels(channels_of(rig)))

    key = re.sub(r"\W+", "_", title).lower()
    members = {
        "bl_label": title, "bl_idname": f"GSHEAD_PT_region_{key}", "bl_parent_id": "GSHEAD_PT_animate",
        "bl_order": order, "bl_options": {"DEFAULT_CLOSED"}, "draw": draw, "poll": classmethod(poll),
        "__doc__": f"Sliders: {title}",
    }  # fmt: skip
    return type(f"GSHEAD_PT_region_{key}", (_Tab, bpy.types.Panel), members)


class GSHEAD_PT_advanced(_Tab, bpy.types.Panel):
    """Raw expression and identity coefficients"""

    bl_label = "Advanced"
    bl_idname = "GSHEAD_PT_advanced"
    bl_parent_id = "GSHEAD_PT_animate"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012
    bl_order = 50

    def draw(self, context: Any) -> None:
        rig, mesh = heads.rig_of(context.object), heads.mesh_of(context.object)
        try:
            avatar = storage.read(mesh.data).avatar
        except GsheadError as error:
            draw_text(self.layout, context, str(error), icon="ERROR")
            return
        names = [n for n in channels_of(rig) if n.startswith(RAW_PREFIX)] if rig else []
        panel_rig.draw_advanced(self.layout, rig, avatar, names, context.scene.frame_current_final)


TITLES = ("Eyes", "Gaze", "Brows", "Cheeks and Nose", "Jaw and Tongue", "Mouth")
CLASSES = (
    GSHEAD_PT_portrait, GSHEAD_PT_head, GSHEAD_PT_animate,
    *(_region_panel(title, order) for order, title in enumerate(TITLES)), GSHEAD_PT_advanced,
    GSHEAD_PT_view, GSHEAD_PT_render,
)  # fmt: skip


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    panel_portrait.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
