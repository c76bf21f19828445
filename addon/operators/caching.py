"""Cache Frames: every frame of the timeline drawn once, so that it plays and scrubs without waiting."""

from __future__ import annotations

import time
from typing import Any

import bpy

from gshead_backend.errors import BackendError

from .. import runtime, ticker
from ..timeline import played_frames
from .modal import end_progress
from .reporting import reports_errors

_LONGEST = 60.0  # seconds for one frame


class GSHEAD_OT_cache_frames(bpy.types.Operator):
    """Draw every frame of the playback range at full quality and keep it, to play and scrub it as the view is now"""

    bl_idname = "gshead.cache_frames"
    bl_label = "Cache Frames"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return runtime.frames is not None and len(ticker.views) > 0

    def execute(self, context: Any) -> set[str]:
        self._before, self._frames = context.scene.frame_current, list(played_frames(context.scene))
        self._done, self._asked_at = -1, 0.0
        self._timer = context.window_manager.event_timer_add(1 / 60, window=context.window)
        context.window_manager.progress_begin(0, 100)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    @reports_errors
    def modal(self, context: Any, event: Any) -> set[str]:
        if event.type == "ESC" and event.value == "PRESS":
            return self._end(context, {"CANCELLED"})
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        if self._done >= 0 and not all(view.complete() and not view.resting() for view in ticker.views):
            if time.monotonic() - self._asked_at > _LONGEST:
                frame = context.scene.frame_current
                self._end(context, set())
                raise BackendError(
                    f"Frame {frame} was not drawn within {_LONGEST:g} s.", remedy="Start the backend, and try again."
                )
            return {"PASS_THROUGH"}
        self._done += 1
        if self._done == len(self._frames):
            self.report({"INFO"}, f"Kept {len(self._frames)} frames")
            return self._end(context, {"FINISHED"})
        self._ask(context)
        return {"PASS_THROUGH"}

    def cancel(self, context: Any) -> None:
        self._end(context, set())

    def _ask(self, context: Any) -> None:
        context.scene.frame_set(self._frames[self._done])
        for view in ticker.views:
            view.forget_wish()
            view.redraw()
        self._asked_at = time.monotonic()
        context.window_manager.progress_update(100 * self._done / len(self._frames))
        context.workspace.status_text_set(f"Frame {self._done + 1} of {len(self._frames)}   Esc: Cancel")

    def _end(self, context: Any, result: set[str]) -> set[str]:
        end_progress(context, self._timer)
        context.scene.frame_set(self._before)
        return result


CLASSES = (GSHEAD_OT_cache_frames,)
