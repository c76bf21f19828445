"""Takes, keying and resetting."""

from __future__ import annotations

from typing import Any

import bpy
from bpy_extras.io_utils import ImportHelper

from gshead_backend.avatar.take import load_take

from .. import heads, takes
from .reporting import reports_errors


class _OnRig:
    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.rig_of(context.object) is not None


class GSHEAD_OT_import_take(_OnRig, bpy.types.Operator, ImportHelper):
    """Key a take (JSON) onto the active head"""

    bl_idname = "gshead.import_take"
    bl_label = "Import Take"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filename_ext = ".json"
    filter_glob: bpy.props.StringProperty(default="*.json", options={"HIDDEN"})
    new_action: bpy.props.BoolProperty(
        name="New Action", description="Keep the current action and make another one", default=True
    )
    at_current_frame: bpy.props.BoolProperty(
        name="At Current Frame", description="Start at the current frame instead of the take's own", default=False
    )

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        take = load_take(bpy.path.abspath(self.filepath))
        start = context.scene.frame_current if self.at_current_frame else None
        action = takes.apply_take(
            heads.rig_of(context.object), take, fps=takes.scene_fps(context.scene), start=start,
            new_action=self.new_action,
        )  # fmt: skip
        self.report({"INFO"}, f"'{action.name}': {len(take.channels)} channels, {take.frame_count} frames")
        return {"FINISHED"}


class GSHEAD_OT_key_all(_OnRig, bpy.types.Operator):
    """Key every channel and control bone of the active head at the current frame"""

    bl_idname = "gshead.key_all"
    bl_label = "Key All"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def execute(self, context: Any) -> set[str]:
        count = takes.key_everything(heads.rig_of(context.object), context.scene.frame_current_final)
        self.report({"INFO"}, f"Keyed {count} values")
        return {"FINISHED"}


class GSHEAD_OT_clear_pose(_OnRig, bpy.types.Operator):
    """Put every channel and control bone of the active head back to rest"""

    bl_idname = "gshead.clear_pose"
    bl_label = "Clear Pose"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def execute(self, context: Any) -> set[str]:
        takes.clear_pose(heads.rig_of(context.object))
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_import_take, GSHEAD_OT_key_all, GSHEAD_OT_clear_pose)
