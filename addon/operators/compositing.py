"""Adding heads to the renders of Cycles and EEVEE, and taking them out again."""

from __future__ import annotations

from typing import Any

import bpy

from .. import compositing
from .reporting import reports_errors


class GSHEAD_OT_add_to_compositor(bpy.types.Operator):
    """Show the heads of this scene in its Cycles and EEVEE renders, by depth; press again to change how"""

    bl_idname = "gshead.add_to_compositor"
    bl_label = "Add Heads to Compositor"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    shadows: bpy.props.BoolProperty(name="Cast Shadows", description="By the heads' meshes", default=True)
    reflections: bpy.props.BoolProperty(
        name="In Reflections", description="The heads' meshes are reflected and give indirect light", default=True
    )

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        compositing.set_up(context.scene, shadows=self.shadows, reflections=self.reflections)
        return {"FINISHED"}


class GSHEAD_OT_remove_from_compositor(bpy.types.Operator):
    """Take the heads out of this scene's compositor and leave everything as it was before"""

    bl_idname = "gshead.remove_from_compositor"
    bl_label = "Remove from Compositor"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: Any) -> bool:
        return compositing.is_set_up(context.scene)

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        compositing.remove(context.scene)
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_add_to_compositor, GSHEAD_OT_remove_from_compositor)
