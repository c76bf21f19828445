"""The heads' own bones over their splats: Blender has drawn its bones before an overlay can draw anything."""

from __future__ import annotations

from typing import Any

import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from . import compat, storage
from .rig.controls import TARGET_BONES
from .rig.layout import JOINT_BONES
from .rig.read_pose import find_rig

WIDTH = 2.5  # pixels of an unscaled interface, of a bone without a shape


def draw(context: Any) -> None:
    """The head's joints and the eye target in the theme's colours, for every rig that is to be seen in front."""
    space = context.space_data
    if not (space.overlay.show_overlays and space.overlay.show_bones and space.show_object_viewport_armature):
        return
    theme = context.preferences.themes[0]
    rigs = {find_rig(obj) for obj in context.view_layer.objects if storage.is_head(obj)} - {None}
    lines: dict[tuple[tuple[float, ...], float], list[np.ndarray]] = {}
    for rig in rigs:
        if not (rig.show_in_front and rig.visible_in_viewport_get(space)):
            continue
        for bone in (rig.pose.bones.get(name) for name in (*JOINT_BONES, *TARGET_BONES)):
            if bone is not None and not compat.bone_hidden(bone):
                kind = _color(rig, bone, theme, context), bone.custom_shape_wire_width if bone.custom_shape else WIDTH
                lines.setdefault(kind, []).append(_inside(context.region_data, _segments(rig, bone)))
    if not lines:
        return
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    for (color, width), segments in lines.items():
        shader.uniform_float("lineWidth", width * context.preferences.system.ui_scale)
        shader.uniform_float("color", (*color, 1.0))
        points = np.concatenate(segments).astype(np.float32)
        if not len(points):
            continue
        batch_for_shader(shader, "LINES", {"pos": points.tolist()}).draw(shader)


def _inside(view: Any, segments: np.ndarray) -> np.ndarray:
    """The lines that lie in a viewport's clipping region (Alt B) with both ends."""
    if not view.use_clip_planes:
        return segments
    planes = np.array(view.clip_planes)[:4]
    kept = (segments @ planes[:, :3].T + planes[:, 3] >= 0).all(1).reshape(-1, 2).all(1)
    return segments.reshape(-1, 2, 3)[kept].reshape(-1, 3)


def _segments(rig: Any, bone: Any) -> np.ndarray:
    """(2 K, 3) ends of lines in the world: the edges of a bone's shape, or the bone as a stick."""
    shape = bone.custom_shape
    if shape is None or shape.type != "MESH" or not shape.data.edges:
        return np.array([rig.matrix_world @ bone.head, rig.matrix_world @ bone.tail])
    mesh = shape.data
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    ends = np.empty(2 * len(mesh.edges), np.int32)
    mesh.edges.foreach_get("vertices", ends)
    size = bone.custom_shape_scale_xyz * (bone.bone.length if bone.use_custom_shape_bone_size else 1.0)
    own = Matrix.LocRotScale(bone.custom_shape_translation, bone.custom_shape_rotation_euler, size)
    frame = np.array(rig.matrix_world @ (bone.custom_shape_transform or bone).matrix @ own)
    return points.reshape(-1, 3)[ends] @ frame[:3, :3].T + frame[:3, 3]


def _color(rig: Any, bone: Any, theme: Any, context: Any) -> tuple[float, ...]:
    view = theme.view_3d
    if rig.mode != "POSE":
        if rig.select_get():
            return tuple(view.object_active if rig == context.view_layer.objects.active else view.object_selected)
        return tuple(view.wire[:3])
    selected = compat.bone_selected(bone)
    active = selected and bone.bone == rig.data.bones.active
    palette = bone.bone.color.palette
    if palette.startswith("THEME"):
        colors = theme.bone_color_sets[int(palette[5:]) - 1]
        return tuple(colors.active if active else colors.select if selected else colors.normal)
    if active:
        return tuple(view.bone_pose_active)
    return tuple(view.bone_pose if selected else view.bone_solid)
