"""Starting and stopping the backend."""

from __future__ import annotations

from typing import Any

import bpy

from .. import preferences, runtime
from ..session import STARTING
from .reporting import reports_errors


class GSHEAD_OT_start_backend(bpy.types.Operator):
    """Connect to the backend that runs on this machine, or start one"""

    bl_idname = "gshead.start_backend"
    bl_label = "Start Backend"

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        runtime.configure(preferences.current())
        runtime.session.last_error = ""
        if bpy.app.background:
            runtime.session.client(start=True)
        else:
            runtime.session.connect_in_background()
            bpy.app.timers.register(_redraw_until_connected, first_interval=0.2)
        return {"FINISHED"}


class GSHEAD_OT_stop_backend(bpy.types.Operator):
    """Let go of the backend; it ends when no other Blender uses it"""

    bl_idname = "gshead.stop_backend"
    bl_label = "Stop Backend"

    def execute(self, context: Any) -> set[str]:
        runtime.session.stop()
        runtime.session.last_error = ""
        return {"FINISHED"}


def _redraw_until_connected() -> float | None:
    redraw_sidebars()
    return 0.2 if runtime.session.state == STARTING else None


def redraw_sidebars() -> None:
    """Draw the sidebars of all 3D viewports again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


CLASSES = (GSHEAD_OT_start_backend, GSHEAD_OT_stop_backend)
