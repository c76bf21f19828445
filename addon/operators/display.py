"""Colours of the photo."""

from __future__ import annotations

from typing import Any

import bpy

from .. import colors


class GSHEAD_OT_keep_photo_colors(bpy.types.Operator):
    """Use the Standard view transform without look, exposure, gamma and curves: the head looks like the photo"""

    bl_idname = "gshead.keep_photo_colors"
    bl_label = "Keep Photo Colors"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def execute(self, context: Any) -> set[str]:
        colors.keep_photo_colors(context.scene)
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_keep_photo_colors,)
