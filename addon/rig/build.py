"""Building the rig of an avatar: mesh, shape keys, armature, channels and drivers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from gshead_backend.avatar.types import Avatar

from . import layout
from .axes import to_blender
from .build_controls import add_controls
from .drivers import drive_by_property, drive_by_rotation, drive_by_sum

SKIN_ATTRIBUTE = "gshead_color"


@dataclass(frozen=True)
class HeadObjects:
    """What one head is made of in the scene: the mesh object and the armature object that carries its channels."""

    mesh: Any
    rig: Any


def build_head(context: Any, avatar: Avatar, name: str) -> HeadObjects:
    """Add mesh and armature of ``avatar`` to the active collection, keyable and evaluated by the depsgraph alone."""
    if context.object is not None and context.object.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    rig = _build_armature(context, avatar, name)
    mesh = _build_mesh(avatar, name)
    context.collection.objects.link(mesh)
    mesh.parent = rig
    modifier = mesh.modifiers.new("Rig", "ARMATURE")
    modifier.object = rig
    keys = layout.shape_keys(avatar.head)
    _add_channels(rig, keys)
    _add_shape_keys(mesh, avatar, keys)
    _add_drivers(mesh, rig, avatar, keys)
    add_controls(context, rig, avatar)
    return HeadObjects(mesh, rig)


def _build_mesh(avatar: Avatar, name: str) -> Any:
    head, person = avatar.head, avatar.personal
    faces = np.ascontiguousarray(head.faces, np.int32)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(head.vertex_count)
    mesh.vertices.foreach_set("co", to_blender(person.rest).astype(np.float32).ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    uv = mesh.uv_layers.new(name="UVMap")
    uv.data.foreach_set("uv", head.uv[head.uv_faces].astype(np.float32).ravel())
    mesh.update(calc_edges=True)
    _paint(mesh, avatar)
    obj = bpy.data.objects.new(name, mesh)
    for joint, bone in enumerate(layout.JOINT_BONES):
        group = obj.vertex_groups.new(name=bone)
        weights = head.skin_weights[:, joint]
        full = np.flatnonzero(weights == 1)
        if full.size:
            group.add(full.tolist(), 1.0, "REPLACE")
        for i in np.flatnonzero((weights > 0) & (weights != 1)).tolist():
            group.add([i], float(weights[i]), "REPLACE")
    return obj


def _paint(mesh: Any, avatar: Avatar) -> None:
    """A plain material that shows the splats' colours on the mesh, for working without the backend."""
    opacity = 1 / (1 + np.exp(-avatar.opacity_logit.astype(np.float64)))
    corners = avatar.head.faces[avatar.triangle]
    srgb = layout.vertex_colors(avatar.color, opacity, corners, avatar.bary, avatar.head.vertex_count)
    rgba = np.concatenate([np.clip(srgb, 0, 1), np.ones((len(srgb), 1), np.float32)], 1).astype(np.float32)
    attribute = mesh.color_attributes.new(SKIN_ATTRIBUTE, "BYTE_COLOR", "POINT")
    attribute.data.foreach_set("color_srgb", rgba.ravel())
    material = bpy.data.materials.new(mesh.name)
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    shader = next(n for n in tree.nodes if n.bl_idname == "ShaderNodeBsdfPrincipled")
    source = tree.nodes.new("ShaderNodeVertexColor")
    source.layer_name, source.location = SKIN_ATTRIBUTE, (shader.location.x - 220, shader.location.y)
    tree.links.new(source.outputs["Color"], shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value = 0.55
    mesh.materials.append(material)


def _build_armature(context: Any, avatar: Avatar, name: str) -> Any:
    data = bpy.data.armatures.new(f"{name} Rig")
    rig = bpy.data.objects.new(f"{name} Rig", data)
    context.collection.objects.link(rig)
    for other in context.selected_objects:
        other.select_set(False)
    context.view_layer.objects.active = rig
    rig.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    joints = dict(zip(layout.JOINT_BONES, to_blender(avatar.personal.joints.astype(np.float64)), strict=True))
    for bone_name, parent in layout.bone_parents(avatar.head).items():
        joint = bone_name.removeprefix("MCH-").removeprefix(layout.COPY_PREFIX)
        bone = data.edit_bones.new(bone_name)
        # Straight up with roll 0: the bone's axes are head space's, so its local rotation is FLAME's.
        bone.head = joints[joint]
        bone.tail = bone.head + type(bone.head)((0.0, 0.0, layout.BONE_LENGTH[joint]))
        bone.align_roll((0.0, -1.0, 0.0))
        bone.parent = data.edit_bones[parent] if parent else None
        bone.use_deform = bone_name in layout.JOINT_BONES
    bpy.ops.object.mode_set(mode="OBJECT")
    controls, mechanism = data.collections.new("Controls"), data.collections.new("Mechanism")
    mechanism.is_visible = False
    for bone in data.bones:
        (controls if bone.name in layout.JOINT_BONES else mechanism).assign(bone)
    for bone in rig.pose.bones:
        bone.rotation_mode = "XYZ"
        if bone.name not in layout.JOINT_BONES:
            bone.lock_location = bone.lock_scale = bone.lock_rotation = (True, True, True)
        if bone.name.startswith(layout.COPY_PREFIX):
            copy = bone.constraints.new("COPY_ROTATION")
            copy.target, copy.subtarget = rig, bone.name.removeprefix(layout.COPY_PREFIX)
    rig.show_in_front = True
    data.display_type = "STICK"
    return rig


def _add_channels(rig: Any, keys: list[layout.ShapeKey]) -> None:
    """Bounded, keyable sliders on the armature object: one ID holds bones and channels, so one Action slot a take."""
    for key in keys:
        rig[key.channel] = 0.0
        kind = "Raw expression coefficient" if key.channel.startswith(layout.RAW_PREFIX) else "ARKit channel"
        rig.id_properties_ui(key.channel).update(
            min=key.low, max=key.high, soft_min=key.low, soft_max=key.high, default=0.0, step=1.0, precision=3,
            description=f"{kind} {key.channel.removeprefix(layout.RAW_PREFIX)}",
        )  # fmt: skip
        rig.property_overridable_library_set(f'["{key.channel}"]', True)


def _add_shape_keys(obj: Any, avatar: Avatar, keys: list[layout.ShapeKey]) -> None:
    rest = to_blender(avatar.personal.rest)
    obj.shape_key_add(name="Basis", from_mix=False)
    for key in keys:
        block = obj.shape_key_add(name=key.name, from_mix=False)
        block.slider_min, block.slider_max = key.low, key.high
        block.value = 0.0
        _move(block, rest, key.delta(avatar.personal))
    for name, _, _, delta in layout.correctives(avatar.head):
        block = obj.shape_key_add(name=name, from_mix=False)
        block.slider_min, block.slider_max = -2.0, 2.0
        block.value = 0.0
        _move(block, rest, delta)
    obj.active_shape_key_index = 0


def _move(block: Any, rest: np.ndarray, delta: np.ndarray) -> None:
    moved = rest + to_blender(delta)
    block.points.foreach_set("co", moved.astype(np.float32).ravel())  # "data" copies value by value, 200 times slower


def _add_drivers(obj: Any, rig: Any, avatar: Avatar, keys: list[layout.ShapeKey]) -> None:
    blocks = obj.data.shape_keys
    for key in keys:
        drive_by_property(blocks, f'key_blocks["{key.name}"].value', rig, key.channel)
    for (bone, axis), terms in layout.bone_drivers(avatar.head).items():
        drive_by_sum(rig, f'pose.bones["{bone}"].rotation_euler', rig, terms, index=axis)
    for name, bone, expression, _ in layout.correctives(avatar.head):
        drive_by_rotation(blocks, f'key_blocks["{name}"].value', rig, bone, expression)
