"""Preferences: where the backend is. They belong to the user and the machine; a .blend file cannot set them."""

from __future__ import annotations

import shutil
from typing import Any

import bpy

from gshead_backend.errors import GsheadError

from . import runtime


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
        command = runtime.session.settings.command
        if not self.connection_file and command and shutil.which(command[0]) is None:
            box = layout.box()
            box.label(text=f"'{command[0]}' is not on this machine's search path", icon="ERROR")
            box.label(text="Install the backend with 'pip install gshead-backend', or give its full path above")
        if runtime.session.last_error:
            layout.label(text=runtime.session.last_error, icon="ERROR")


def current() -> Any | None:
    """This extension's preferences, or None when it was not enabled through Blender's extension system."""
    addon = bpy.context.preferences.addons.get(__package__)
    return addon.preferences if addon is not None else None


def register() -> None:
    bpy.utils.register_class(GsheadPreferences)
    _changed(current(), None)


def unregister() -> None:
    bpy.utils.unregister_class(GsheadPreferences)
