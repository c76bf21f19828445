"""What users do to heads: undo, duplicate, delete, link, override, rename, scenes, other topology; one case each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import common
import render_setup

OUT = Path(common.ARGS["out"])


def texts() -> int:
    return len([t for t in bpy.data.texts if t.name.startswith(".gshead")])


def states() -> dict[str, Any]:
    found = common.module("heads").visible_heads(bpy.context.evaluated_depsgraph_get())
    return {head.name: head for head in found}


def jaw(head: Any) -> float:
    return round(float(abs(head.state.pose.jaw_pose).max()), 4)


def open_jaw(rig: Any, value: float) -> None:
    common.module("rig.controls").set_channels(rig, {"jawOpen": value})
    rig.update_tag()
    bpy.context.view_layer.update()


def jaws() -> dict[str, float]:
    return {name: jaw(head) for name, head in states().items()}


def ada() -> tuple[Any, Any]:
    return bpy.data.objects["Ada"], bpy.data.objects["Ada Rig"]


def select(*objects: Any) -> None:
    for obj in bpy.context.scene.objects:
        obj.select_set(obj in objects)
    bpy.context.view_layer.objects.active = objects[-1]


def fresh() -> tuple[Any, Any]:
    """One head, Ada, in an otherwise empty file."""
    common.enable()
    made = common.module("heads").add_head(bpy.context, render_setup.tiny_bytes(), "Ada")
    bpy.context.view_layer.update()
    return made.mesh, made.rig


def saved() -> Path:
    """A file with one head in a collection, its jaw half open."""
    mesh, rig = fresh()
    open_jaw(rig, 0.5)
    collection = bpy.data.collections.new("Cast")
    bpy.context.scene.collection.children.link(collection)
    for obj in (mesh, rig):
        for user in obj.users_collection:
            user.objects.unlink(obj)
        collection.objects.link(obj)
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "cast.blend"))
    return OUT / "cast.blend"


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


def said(call: Callable[[], Any]) -> str:
    """What an operator refuses with."""
    try:
        call()
    except Exception as error:
        return str(error)
    return ""


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


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    case.__name__: case
    for case in (
        undo_of_loading, undo_of_deleting, delete_and_purge, full_duplicate, linked_duplicate, append_from_file,
        append_twice, linked_instance, library_override,
        override_made_by_the_menu, renamed, two_scenes, full_scene_copy, single_user_mesh,
        joined, joined_into_another, rig_deleted, bone_renamed,
        unpacked, linked_unpacked,
    )
}  # fmt: skip


def main() -> None:
    import traceback

    seen = {}
    for name, case in CASES.items():
        try:
            seen[name] = case()
        except Exception as error:
            seen[name] = {"failed": "".join(traceback.format_exception(error))}
    common.report(**seen)


common.run(main)
