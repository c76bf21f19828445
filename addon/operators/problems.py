"""The last problem in a dialog, and its details on the clipboard."""

from __future__ import annotations

import platform
from typing import Any

import bpy

from gshead_backend import __version__

from .. import runtime
from ..problem import Problem, details
from ..text import draw_text

_WIDTH = 420


def current() -> Problem | None:
    """The problem that the user should see: the last operator's, else the connection's."""
    if runtime.problem is not None:
        return runtime.problem
    return Problem.parse(runtime.session.last_error, "Backend") if runtime.session.last_error else None


def facts() -> dict[str, str]:
    """Versions and the machine, for a bug report."""
    client = runtime.session.current()
    beat = client.threaded.beat if client is not None else None
    workers = ", ".join(f"{w.role} {w.state} {w.device}".strip() for w in beat.workers) if beat is not None else ""
    return {
        "Gaussian Head": __version__, "Blender": bpy.app.version_string, "System": platform.platform(),
        "Python": platform.python_version(), "Backend": f"{runtime.session.state} {workers}".strip(),
    }  # fmt: skip


class _OnProblem:
    @classmethod
    def poll(cls, context: Any) -> bool:
        return current() is not None


class GSHEAD_OT_show_problem(_OnProblem, bpy.types.Operator):
    """Show the whole text of the last problem, its code and what to do about it"""

    bl_idname = "gshead.show_problem"
    bl_label = "Show Problem"

    def invoke(self, context: Any, event: Any) -> set[str]:
        return context.window_manager.invoke_popup(self, width=_WIDTH)

    def execute(self, context: Any) -> set[str]:
        return {"FINISHED"}

    def draw(self, context: Any) -> None:
        problem, layout = current(), self.layout
        if problem is None:
            return
        layout.label(text=problem.what or "Gaussian Head", icon="ERROR")
        width = _WIDTH * context.preferences.system.ui_scale
        draw_text(layout, context, problem.message, width=width)
        if problem.remedy:
            layout.separator()
            draw_text(layout, context, problem.remedy, icon="LIGHT", width=width)
        row = layout.row()
        row.label(text=problem.code)
        row.operator("gshead.copy_details", icon="COPYDOWN")


class GSHEAD_OT_copy_details(_OnProblem, bpy.types.Operator):
    """Copy the problem, its code and the versions of everything to the clipboard, without paths and names"""

    bl_idname = "gshead.copy_details"
    bl_label = "Copy Details"

    def execute(self, context: Any) -> set[str]:
        problem = current()
        if problem is not None:
            context.window_manager.clipboard = details(problem, facts())
            self.report({"INFO"}, "Copied")
        return {"FINISHED"}


class GSHEAD_OT_dismiss_problem(_OnProblem, bpy.types.Operator):
    """Take the problem off the sidebar"""

    bl_idname = "gshead.dismiss_problem"
    bl_label = "Dismiss"

    def execute(self, context: Any) -> set[str]:
        runtime.problem, runtime.session.last_error = None, ""
        return {"FINISHED"}


class GSHEAD_OT_copy_install(bpy.types.Operator):
    """Copy the command that installs the backend to the clipboard"""

    bl_idname = "gshead.copy_install"
    bl_label = "Copy Command"

    def execute(self, context: Any) -> set[str]:
        context.window_manager.clipboard = runtime.INSTALL_COMMAND
        self.report({"INFO"}, f"Copied: {runtime.INSTALL_COMMAND}")
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_show_problem, GSHEAD_OT_copy_details, GSHEAD_OT_dismiss_problem, GSHEAD_OT_copy_install)
