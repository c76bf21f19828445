"""The timer that redraws what waits for a backend: sixty times a second while one answers, twice otherwise."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import bpy

from . import runtime
from .session import READY

if TYPE_CHECKING:
    from .live import LiveView

TICK_SECONDS = 1 / 60
SLOW_TICK_SECONDS = 0.5

views: weakref.WeakSet[LiveView] = weakref.WeakSet()
"""Every live view that was not closed."""
on_tick: list[Callable[[], None]] = []
"""Called before the views that wait are redrawn."""


def watch(view: LiveView) -> None:
    """Redraw a view from now on while it waits for something."""
    views.add(view)
    if not bpy.app.timers.is_registered(_tick):
        _start()


def hurry() -> None:
    """Look again at once, also where there is no backend."""
    if runtime.session.state != READY and bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
        _start()


def _start() -> None:
    bpy.app.timers.register(_tick, first_interval=TICK_SECONDS, persistent=True)


def _tick() -> float | None:
    """Redraw the views that wait for something; ends with the last view."""
    for call in on_tick:
        call()
    for view in [view for view in views if view.waiting()]:
        view.redraw()
    if not views:
        return None
    return TICK_SECONDS if runtime.session.state == READY else SLOW_TICK_SECONDS


def unregister() -> None:
    """Stop the timer and close the views."""
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for view in list(views):
        view.close()
