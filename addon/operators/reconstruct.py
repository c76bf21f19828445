"""Reconstruct from Portrait: modal with progress and Esc in a window, blocking in background mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .. import heads, runtime, storage
from ..jobs import ReconstructJob, read_portrait
from ..quality import COSTS, METHODS, PORTRAITS, QUALITIES
from .modal import ModalJob
from .reporting import reports_errors


class GSHEAD_OT_reconstruct(ModalJob, bpy.types.Operator):
    """Make a rigged Gaussian head from one portrait photo"""

    bl_idname = "gshead.reconstruct"
    bl_label = "Reconstruct from Portrait"
    bl_options = {"UNDO"}  # noqa: RUF012

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    quality: bpy.props.EnumProperty(
        name="Quality",
        description="How many splats the head has, and how long they are fitted to the photo",
        items=QUALITIES,
        default="standard",
    )

    method: bpy.props.EnumProperty(name="Method", description="What makes and draws the head", items=METHODS)
    model: bpy.props.StringProperty(
        name="Head Model",
        description="The head model that the head is made on, such as an imported FLAME or ICT-FaceKit; empty for the "
        "method's own. Those that are installed on the backend's machine are suggested",
        maxlen=64,
        search=lambda _, context, text: runtime.session.head_models(),
    )

    def invoke(self, context: Any, event: Any) -> set[str]:
        if self.filepath:  # dropped into the viewport
            return context.window_manager.invoke_props_dialog(self, width=320, confirm_text="Reconstruct")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: Any) -> None:
        if self.filepath and context.area.type != "FILE_BROWSER":
            self.layout.label(text=Path(self.filepath).name, icon="IMAGE_DATA")
        self.layout.prop(self, "method")
        self.layout.prop(self, "model")
        column = self.layout.column(align=True)
        column.active = self.method == "uvfit"  # the others have one quality
        for identifier, label, _ in QUALITIES:
            column.prop_enum(self, "quality", identifier, text=f"{label}: {COSTS[identifier]}")

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        portrait = read_portrait(path)
        self._name = path.stem or "Head"
        self._shown = 0  # session uid of the mesh object that stands in until the head is finished
        wish = {"quality": self.quality, "method": self.method, "name": self._name, "head": self.model}
        if bpy.app.background:
            return self._finish(context, *runtime.session.reconstruct(portrait, **wish))
        return self.start_job(context, ReconstructJob(runtime.session, portrait, **wish))

    def job_runs(self, context: Any, job: Any) -> None:
        if job.preview and not self._shown:
            self._show(context, job.preview)

    def job_failed(self, context: Any, job: Any) -> None:
        if self._shown:
            self.report({"INFO"}, f"'{self._name}' stays as it was shown, without the fit to the photo")

    def job_done(self, context: Any, job: Any) -> set[str]:
        return self._finish(context, job.summary, job.data)

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
        runtime.session.prune(storage.used_ids())  # the preview's
        for warning in summary.warnings:
            self.report({"WARNING"}, warning)
        self.report({"INFO"}, f"'{self._name}': {summary.splats} splats in {summary.seconds:.1f} s")
        return {"FINISHED"}


class GSHEAD_FH_portrait(bpy.types.FileHandler):
    """Photos dropped into the viewport become heads"""

    bl_idname = "GSHEAD_FH_portrait"
    bl_label = "Reconstruct Head"
    bl_import_operator = "gshead.reconstruct"
    bl_file_extensions = ";".join(PORTRAITS)

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


CLASSES = (GSHEAD_OT_reconstruct, GSHEAD_FH_portrait)
