"""The "Gaussian Head" tab of the 3D viewport's sidebar, in the order of the work."""

from __future__ import annotations

import re
from typing import Any

import bpy

from gshead_backend.errors import GsheadError

from . import colors, heads, overlay, panel_rig, panel_takes, runtime, storage
from .rig.controls import channels_of
from .rig.layout import RAW_PREFIX, region_channels
from .session import LOST, OFFLINE, READY, STARTING
from .text import wrap

STATUS = {
    OFFLINE: ("Backend: offline", "UNLINKED"),
    STARTING: ("Backend: starting", "SORTTIME"),
    READY: ("Backend: ready", "LINKED"),
    LOST: ("Backend: connection lost", "ERROR"),
}
_WATCH_SECONDS = 0.3
_MARGIN = 50  # of a panel and the tabs beside it, in pixels of an unscaled interface


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
        layout, session = self.layout, runtime.session
        text, icon = STATUS[session.state]
        row = layout.row(align=True)
        row.label(text=text, icon=icon)
        running = session.state in (READY, STARTING)
        row.operator("gshead.stop_backend" if running else "gshead.start_backend", text="Stop" if running else "Start")
        _draw_workers(layout, session)
        _watch_status()
        if session.last_error:
            for line in _wrap(context, session.last_error):
                layout.label(text=line)
        layout.operator("gshead.reconstruct", icon="USER")
        layout.operator("gshead.load_avatar", icon="FILE_FOLDER")


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
            for line in _wrap(context, str(error)):
                layout.label(text=line)
            return
        column = layout.column(align=True)
        column.label(text=mesh.name, icon="USER")
        column.label(text=f"{len(avatar):,} splats on {avatar.head.name}")
        column.label(text=f"Made with {avatar.method}" if avatar.method else "Method unknown")
        layout.operator("gshead.save_avatar", icon="FILE_TICK")


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
        layout.prop(scene, overlay.PROPERTY, text="Splats in Every Shading")
        if changed := colors.changes(scene.view_settings):
            box = layout.box()
            for line in _wrap(context, ", ".join(changed) + ": renders do not show the photo's colors."):
                box.label(text=line)
            box.operator("gshead.keep_photo_colors", icon="COLOR")
        layout.operator("gshead.export_usd", icon="EXPORT")


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
            for line in _wrap(context, str(error)):
                self.layout.label(text=line)
            return
        names = [n for n in channels_of(rig) if n.startswith(RAW_PREFIX)] if rig else []
        panel_rig.draw_advanced(self.layout, rig, avatar, names, context.scene.frame_current_final)


def _draw_workers(layout: Any, session: Any) -> None:
    client = session.current()
    beat = client.threaded.beat if client is not None else None
    if beat is None:
        return
    column = layout.column(align=True)
    for worker in beat.workers:
        column.label(text=f"{worker.role}: {worker.state} {worker.device}".strip())
    if beat.notice:
        column.label(text=beat.notice, icon="INFO")


def _status() -> tuple[Any, ...]:
    session = runtime.session
    client = session.current()
    beat = client.threaded.beat if client is not None else None
    workers = () if beat is None else (beat.notice, *((w.role, w.state, w.device) for w in beat.workers))
    return session.state, session.last_error, *workers


_drawn: tuple[Any, ...] = ()


def _watch_status() -> None:
    """Note what is being drawn; a timer draws the sidebars again when it has changed, whoever changed it."""
    global _drawn
    _drawn = _status()
    if not bpy.app.timers.is_registered(_redraw_changed):
        bpy.app.timers.register(_redraw_changed, first_interval=_WATCH_SECONDS)


def _redraw_changed() -> float:
    global _drawn
    if _drawn != (now := _status()):
        _drawn = now
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                for region in area.regions:
                    if area.type == "VIEW_3D" and region.type == "UI":
                        region.tag_redraw()
    return _WATCH_SECONDS


def _wrap(context: Any, text: str) -> list[str]:
    """Lines that fit the width of the sidebar."""
    scale = context.preferences.system.ui_scale
    points = context.preferences.ui_styles[0].widget.points
    return wrap(text, context.region.width - _MARGIN * scale, points * scale)


TITLES = ("Eyes", "Gaze", "Brows", "Cheeks and Nose", "Jaw and Tongue", "Mouth")
CLASSES = (
    GSHEAD_PT_portrait, GSHEAD_PT_head, GSHEAD_PT_animate,
    *(_region_panel(title, order) for order, title in enumerate(TITLES)), GSHEAD_PT_advanced,
    GSHEAD_PT_render,
)  # fmt: skip


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    if bpy.app.timers.is_registered(_redraw_changed):
        bpy.app.timers.unregister(_redraw_changed)
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
