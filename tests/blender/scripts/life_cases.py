"""What users do to heads in one file: undo, duplicate, delete, rename, scenes, other topology; one case each."""

from __future__ import annotations

from typing import Any

import bpy
import common
from life_stage import OUT, ada, fresh, jaw, jaws, open_jaw, run, select, states, texts


def undo_of_loading() -> dict[str, Any]:
    fresh()
    bpy.ops.ed.undo_push(message="start")
    source = OUT / "Grace.gshead"
    from gshead_backend.avatar.file import avatar_to_bytes

    source.write_bytes(avatar_to_bytes(common.tiny_avatar(300, seed=9)))
    bpy.ops.gshead.load_avatar(filepath=str(source))
    bpy.ops.ed.undo_push(message="Load Avatar")
    loaded = sorted(states()), texts()
    bpy.ops.ed.undo()
    undone = sorted(states()), texts()
    bpy.ops.ed.redo()
    redone = sorted(states()), texts()
    ids = {n: h.stored.avatar_id for n, h in states().items()}
    return {"loaded": loaded, "undone": undone, "redone": redone, "different": len(set(ids.values()))}


def undo_of_deleting() -> dict[str, Any]:
    mesh, rig = fresh()
    open_jaw(rig, 0.5)
    before = jaws()
    bpy.ops.ed.undo_push(message="start")
    select(mesh, rig)
    bpy.ops.object.delete()
    bpy.ops.ed.undo_push(message="Delete")
    gone = sorted(states())
    bpy.ops.ed.undo()
    back = jaws()
    mesh, rig = ada()
    open_jaw(rig, 0.0)
    return {"before": before, "gone": gone, "back": back, "still_driven": jaws()}


def delete_and_purge() -> dict[str, Any]:
    mesh, rig = fresh()
    select(mesh, rig)
    bpy.ops.object.delete()
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    return {"texts": texts(), "heads": sorted(states())}


def full_duplicate() -> dict[str, Any]:
    mesh, rig = fresh()
    select(mesh, rig)
    bpy.ops.object.duplicate()
    twin = common.module("heads").rig_of(bpy.context.object)
    open_jaw(twin, 0.5)
    return {"jaws": jaws(), "texts": texts()}


def linked_duplicate() -> dict[str, Any]:
    mesh, rig = fresh()
    select(mesh, rig)
    bpy.ops.object.duplicate(linked=True)
    heads = common.module("heads")
    twin, twin_rig = heads.mesh_of(bpy.context.object), heads.rig_of(bpy.context.object)
    open_jaw(twin_rig, 0.5)
    pucker = {"mouthPucker": 1.0}
    common.module("rig.controls").set_channels(rig, pucker)
    rig.update_tag()
    bpy.context.view_layer.update()
    shared = {n: round(float(abs(h.state.pose.expression).max()), 3) for n, h in states().items()}
    notes = {o.name: common.module("health").problems(o) for o in (mesh, twin)}
    select(twin)
    bpy.ops.gshead.make_single_user()
    own = {n: round(float(abs(h.state.pose.expression).max()), 3) for n, h in states().items()}
    common.module("rig.controls").set_channels(twin_rig, pucker)
    twin_rig.update_tag()
    bpy.context.view_layer.update()
    both = {n: round(float(abs(h.state.pose.expression).max()), 3) for n, h in states().items()}
    after = {o.name: common.module("health").problems(o) for o in (mesh, twin)}
    vertices = [n for n, h in states().items() if h.state.vertices is not None]
    return {"shared": shared, "notes": notes, "own": own, "both": both, "after": after, "jaws": jaws(),
            "texts": texts(), "as_vertices": vertices}  # fmt: skip


def renamed() -> dict[str, Any]:
    mesh, rig = fresh()
    mesh.name, mesh.data.name, rig.name, rig.data.name = "Björn", "Data", "Armature", "Bones"
    open_jaw(rig, 0.5)
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "renamed.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(OUT / "renamed.blend"))
    return {"jaws": jaws(), "rig": common.module("heads").rig_of(bpy.data.objects["Björn"]).name}


def two_scenes() -> dict[str, Any]:
    mesh, rig = fresh()
    open_jaw(rig, 0.5)
    other = bpy.data.scenes.new("Other")
    for obj in (mesh, rig):
        other.collection.objects.link(obj)
    found = []
    for scene in bpy.data.scenes:
        bpy.context.window.scene = scene
        found.append(jaws())
    bpy.context.window.scene = bpy.data.scenes[0]
    bpy.data.scenes.remove(other)
    return {"scenes": found, "after": jaws()}


def full_scene_copy() -> dict[str, Any]:
    _, rig = fresh()
    open_jaw(rig, 0.5)
    with bpy.context.temp_override(scene=bpy.context.scene):
        bpy.ops.scene.new(type="FULL_COPY")
    copy = next(s for s in bpy.data.scenes if s != bpy.data.scenes[0])
    twin = next(o for o in copy.objects if o.type == "ARMATURE")
    common.module("rig.controls").set_channels(twin, {"jawOpen": 0.0})
    found = []
    for scene in bpy.data.scenes:
        scene.view_layers[0].update()
        found.append([jaw(h) for h in common.module("heads").visible_heads(scene.view_layers[0].depsgraph)])
    return {"scenes": found, "texts": texts()}


def single_user_mesh() -> dict[str, Any]:
    mesh, rig = fresh()
    mesh.data = mesh.data.copy()
    bpy.data.orphans_purge()
    open_jaw(rig, 0.5)
    return {"jaws": jaws(), "problems": common.module("health").problems(mesh)}


def joined() -> dict[str, Any]:
    mesh, rig = fresh()
    open_jaw(rig, 0.5)
    bpy.ops.mesh.primitive_cube_add(size=0.1)
    cube = bpy.context.object
    select(cube, mesh)
    bpy.ops.object.join()
    found = states()["Ada"]
    return {"warning": found.warning, "jaws": jaws(), "problems": common.module("health").problems(mesh)}


def joined_into_another() -> dict[str, Any]:
    mesh, _ = fresh()
    bpy.ops.mesh.primitive_cube_add(size=0.1)
    cube = bpy.context.object
    select(mesh, cube)
    bpy.ops.object.join()
    bpy.data.orphans_purge(do_recursive=True)
    return {"heads": sorted(states()), "texts": texts()}


def rig_deleted() -> dict[str, Any]:
    mesh, rig = fresh()
    bpy.data.objects.remove(rig)
    bpy.context.view_layer.update()
    return {"jaws": jaws(), "problems": common.module("health").problems(mesh)}


def bone_renamed() -> dict[str, Any]:
    mesh, rig = fresh()
    rig.data.bones["jaw"].name = "kiefer"
    bpy.context.view_layer.update()
    return {"heads": sorted(states()), "problems": common.module("health").problems(mesh)}


run(
    (
        undo_of_loading,
        undo_of_deleting,
        delete_and_purge,
        full_duplicate,
        linked_duplicate,
        renamed,
        two_scenes,
        full_scene_copy,
        single_user_mesh,
        joined,
        joined_into_another,
        rig_deleted,
        bone_renamed,
    )
)
