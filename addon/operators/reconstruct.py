"""Reconstruct from Portrait: modal with progress and Esc in a window, blocking in background mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .. import heads, runtime
from ..jobs import ReconstructJob, read_portrait
from .reporting import reports_errors

QUALITIES = (
    ("draft", "Draft", "Seconds; about 20,000 splats"),
    ("standard", "Standard", "About 60,000 splats"),
    ("high", "High", "About 150,000 splats"),
)


class GSHEAD_OT_reconstruct(bpy.types.Operator):
    """Make a rigged Gaussian head from one portrait photo"""

    bl_idname = "gshead.reconstruct"
    bl_label = "Reconstruct from Portrait"
    # Not REGISTER: "Adjust Last Operation" would run it again and free it under its own modal handler, which crashes.
    bl_options = {"UNDO"}  # noqa: RUF012

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    quality: bpy.props.EnumProperty(name="Quality", items=QUALITIES, default="standard")

    def invoke(self, context: Any, event: Any) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        portrait = read_portrait(path)
        self._name = path.stem or "Head"
        self._shown = 0  # session uid of the mesh object that stands in until the head is finished
        if bpy.app.background:
            return self._finish(context, *runtime.session.reconstruct(portrait, quality=self.quality, name=self._name))
        self._job = ReconstructJob(runtime.session, portrait, quality=self.quality, name=self._name)
        window_manager = context.window_manager
        self._timer = window_manager.event_timer_add(0.1, window=context.window)
        window_manager.progress_begin(0, 100)
        window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

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
            if job.preview and not self._shown and not job.cancel.is_set():
                self._show(context, job.preview)
            return {"PASS_THROUGH"}
        self._end(context)
        if job.error is not None:
            if self._shown:
                self.report({"INFO"}, f"'{self._name}' stays as it was shown, without the fit to the photo")
            raise job.error
        return self._finish(context, job.summary, job.data)

    def cancel(self, context: Any) -> None:
        if getattr(self, "_job", None) is not None:
            self._job.cancel.set()
            self._end(context)

    def _end(self, context: Any) -> None:
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        for workspace in bpy.data.workspaces:  # the user may have moved on to another one meanwhile
            with context.temp_override(workspace=workspace):  # what is set is always the context's
                workspace.status_text_set(None)

    def _show(self, context: Any, data: bytes) -> None:
        made = heads.add_head(context, data, self._name)
        self._shown = made.mesh.session_uid
        heads.show_in_viewports(context, made)
        bpy.ops.ed.undo_push(message="Reconstruct: preview")  # or undoing what is done next would take the head away

    def _finish(self, context: Any, summary: Any, data: bytes) -> set[str]:
        if not self._shown:
            heads.show_in_viewports(context, heads.add_head(context, data, self._name))
        elif not heads.refine_head(self._shown, data):
            self.report({"WARNING"}, f"'{self._name}' was removed or changed meanwhile; Reconstruct gives it again")
        for warning in summary.warnings:
            self.report({"WARNING"}, warning)
        self.report({"INFO"}, f"'{self._name}': {summary.splats} splats in {summary.seconds:.1f} s")
        return {"FINISHED"}


def _status(job: ReconstructJob) -> str:
    if job.cancel.is_set():
        return "Stopping the reconstruction"
    return f"{job.text[:1].upper()}{job.text[1:]} … {job.fraction:.0%}   Esc: Cancel"


CLASSES = (GSHEAD_OT_reconstruct,)
