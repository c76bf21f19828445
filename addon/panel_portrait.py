"""What the Portrait panel draws: the backend's state, what went wrong, and what to do where no backend is installed."""

from __future__ import annotations

from typing import Any

import bpy

from . import runtime
from .problem import Problem
from .session import LOST, OFFLINE, READY, STARTING
from .text import draw_text

STATUS = {
    OFFLINE: ("Backend: offline", "UNLINKED"),
    STARTING: ("Backend: starting", "SORTTIME"),
    READY: ("Backend: ready", "LINKED"),
    LOST: ("Backend: connection lost", "ERROR"),
}
_WATCH_SECONDS = 0.3


def draw_status(layout: Any) -> None:
    """One row that says whether the backend runs, starts and stops it; and its workers."""
    session = runtime.session
    text, icon = STATUS[session.state]
    row = layout.row(align=True)
    row.label(text=text, icon=icon)
    running = session.state in (READY, STARTING)
    row.operator("gshead.stop_backend" if running else "gshead.start_backend", text="Stop" if running else "Start")
    client = session.current()
    beat = client.threaded.beat if client is not None else None
    if beat is not None:
        column = layout.column(align=True)
        for worker in beat.workers:
            column.label(text=f"{worker.role}: {worker.state} {worker.device}".strip())
        if beat.notice:
            column.label(text=beat.notice, icon="INFO")
    _watch_status()


def draw_guidance(layout: Any, context: Any) -> None:
    """What to install, while the backend command names a program that is not there."""
    box = layout.box()
    box.label(text="Install the Backend", icon="INFO")
    draw_text(
        box, context, "Heads are made and drawn by a program beside Blender, which is not installed here. Loading, "
        "posing, keying and exporting heads work without it.", inset=True,
    )  # fmt: skip
    draw_text(box, context, f"1. Run in a terminal: {runtime.INSTALL_COMMAND}", inset=True)
    box.operator("gshead.copy_install", icon="COPYDOWN")
    draw_text(
        box, context, "2. Enter the backend's command in the preferences, if it is not found by itself.", inset=True
    )
    box.operator("preferences.addon_show", text="Open Preferences", icon="PREFERENCES").module = __package__
    draw_text(box, context, "The README tells more under 'In your Blender'.", inset=True)


def draw_problem(layout: Any, context: Any) -> None:
    """The last problem in short, with its details a click away."""
    problem = runtime.problem
    if problem is None and runtime.session.last_error and not runtime.backend_missing():
        problem = Problem.parse(runtime.session.last_error)
    if problem is None:
        return
    box = layout.box()
    box.alert = True
    draw_text(box, context, problem.message, icon="ERROR", inset=True)
    row = box.row(align=True)
    row.alert = False
    row.operator("gshead.show_problem", text="Details", icon="INFO")
    row.operator("gshead.copy_details", text="", icon="COPYDOWN")
    row.operator("gshead.dismiss_problem", text="", icon="X")


def _status() -> tuple[Any, ...]:
    session = runtime.session
    client = session.current()
    beat = client.threaded.beat if client is not None else None
    workers = () if beat is None else (beat.notice, *((w.role, w.state, w.device) for w in beat.workers))
    return session.state, session.last_error, runtime.problem, *workers


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


def unregister() -> None:
    """Stop the timer."""
    if bpy.app.timers.is_registered(_redraw_changed):
        bpy.app.timers.unregister(_redraw_changed)
