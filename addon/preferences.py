"""Preferences: where the backend is. They belong to the user and the machine; a .blend file cannot set them."""

from __future__ import annotations

from typing import Any

import bpy

from gshead_backend.errors import GsheadError

from . import runtime
from .text import draw_text

_ICONS = {"ok": "CHECKMARK", "warning": "ERROR", "missing": "CANCEL"}


def _changed(self: Any, context: Any) -> None:
    try:
        runtime.configure(self)
        runtime.session.last_error = ""
    except GsheadError as error:
        runtime.session.last_error = str(error)


class GsheadPreferences(bpy.types.AddonPreferences):
    """Settings of the Gaussian Head extension."""

    bl_idname = __package__

    backend_command: bpy.props.StringProperty(
        name="Backend Command",
        description="What starts the backend on this machine, such as: gshead serve. A JSON list is taken as it is",
        default="gshead serve",
        update=_changed,
    )
    connection_file: bpy.props.StringProperty(
        name="Connection File",
        description="Connection file of a backend on another machine; it holds keys and must be readable by you only. "
        "Empty to use a backend on this machine",
        subtype="FILE_PATH",
        update=_changed,
    )
    start_when_needed: bpy.props.BoolProperty(
        name="Start When Needed",
        description="Rendering and Rendered shading start the backend when it is not running",
        default=True,
        update=_changed,
    )

    frame_cache_limit: bpy.props.FloatProperty(
        name="Frame Cache",
        description="GiB on disk for viewport frames, so that scrubbing back is instant and frames play without the "
        "backend; the longest unused go first. 0 turns the cache off and removes its files",
        default=2.0,
        min=0.0,
        soft_max=100.0,
        step=50,
        precision=1,
        update=_changed,
    )

    def draw(self, context: Any) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "backend_command")
        layout.prop(self, "connection_file")
        layout.prop(self, "start_when_needed")
        row = layout.row(align=True)
        row.prop(self, "frame_cache_limit")
        row.operator("gshead.clear_frame_cache", text="", icon="TRASH")
        layout.use_property_split = False
        if runtime.backend_missing():
            box = layout.box()
            box.label(
                text=f"'{runtime.session.settings.command[0]}' is not on this machine's search path", icon="ERROR"
            )
            row = box.row()
            row.label(text=f"Install the backend with: {runtime.INSTALL_COMMAND}", icon="BLANK1")
            row.operator("gshead.copy_install", icon="COPYDOWN")
            box.label(text="or give its full path above", icon="BLANK1")
        layout.operator("gshead.check_installation", icon="CHECKMARK")
        if runtime.checkup is not None:
            _draw_checkup(layout.box(), context, runtime.checkup)
        if runtime.session.last_error and not runtime.backend_missing():
            draw_text(layout, context, runtime.session.last_error, icon="ERROR")


def _draw_checkup(layout: Any, context: Any, job: Any) -> None:
    """The findings of Check Installation, the worst first."""
    if not job.done:
        layout.label(text="Looking at the installation", icon="SORTTIME")
        return
    if job.error is not None:
        draw_text(layout, context, f"{job.error.message} {job.error.remedy}", icon="ERROR")
        return
    wrong = sum(check.status != "ok" for check in job.checks)
    layout.label(text=f"{wrong} to look at" if wrong else "Everything is in place", icon="INFO")
    column = layout.column(align=True)
    for check in sorted(job.checks, key=lambda check: ("missing", "warning", "ok").index(check.status)):
        draw_text(column, context, f"{check.name}: {check.detail}", icon=_ICONS[check.status])
        if check.fix:
            draw_text(column, context, check.fix, icon="TOOL_SETTINGS")


def current() -> Any | None:
    """This extension's preferences, or None when it was not enabled through Blender's extension system."""
    addon = bpy.context.preferences.addons.get(__package__)
    return addon.preferences if addon is not None else None


def register() -> None:
    bpy.utils.register_class(GsheadPreferences)
    _changed(current(), None)


def unregister() -> None:
    bpy.utils.unregister_class(GsheadPreferences)
