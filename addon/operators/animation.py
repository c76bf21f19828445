"""Keying and resetting."""

from __future__ import annotations

from typing import Any

import bpy

from .. import heads, takes


class _OnRig:
    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.rig_of(context.object) is not None


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


CLASSES = (GSHEAD_OT_key_all, GSHEAD_OT_clear_pose)
