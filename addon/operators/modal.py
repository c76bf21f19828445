"""What operators that wait for the backend share: a timer, progress in the status bar, Esc."""

from __future__ import annotations

from typing import Any

import bpy

from ..jobs import Job
from .reporting import reports_errors


class ModalJob:
    """A mixin; the operator calls ``start_job`` in ``execute`` and does the rest in the three methods below it.

    Its options must not have REGISTER: "Adjust Last Operation" would run it again and free it under its own modal
    handler, which crashes.
    """

    report: Any

    def start_job(self, context: Any, job: Job) -> set[str]:
        self._job: Any = job
        window_manager = context.window_manager
        self._timer = window_manager.event_timer_add(0.1, window=context.window)
        window_manager.progress_begin(0, 100)
        window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def job_runs(self, context: Any, job: Any) -> None:
        """Ten times a second while the work goes on and was not cancelled."""

    def job_failed(self, context: Any, job: Any) -> None:
        """Before its error is reported."""

    def job_done(self, context: Any, job: Any) -> set[str]:
        """Take the result."""
        raise NotImplementedError

    @reports_errors
    def modal(self, context: Any, event: Any) -> set[str]:
        if event.type == "ESC" and event.value == "PRESS":
            self._job.cancel.set()
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        job = self._job
        if not job.done:
            context.workspace.status_text_set(_status(job))
            context.window_manager.progress_update(100 * job.fraction)
            if not job.cancel.is_set():
                self.job_runs(context, job)
            return {"PASS_THROUGH"}
        self._end(context)
        if job.error is not None:
            self.job_failed(context, job)
            raise job.error
        return self.job_done(context, job)

    def cancel(self, context: Any) -> None:
        if getattr(self, "_job", None) is not None:
            self._job.cancel.set()
            self._end(context)

    def _end(self, context: Any) -> None:
        end_progress(context, self._timer)


def end_progress(context: Any, timer: Any) -> None:
    """Take the timer, the cursor's progress and the status text away."""
    context.window_manager.event_timer_remove(timer)
    context.window_manager.progress_end()
    for workspace in bpy.data.workspaces:  # the user may have moved on to another one meanwhile
        with context.temp_override(workspace=workspace):  # what is set is always the context's
            workspace.status_text_set(None)


def _status(job: Job) -> str:
    if job.cancel.is_set():
        return f"Stopping the {job.what}"
    return f"{job.text[:1].upper()}{job.text[1:]} … {job.fraction:.0%}   Esc: Cancel"
