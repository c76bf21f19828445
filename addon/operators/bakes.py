"""Baking to shape keys and back to controls."""

from __future__ import annotations

from typing import Any

import bpy

from .. import bake, heads
from ..timeline import played_frames
from .reporting import reports_errors


class _Bake:
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: Any) -> bool:
        mesh = heads.mesh_of(context.object)
        return mesh is not None and mesh.data.shape_keys is not None


class _OverFrames(_Bake):
    frame_start: bpy.props.IntProperty(name="Start", description="First frame", options={"SKIP_SAVE"})
    frame_end: bpy.props.IntProperty(name="End", description="Last frame", options={"SKIP_SAVE"})

    def invoke(self, context: Any, event: Any) -> set[str]:
        frames = played_frames(context.scene)
        self.frame_start, self.frame_end = frames.start, frames.stop - 1
        return context.window_manager.invoke_props_dialog(self)

    def frames(self, context: Any) -> range:
        given = self.properties.is_property_set("frame_start") or self.properties.is_property_set("frame_end")
        return range(self.frame_start, self.frame_end + 1) if given else played_frames(context.scene)


class GSHEAD_OT_bake_shape_keys(_OverFrames, bpy.types.Operator):
    """Key the mesh's shape keys as they are seen on every frame; their drivers rest until the bake is removed"""

    bl_idname = "gshead.bake_shape_keys"
    bl_label = "Bake to Shape Keys"

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        action = bake.bake_to_shape_keys(context, heads.mesh_of(context.object), self.frames(context))
        self.report({"INFO"}, f"'{action.name}': {len(self.frames(context))} frames")
        return {"FINISHED"}


class GSHEAD_OT_bake_controls(_OverFrames, bpy.types.Operator):
    """Key the rig's controls as the shape keys are keyed, in a new action; the shape keys follow the rig again"""

    bl_idname = "gshead.bake_controls"
    bl_label = "Bake to Controls"

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        action = bake.bake_to_controls(context, heads.mesh_of(context.object), self.frames(context))
        self.report({"INFO"}, f"'{action.name}': {len(self.frames(context))} frames")
        return {"FINISHED"}


class GSHEAD_OT_remove_bake(_Bake, bpy.types.Operator):
    """Let the shape keys follow the rig again and remove their keys"""

    bl_idname = "gshead.remove_bake"
    bl_label = "Remove Bake"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return super().poll(context) and bake.is_baked(heads.mesh_of(context.object))

    @reports_errors
    def execute(self, context: Any) -> set[str]:
        bake.remove_bake(heads.mesh_of(context.object))
        return {"FINISHED"}


CLASSES = (GSHEAD_OT_bake_shape_keys, GSHEAD_OT_bake_controls, GSHEAD_OT_remove_bake)
