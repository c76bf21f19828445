"""What animators key with: a keying set for ``I``, and sliders in the panel that move the control bones."""

from __future__ import annotations

from typing import Any

import bpy

from . import heads
from .rig.controls import control_paths


class GSHEAD_KS_head(bpy.types.KeyingSetInfo):
    """Every control of the active Gaussian head: board, bones and eye target"""

    bl_idname = "GSHEAD_KS_head"
    bl_label = "Gaussian Head"

    def poll(self, context: Any) -> bool:
        return heads.rig_of(context.object) is not None

    def iterator(self, context: Any, keying_set: Any) -> None:
        self.generate(context, keying_set, heads.rig_of(context.object))

    def generate(self, _context: Any, keying_set: Any, rig: Any) -> None:
        for path, index, group in control_paths(rig):
            keying_set.paths.add(rig, path, index=index if path[0] != "[" else -1, group_method="NAMED",
                                 group_name=group)  # fmt: skip


def _get_value(bone: Any) -> float:
    return bone.location[1]


def _set_value(bone: Any, value: float) -> None:
    bone.location[1] = min(max(value, 0.0), 1.0)  # the bounds hold in the panel only
    if bpy.context.scene.tool_settings.use_keyframe_insert_auto:
        bone.keyframe_insert("location", index=1, group=bone.name)


def register() -> None:
    bpy.utils.register_class(GSHEAD_KS_head)
    # A bone's location has no bounds that a slider could show; what is keyed is the location, never this.
    bpy.types.PoseBone.gshead_value = bpy.props.FloatProperty(
        name="Value", description="The slider's control bone; the diamond keys it", min=0.0, max=1.0, step=1,
        precision=3, get=_get_value, set=_set_value, options={"SKIP_SAVE"}, override={"LIBRARY_OVERRIDABLE"},
    )  # fmt: skip


def unregister() -> None:
    del bpy.types.PoseBone.gshead_value
    bpy.utils.unregister_class(GSHEAD_KS_head)
