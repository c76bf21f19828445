"""Loading and saving avatars."""

from __future__ import annotations

from typing import Any

import bpy
from bpy_extras.io_utils import ExportHelper, ImportHelper

from .. import heads
from .reporting import reports_errors


class GSHEAD_OT_load_avatar(bpy.types.Operator, ImportHelper):
    """Add the head of a .gshead file, rigged and ready to key; needs no backend"""

    bl_idname = "gshead.load_avatar"
    bl_label = "Load Avatar"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filename_ext = ".gshead"
    filter_glob: bpy.props.StringProperty(default="*.gshead", options={"HIDDEN"})

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        made = heads.load_head_file(context, bpy.path.abspath(self.filepath))
        heads.show_in_viewports(context, made)
        self.report({"INFO"}, f"Loaded '{made.mesh.name}'")
        return {"FINISHED"}


class GSHEAD_OT_save_avatar(bpy.types.Operator, ExportHelper):
    """Write the active head's avatar to a .gshead file"""

    bl_idname = "gshead.save_avatar"
    bl_label = "Save Avatar"

    filename_ext = ".gshead"
    filter_glob: bpy.props.StringProperty(default="*.gshead", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        return heads.mesh_of(context.object) is not None

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        size = heads.save_head_file(heads.mesh_of(context.object).data, bpy.path.abspath(self.filepath))
        self.report({"INFO"}, f"Wrote {size / 1e6:.1f} MB to {self.filepath}")
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_load_avatar, GSHEAD_OT_save_avatar)
