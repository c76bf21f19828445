"""The head as a mesh that needs nothing of this project: 52 complete ARKit shape keys, two bones, a texture, keys.

Channels live on the head's own armature and turn joints there, which no exporter can know. So a copy is made whose
shape keys each do all that their channel does, exported by Blender's own exporters, and taken away again. It stands at
the origin, upright, whatever the head's own place in the scene.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from gshead_backend.avatar.take import Channel
from gshead_backend.avatar.types import Avatar
from gshead_backend.errors import ArgumentError, ExportError
from gshead_backend.export.morphs import complete_morphs
from gshead_backend.export.texture import texture_png
from gshead_backend.head import ARKIT_NAMES

from . import compat, storage
from .rig.axes import to_blender
from .take_sampling import Sampled, sample
from .takes import write_keys
from .usd_export import checked_frames

FORMATS = (".glb", ".fbx")
BONES = {"root": "headRotation", "neck": "neckRotation"}
_LENGTH = 0.08


@dataclass(frozen=True)
class FaceMesh:
    """The copy: its mesh object and its armature object."""

    mesh: Any
    rig: Any


def export_face(context: Any, mesh_object: Any, path: str | Path, frames: range | None = None) -> Path:
    """Write the head as an ARKit mesh over ``frames`` (the scene's range by default); returns the file.

    Args:
        path: .glb or .fbx.
    Raises:
        ArgumentError: another ending. ExportError: the exporter is not there, or failed; and as ``storage.read``.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ArgumentError(f"'{path.name}' must end in {' or '.join(FORMATS)}.")
    export = _exporter(path.suffix.lower())
    frames = checked_frames(context, frames)
    sampled = sample(context, mesh_object, frames)
    with _alone(context), tempfile.TemporaryDirectory() as folder:
        made = build(context, mesh_object, sampled, Path(folder))
        try:
            result = export(path)
        except RuntimeError as error:
            raise ExportError(f"'{path}' could not be written: {str(error).strip()}") from error
        finally:
            _remove(made)
    if result != {"FINISHED"} or not path.is_file():
        raise ExportError(f"Blender's exporter wrote no '{path}'.", remedy="Look at Blender's console.")
    return path


def build(context: Any, mesh_object: Any, sampled: Sampled, folder: Path) -> FaceMesh:
    """Add the copy to the scene, keyed and selected; ``folder`` holds the texture until it is packed."""
    avatar = storage.read(mesh_object.data).avatar
    rig = _armature(context, avatar, mesh_object.name)
    mesh = _mesh(avatar, mesh_object.name, folder)
    context.collection.objects.link(mesh)
    mesh.parent = rig
    mesh.modifiers.new("Armature", "ARMATURE").object = rig
    _key(rig, mesh, sampled)
    for obj in (rig, mesh):
        obj.select_set(True)
    return FaceMesh(mesh, rig)


def _exporter(ending: str) -> Any:
    name = {".glb": "gltf", ".fbx": "fbx"}[ending]
    if name not in dir(bpy.ops.export_scene):
        raise ExportError(
            f"Blender's {name} exporter is switched off.", remedy="Switch its add-on on in the preferences."
        )
    if name == "gltf":
        return lambda path: bpy.ops.export_scene.gltf(
            filepath=str(path), export_format="GLB", use_selection=True, export_yup=True, export_animations=True,
            export_frame_range=True, export_morph_normal=False, export_optimize_animation_size=False,
        )  # fmt: skip
    return lambda path: bpy.ops.export_scene.fbx(
        filepath=str(path), use_selection=True, object_types={"ARMATURE", "MESH"}, add_leaf_bones=False,
        use_armature_deform_only=True, bake_anim_use_nla_strips=False, bake_anim_use_all_actions=False,
        path_mode="COPY", embed_textures=True,
    )  # fmt: skip


def _mesh(avatar: Avatar, name: str, folder: Path) -> Any:
    head, rest = avatar.head, to_blender(avatar.personal.rest)
    data = bpy.data.meshes.new(f"{name} ARKit")
    data.from_pydata(rest.tolist(), [], head.faces.tolist())
    data.shade_smooth()
    uv = data.uv_layers.new(name="UVMap")
    uv.data.foreach_set("uv", head.uv[head.uv_faces].astype(np.float32).ravel())
    data.materials.append(_material(avatar, name, folder))
    obj = bpy.data.objects.new(f"{name} ARKit", data)
    weights = np.stack([head.skin_weights[:, 0], head.skin_weights[:, 1:].sum(1)], 1)
    for column, bone in enumerate(BONES):
        group = obj.vertex_groups.new(name=bone)
        for i in np.flatnonzero(weights[:, column] > 0).tolist():
            group.add([i], float(weights[i, column]), "REPLACE")
    obj.shape_key_add(name="Basis", from_mix=False)
    for channel, delta in zip(ARKIT_NAMES, complete_morphs(avatar.personal), strict=True):
        block = obj.shape_key_add(name=channel, from_mix=False)
        block.points.foreach_set("co", (rest + to_blender(delta)).astype(np.float32).ravel())
        block.value = 0.0
    return obj


def _material(avatar: Avatar, name: str, folder: Path) -> Any:
    (folder / f"{name}.png").write_bytes(texture_png(avatar))
    image = bpy.data.images.load(str(folder / f"{name}.png"))
    image.pack()
    material = bpy.data.materials.new(f"{name} ARKit")
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    source = tree.nodes.new("ShaderNodeTexImage")
    source.image = image
    tree.links.new(source.outputs["Color"], shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value = 0.55
    return material


def _armature(context: Any, avatar: Avatar, name: str) -> Any:
    data = bpy.data.armatures.new(f"{name} ARKit Rig")
    rig = bpy.data.objects.new(f"{name} ARKit Rig", data)
    context.collection.objects.link(rig)
    context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    parent = None
    for bone_name, place in zip(BONES, to_blender(avatar.personal.joints[:2].astype(np.float64)), strict=True):
        bone = data.edit_bones.new(bone_name)
        bone.head = place
        bone.tail = bone.head + type(bone.head)((0.0, 0.0, _LENGTH))
        bone.align_roll((0.0, -1.0, 0.0))  # the bone's axes are head space's
        bone.parent, parent = parent, bone
    bpy.ops.object.mode_set(mode="OBJECT")
    for bone in rig.pose.bones:
        bone.rotation_mode = "XYZ"
    return rig


def _key(rig: Any, mesh: Any, sampled: Sampled) -> None:
    times = np.array(sampled.frames, np.float64)
    keys = mesh.data.shape_keys
    bag = compat.channelbag(keys, compat.ensure_action(keys, mesh.name))
    for name in ARKIT_NAMES:
        if name in sampled.shapes:
            channel = Channel(times, sampled.shapes[name])
            write_keys(compat.curve(bag, f'key_blocks["{name}"].value', 0, mesh.name), times, channel.values, channel)
    bag = compat.channelbag(rig, compat.ensure_action(rig, rig.name))
    for bone, name in BONES.items():
        path, turns = f'pose.bones["{bone}"].rotation_euler', np.radians(sampled.rotations[name])
        for axis in range(3):
            channel = Channel(times, turns[:, axis])
            write_keys(compat.curve(bag, path, axis, bone), times, channel.values, channel)


@contextlib.contextmanager
def _alone(context: Any) -> Iterator[None]:
    """Object mode with nothing selected; mode, selection and active object are put back."""
    layer = context.view_layer
    active, mode, chosen = layer.objects.active, context.mode, list(context.selected_objects)
    if active is not None and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    for obj in chosen:
        obj.select_set(False)
    try:
        yield
    finally:
        for obj in chosen:
            obj.select_set(True)
        layer.objects.active = active
        if active is not None and mode in ("POSE", "EDIT_MESH", "EDIT_ARMATURE", "SCULPT", "PAINT_WEIGHT"):
            bpy.ops.object.mode_set(mode={"PAINT_WEIGHT": "WEIGHT_PAINT"}.get(mode, mode.split("_")[0]))


def _remove(made: FaceMesh) -> None:
    data, armature = made.mesh.data, made.rig.data
    materials = list(data.materials)
    images = [n.image for m in materials for n in m.node_tree.nodes if n.bl_idname == "ShaderNodeTexImage"]
    actions = [owner.animation_data.action for owner in (data.shape_keys, made.rig) if owner.animation_data]
    for obj in (made.mesh, made.rig):
        bpy.data.objects.remove(obj)
    bpy.data.meshes.remove(data)
    bpy.data.armatures.remove(armature)
    for items, owner in ((materials, bpy.data.materials), (images, bpy.data.images), (actions, bpy.data.actions)):
        for item in items:
            owner.remove(item)
