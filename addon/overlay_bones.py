"""The heads' own bones over their splats: Blender has drawn its bones before an overlay can draw anything."""

from __future__ import annotations

from typing import Any

import gpu
from gpu_extras.batch import batch_for_shader

from . import compat, storage
from .rig.layout import JOINT_BONES
from .rig.read_pose import find_rig

WIDTH = 2.5  # pixels of an unscaled interface


def draw(context: Any) -> None:
    """Sticks in the theme's colours for every rig that is to be seen in front, as Blender's own."""
    space = context.space_data
    if not (space.overlay.show_overlays and space.overlay.show_bones and space.show_object_viewport_armature):
        return
    theme = context.preferences.themes[0].view_3d
    rigs = {find_rig(obj) for obj in context.view_layer.objects if storage.is_head(obj)} - {None}
    lines: dict[tuple[float, ...], list[Any]] = {}
    for rig in rigs:
        if not (rig.show_in_front and rig.visible_in_viewport_get(space)):
            continue
        for bone in (rig.pose.bones.get(name) for name in JOINT_BONES):
            if bone is not None and not compat.bone_hidden(bone):
                color = _color(rig, bone, theme, context)
                lines.setdefault(color, []).extend((rig.matrix_world @ bone.head, rig.matrix_world @ bone.tail))
    if not lines:
        return
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", WIDTH * context.preferences.system.ui_scale)
    for color, points in lines.items():
        shader.uniform_float("color", (*color, 1.0))
        batch_for_shader(shader, "LINES", {"pos": points}).draw(shader)


def _color(rig: Any, bone: Any, theme: Any, context: Any) -> tuple[float, ...]:
    if rig.mode == "POSE":
        if bone.bone == rig.data.bones.active and compat.bone_selected(bone):
            return tuple(theme.bone_pose_active)
        return tuple(theme.bone_pose if compat.bone_selected(bone) else theme.bone_solid)
    if rig.select_get():
        return tuple(theme.object_active if rig == context.view_layer.objects.active else theme.object_selected)
    return tuple(theme.wire[:3])
