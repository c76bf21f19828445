"""Heads that come from other files, and avatars beside them: append, link, override, unpack; one case each."""

from __future__ import annotations

from typing import Any

import bpy
import common
import render_setup
from life_stage import OUT, ada, fresh, jaw, jaws, open_jaw, run, said, saved, select, states, texts


def append_from_file() -> dict[str, Any]:
    file = saved()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(file), link=False) as (_, target):
        target.collections = ["Cast"]
    bpy.context.scene.collection.children.link(target.collections[0])
    before = jaws()
    open_jaw(ada()[1], 0.0)
    return {"jaws": before, "closed": jaws(), "texts": texts(), "local": ada()[0].library is None}


def append_twice() -> dict[str, Any]:
    file = saved()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for _ in range(2):
        with bpy.data.libraries.load(str(file), link=False) as (_, target):
            target.collections = ["Cast"]
        bpy.context.scene.collection.children.link(target.collections[0])
    rigs = [o for o in bpy.context.scene.objects if o.type == "ARMATURE"]
    open_jaw(rigs[-1], 0.0)
    return {"jaws": sorted(jaws().values()), "ids": len({h.stored.avatar_id for h in states().values()})}


def linked_instance() -> dict[str, Any]:
    file = saved()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(file), link=True) as (_, target):
        target.collections = ["Cast"]
    empty = bpy.data.objects.new("Cast", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", target.collections[0]
    empty.location.x = 1.0
    bpy.context.scene.collection.objects.link(empty)
    found = states()
    return {"jaws": {n: jaw(h) for n, h in found.items()}, "x": [float(h.matrix[0, 3]) for h in found.values()]}


def library_override() -> dict[str, Any]:
    file = saved()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(file), link=True) as (_, target):
        target.collections = ["Cast"]
    scene = bpy.context.scene
    scene.collection.children.link(target.collections[0])
    linked = target.collections[0]
    linked.override_hierarchy_create(scene, bpy.context.view_layer, do_fully_editable=True)
    rig = next(o for o in bpy.data.objects if o.type == "ARMATURE" and o.override_library)
    assert any(o.type == "MESH" and o.override_library for o in bpy.data.objects)
    found = states()
    before = {n: jaw(h) for n, h in found.items()}
    open_jaw(rig, 1.0)
    common.module("rig.controls").set_channels(rig, {"mouthPucker": 1.0})
    rig.update_tag()
    bpy.context.view_layer.update()
    posed = states()
    select(rig)
    scene.frame_set(5)
    count = common.module("takes").key_everything(rig, 5)
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "shot.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(OUT / "shot.blend"))
    bpy.context.scene.frame_set(5)
    bpy.context.view_layer.update()
    again = states()
    return {
        "before": before, "posed": {n: jaw(h) for n, h in posed.items()}, "keyed": count,
        "pucker": {n: round(float(abs(h.state.pose.expression).max()), 3) for n, h in posed.items()},
        "again": {n: jaw(h) for n, h in again.items()},
        "local_texts": len([t for t in bpy.data.texts if not t.library]),
        "as_vertices": [n for n, h in posed.items() if h.state.vertices is not None]
    }  # fmt: skip


def override_made_by_the_menu() -> dict[str, Any]:
    file = saved()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(file), link=True) as (_, target):
        target.collections = ["Cast"]
    empty = bpy.data.objects.new("Cast", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", target.collections[0]
    bpy.context.scene.collection.objects.link(empty)
    select(empty)
    bpy.ops.object.make_override_library()
    rig = next(o for o in bpy.data.objects if o.type == "ARMATURE" and o.override_library)
    open_jaw(rig, 1.0)
    rig.keyframe_insert("location", frame=1)
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "menu.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(OUT / "menu.blend"))
    return {"jaws": jaws()}


def unpacked() -> dict[str, Any]:
    folder = OUT / "unpack"
    folder.mkdir()
    mesh, _ = fresh()
    wanted = common.module("storage").read(mesh.data).avatar_id
    select(mesh)
    unsaved = said(bpy.ops.gshead.unpack_avatar)
    file = folder / "a.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    packed_size = file.stat().st_size
    bpy.ops.gshead.unpack_avatar()
    bpy.ops.wm.save_mainfile()
    size = file.stat().st_size
    bpy.ops.wm.open_mainfile(filepath=str(file))
    again = {n: h.stored.avatar_id == wanted for n, h in states().items()}

    avatar = folder / "Ada.gshead"
    (folder / "away").mkdir()
    avatar.rename(folder / "away" / "moved.gshead")
    bpy.ops.wm.open_mainfile(filepath=str(file))
    select(bpy.data.objects["Ada"])
    missing = said(states)
    health = common.module("health").problems(bpy.data.objects["Ada"])
    other = folder / "other.gshead"
    other.write_bytes(render_setup.tiny_bytes(seed=77))
    wrong = said(lambda: bpy.ops.gshead.relink_avatar(filepath=str(other)))
    bpy.ops.gshead.relink_avatar(filepath=str(folder / "away" / "moved.gshead"))
    relinked = common.module("storage").file_of(bpy.data.objects["Ada"].data), sorted(states())
    bpy.ops.wm.save_mainfile()

    elsewhere = OUT / "elsewhere"
    elsewhere.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(elsewhere / "b.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(elsewhere / "b.blend"))
    carried = common.module("storage").packed_in_file(bpy.data.objects["Ada"].data), sorted(states())

    bpy.ops.wm.open_mainfile(filepath=str(file))
    select(bpy.data.objects["Ada"])
    bpy.ops.gshead.pack_avatar()
    bpy.ops.wm.save_mainfile()
    return {"unsaved": unsaved, "smaller": size < packed_size, "again": again, "missing": missing, "health": health,
            "wrong": wrong, "relinked": relinked, "carried": carried, "packed_again": file.stat().st_size > size,
            "kept": (folder / "away" / "moved.gshead").exists()}  # fmt: skip


def linked_unpacked() -> dict[str, Any]:
    folder = OUT / "lib"
    folder.mkdir()
    mesh, _ = fresh()
    select(mesh)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "lib.blend"))
    bpy.ops.gshead.unpack_avatar()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(folder / "lib.blend"), link=True) as (_, target):
        target.objects = ["Ada", "Ada Rig"]
    for obj in target.objects:
        bpy.context.scene.collection.objects.link(obj)
    linked = sorted(states())
    refused = said(lambda: common.module("storage").pack(bpy.data.meshes["Ada"]))
    common.enable()  # with the handlers, which factory settings take away
    bpy.ops.wm.append(directory=str(folder / "lib.blend" / "Object") + "/", filename="Ada")
    return {"heads": linked, "refused": refused, "appended": sorted(states())}


run(
    (
        append_from_file,
        append_twice,
        linked_instance,
        library_override,
        override_made_by_the_menu,
        unpacked,
        linked_unpacked,
    )
)
