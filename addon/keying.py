"""What animators key with: a keying set for ``I``, and sliders in the panel that move the control bones."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import bpy

from . import compat, heads
from .rig.controls import ControlCurve, control_curves, control_paths

_SAME_FRAME = 1e-3


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


def key_state(rig: Any, curve: ControlCurve, frame: float) -> bool | None:
    """Whether a channel's control has a key at a frame; None when it is not animated at all."""
    found = compat.find_curve(rig, curve.data_path, curve.array_index)
    if found is None:
        return None
    keys = found.keyframe_points  # in order of time; the panel asks for every slider, a take has thousands
    at = bisect_left(keys, frame - _SAME_FRAME, key=lambda point: point.co.x)
    return at < len(keys) and abs(keys[at].co.x - frame) < _SAME_FRAME


def toggle_key(rig: Any, channel: str, frame: float) -> bool:
    """Key a channel's control as it is, or take its key at ``frame`` away; returns whether it has one now."""
    curve = control_curves(rig)[channel]
    path, index, _, _, group = curve
    index = -1 if path.startswith("[") else index
    if key_state(rig, curve, frame):
        rig.keyframe_delete(path, index=index, frame=frame)
        return False
    return rig.keyframe_insert(path, index=index, frame=frame, group=group)


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
