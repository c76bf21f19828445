"""Check Installation, and emptying the frame cache: what the preferences offer."""

from __future__ import annotations

from typing import Any

import bpy

from .. import preferences, runtime
from ..checkup import CheckupJob
from .reporting import reports_errors

_LOOK_SECONDS = 0.2


class GSHEAD_OT_check_installation(bpy.types.Operator):
    """Look at the backend's installation and this machine: what is there, what is missing and how to fix it"""

    bl_idname = "gshead.check_installation"
    bl_label = "Check Installation"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return runtime.checkup is None or runtime.checkup.done

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        runtime.configure(preferences.current())
        runtime.checkup = CheckupJob(runtime.session.settings.command)
        if bpy.app.background:
            runtime.checkup.wait()
            if runtime.checkup.error is not None:
                raise runtime.checkup.error
        else:
            bpy.app.timers.register(redraw_preferences, first_interval=_LOOK_SECONDS)
        return {"FINISHED"}


class GSHEAD_OT_clear_frame_cache(bpy.types.Operator):
    """Remove every kept viewport frame from memory and disk"""

    bl_idname = "gshead.clear_frame_cache"
    bl_label = "Clear Frame Cache"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return runtime.frames is not None

    def execute(self, context: Any) -> set[str]:
        runtime.frames.clear()
        return {"FINISHED"}


def redraw_preferences() -> float | None:
    """A timer that draws the preferences again until the check has ended."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()
    return None if runtime.checkup is None or runtime.checkup.done else _LOOK_SECONDS


CLASSES = (GSHEAD_OT_check_installation, GSHEAD_OT_clear_frame_cache)
