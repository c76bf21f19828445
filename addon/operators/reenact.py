"""Reenact from Video: the backend follows a filmed face, the take is keyed onto the active head."""

from __future__ import annotations

from typing import Any

import bpy

from gshead_backend.avatar.retime import at_rate
from gshead_backend.avatar.take import Take
from gshead_backend.errors import ArgumentError

from .. import heads, runtime, takes
from ..jobs import TrackJob, clip_wish, track_clip
from .modal import ModalJob
from .reporting import reports_errors
from .takes import MOTIONS, TakeTarget


class GSHEAD_OT_reenact(ModalJob, TakeTarget, bpy.types.Operator):
    """Track the face in a video, or in a folder of pictures, and key what it does onto the active head"""

    bl_idname = "gshead.reenact"
    bl_label = "Reenact from Video"
    bl_options = {"UNDO"}  # noqa: RUF012

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_movie: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    fps: bpy.props.FloatProperty(
        name="Clip Rate", description="Frames per second; 0 for a video's own, and for pictures the scene's", default=0,
        min=0, max=1000,
    )  # fmt: skip
    smooth: bpy.props.FloatProperty(
        name="Smoothing", description="0 leaves every frame as it was seen, 1 is usual; blinks stay", default=1, min=0,
        max=5,
    )  # fmt: skip
    motion: bpy.props.EnumProperty(
        name="Head Turns", description="Which bones turn the head", items=MOTIONS, default="neck"
    )
    center: bpy.props.BoolProperty(
        name="Center", description="Take the clip's middle head position for straight ahead", default=False
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.rig_of(context.object) is not None

    def invoke(self, context: Any, event: Any) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: Any) -> None:
        self.layout.use_property_split = True
        self.draw_target(self.layout)
        for name in ("smooth", "motion", "center", "fps"):
            self.layout.prop(self, name)

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        self._rig = heads.rig_of(context.object).session_uid  # outlives undo, which a reference would not
        clip, wish = clip_wish(bpy.path.abspath(self.filepath), takes.scene_fps(context.scene), self.fps)
        wish |= {"smooth": self.smooth, "motion": self.motion, "center": self.center}
        if bpy.app.background:
            return self._finish(context, *track_clip(runtime.session, clip, **wish))
        return self.start_job(context, TrackJob(runtime.session, clip, **wish))

    def job_done(self, context: Any, job: Any) -> set[str]:
        return self._finish(context, job.take, job.warnings)

    def _finish(self, context: Any, take: Take, warnings: tuple[str, ...]) -> set[str]:
        rig = next((o for o in bpy.data.objects if o.session_uid == self._rig), None)
        if rig is None:
            raise ArgumentError("The head was removed while its video was tracked.", remedy="Track it again.")
        for warning in warnings:
            self.report({"WARNING"}, warning)
        self.put(context, rig, at_rate(take, takes.scene_fps(context.scene)), "")
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_reenact,)
