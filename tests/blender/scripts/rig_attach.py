"""A head hung on a body's head bone: posed, scaled, undone, detached, and on an armature linked from a file."""

from __future__ import annotations

from pathlib import Path

import bpy
import common
import numpy as np
import render_setup
from mathutils import Matrix


def body(name: str) -> bpy.types.Object:
    """An armature with a spine and a bone called DEF-spine.006, scaled, turned and posed."""
    data = bpy.data.armatures.new(name)
    obj = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    parent = None
    for k, bone_name in enumerate(("spine", "chest", "DEF-spine.006")):
        bone = data.edit_bones.new(bone_name)
        bone.head, bone.tail = (0, 0.02 * k, 0.5 * k), (0, 0.02 * k + 0.05, 0.5 * k + 0.4)
        bone.parent, parent = parent, bone
    bpy.ops.object.mode_set(mode="OBJECT")
    obj.location, obj.rotation_euler, obj.scale = (0.3, -0.4, 0.2), (0.1, 0.2, 1.1), (1.5, 1.5, 1.5)
    obj.pose.bones["chest"].rotation_mode = "XYZ"
    obj.pose.bones["chest"].rotation_euler = (0.2, 0.4, 0.1)
    bpy.context.view_layer.update()
    return obj


def world(obj) -> np.ndarray:
    bpy.context.view_layer.update()
    return np.array(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world)


def choose(*objects) -> None:
    for obj in bpy.context.scene.objects:
        obj.select_set(obj in objects)
    bpy.context.view_layer.objects.active = objects[0]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def main() -> None:
    common.enable()
    out = Path(common.ARGS["out"])
    seen = {}
    made = common.module("heads").add_head(bpy.context, render_setup.tiny_bytes(), "Ada")
    rig, mesh = made.rig, made.mesh
    rig.location, rig.rotation_euler = (0.1, 0.2, 1.6), (0.0, 0.3, 0.1)
    rig.keyframe_insert("location", frame=1)
    bare = {}
    for label, extra in (("nothing", ()), ("no_bone", ("Ada Rig", "x"))):
        try:
            choose(rig)
            bpy.ops.gshead.attach(**(dict(zip(("armature", "bone"), extra, strict=True)) if extra else {}))
        except RuntimeError as error:
            bare[label] = str(error)
    seen["refused"] = bare
    person = body("Body")
    choose(rig, person)
    before = world(rig)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.gshead.attach()
    seen["bone"] = [rig.parent.name, rig.parent_bone]
    seen["kept"] = apart(world(rig), before)
    bpy.context.scene.frame_set(1)
    seen["kept_with_keys"] = apart(world(rig), before)
    rig.animation_data_clear()
    bone = person.pose.bones["chest"]
    carrier = np.array(person.matrix_world @ person.pose.bones["DEF-spine.006"].matrix)
    bone.rotation_euler = (-0.3, 0.1, 0.5)
    after = world(rig)
    turned = np.array(person.matrix_world @ person.pose.bones["DEF-spine.006"].matrix)
    seen["followed"] = apart(after, turned @ np.linalg.inv(carrier) @ before)
    seen["moved"] = apart(after, before)
    bpy.ops.gshead.detach()
    seen["detached"] = [rig.parent is None, apart(world(rig), after)]

    choose(rig, person)
    bpy.context.view_layer.objects.active = person
    bpy.ops.object.mode_set(mode="POSE")
    person.data.bones.active = person.data.bones["chest"]
    bpy.ops.ed.undo_push(message="posing")
    bpy.ops.gshead.attach()
    seen["active_bone"] = rig.parent_bone
    bpy.ops.ed.undo_push(message="attached")
    bpy.ops.ed.undo()
    rig, person = bpy.data.objects["Ada Rig"], bpy.data.objects["Body"]
    seen["undone"] = [rig.parent is None, apart(world(rig), after)]
    if person.mode != "OBJECT":
        bpy.context.view_layer.objects.active = person
        bpy.ops.object.mode_set(mode="OBJECT")
    choose(rig, person)
    bpy.ops.gshead.attach()
    seen["after_undo"] = apart(world(rig), after)
    bpy.ops.gshead.detach()

    bpy.data.objects.remove(person)
    body("Linked")
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "body.blend"), copy=True)
    bpy.data.objects.remove(bpy.data.objects["Linked"])
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    with bpy.data.libraries.load(str(out / "body.blend"), link=True) as (_, target):
        target.objects = ["Linked"]
    linked = target.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    choose(rig, linked)
    bpy.ops.gshead.attach()
    seen["linked"] = [rig.parent_bone, apart(world(rig), after), linked.library is not None]
    file = str(out / "attached.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file)
    bpy.ops.wm.open_mainfile(filepath=file)
    seen["reopened"] = apart(world(bpy.data.objects["Ada Rig"]), after)
    rig = bpy.data.objects["Ada Rig"]
    rig.parent = None
    rig.matrix_world = Matrix(after)
    seen["mesh"] = bpy.data.objects["Ada"].parent == rig
    del mesh
    common.report(**seen)


common.run(main)
