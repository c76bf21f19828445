"""Telling the user what went wrong, from any thread: dialogs, and what else only the main thread may do."""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable

import bpy

from . import runtime
from .problem import Problem

_LOOK_SECONDS = 0.1
_work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()


def tell(problem: Problem) -> None:
    """Note a problem that no operator reports, such as a render's; the sidebar keeps it, a window opens a dialog."""
    runtime.problem = problem
    code = f"{problem.code}: " if problem.code else ""
    print(f"Error: {code}{problem.message} {problem.remedy}".rstrip(), file=sys.stderr, flush=True)
    if not bpy.app.background:
        on_main_thread(show)


def on_main_thread(work: Callable[[], None]) -> None:
    """Have ``work`` done in a moment, between two events; without a window never."""
    _work.put(work)


def show() -> None:
    """Open the dialog of the last problem, where there is a 3D viewport to open it in."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            region = next((region for region in area.regions if region.type == "WINDOW"), None)
            if area.type == "VIEW_3D" and region is not None:
                with bpy.context.temp_override(window=window, area=area, region=region):
                    bpy.ops.gshead.show_problem("INVOKE_DEFAULT")
                return


def _look() -> float:
    while not _work.empty():
        _work.get_nowait()()
    return _LOOK_SECONDS


def register() -> None:
    if not bpy.app.background:
        bpy.app.timers.register(_look, first_interval=_LOOK_SECONDS, persistent=True)


def unregister() -> None:
    """Forget what has not been done yet."""
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    while not _work.empty():
        _work.get_nowait()
