"""Starting and stopping the backend."""

from __future__ import annotations

from typing import Any

import bpy

from .. import preferences, runtime
from .reporting import reports_errors


class GSHEAD_OT_start_backend(bpy.types.Operator):
    """Connect to the backend that runs on this machine, or start one"""

    bl_idname = "gshead.start_backend"
    bl_label = "Start Backend"

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        runtime.configure(preferences.current())
        runtime.session.last_error, runtime.session.kept_off = "", False
        if bpy.app.background:
            runtime.session.client(start=True)
        else:
            runtime.session.connect_in_background()
        return {"FINISHED"}


class GSHEAD_OT_stop_backend(bpy.types.Operator):
    """Let go of the backend; it ends when no other Blender uses it"""

    bl_idname = "gshead.stop_backend"
    bl_label = "Stop Backend"

    def execute(self, context: Any) -> set[str]:
        runtime.session.stop()
        runtime.session.last_error, runtime.session.kept_off = "", True
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_start_backend, GSHEAD_OT_stop_backend)
