"""The avatar stays with its head: save, reopen, duplicate, append, link, undo, delete; and it renders the same."""

from __future__ import annotations

from pathlib import Path

import bpy
import common
import render_setup


def avatar_id(obj) -> str:
    return common.module("storage").read(obj.data).avatar_id


def refined(heads) -> dict:
    """A head gets other splats: it is the same head in the scene, and another avatar."""
    from dataclasses import replace

    from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes

    first = avatar_from_bytes(avatar_to_bytes(common.tiny_avatar(300, seed=11)))
    better = avatar_to_bytes(replace(first, color=1 - first.color))
    other = avatar_to_bytes(common.tiny_avatar(300, seed=12))
    made = heads.add_head(bpy.context, avatar_to_bytes(first), "Grace")
    set_channels = common.module("rig.controls").set_channels
    set_channels(made.rig, {"jawOpen": 0.4})
    bpy.context.view_layer.update()
    made.rig.pose.bones["jawOpen"].keyframe_insert("location", index=1, frame=1)
    texts = len(bpy.data.texts)
    uid, before = made.mesh.session_uid, avatar_id(made.mesh)
    shape = heads.refine_head(uid, other), avatar_id(made.mesh) == before
    done = heads.refine_head(uid, better)
    same = bpy.data.objects["Grace"].session_uid == uid and abs(made.rig["jawOpen"] - 0.4) < 1e-6
    keyed = made.rig.animation_data is not None and made.rig.animation_data.action is not None
    stored, after = len(bpy.data.texts), avatar_id(made.mesh)
    bpy.data.objects.remove(made.mesh)
    gone = heads.refine_head(uid, better)
    bpy.data.objects.remove(made.rig)
    bpy.data.orphans_purge(do_recursive=True)
    return {"refine": {"another_shape": shape, "done": done, "same": same, "keyed": keyed, "gone": gone,
                       "changed": after != before, "texts": stored - texts}}  # fmt: skip


def main() -> None:
    out = Path(common.ARGS["out"])
    made = render_setup.scene_with_head()
    storage, heads = common.module("storage"), common.module("heads")
    wanted = avatar_id(made.mesh)
    common.module("rig.controls").set_channels(made.rig, {"jawOpen": 0.7})
    seen = {"wanted": wanted}
    file = out / "head.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file), compress=True)
    render_setup.render_exr(out / "before.exr")

    bpy.ops.wm.open_mainfile(filepath=str(file))
    mesh, rig = bpy.data.objects["Ada"], bpy.data.objects["Ada Rig"]
    seen["reopened"] = avatar_id(mesh)
    bpy.context.scene.render.engine = "GSHEAD"
    render_setup.render_exr(out / "after.exr")

    for obj in (mesh, rig):
        obj.select_set(True)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.duplicate()
    twin = heads.mesh_of(bpy.context.object)
    seen["duplicated"], seen["twin"] = avatar_id(twin), twin.name
    seen["texts"] = len([t for t in bpy.data.texts if t.name.startswith(".gshead")])
    twin_rig = heads.rig_of(twin)
    for each, value in ((twin_rig, 1.0), (rig, 0.0)):
        common.module("rig.controls").set_channels(each, {"jawOpen": value})
    twin_rig.location.x = 0.25
    for changed in (twin_rig, rig):
        changed.update_tag()
    found = {h.name: h.state for h in heads.visible_heads(bpy.context.evaluated_depsgraph_get())}
    seen["jaws"] = {name: float(abs(s.pose.jaw_pose).max()) for name, s in found.items()}
    seen["as_vertices"] = [name for name, s in found.items() if s.vertices is not None]

    collection = bpy.data.collections.new("Heads")
    collection.objects.link(mesh)
    instance = bpy.data.objects.new("Instance", None)
    instance.instance_type, instance.instance_collection = "COLLECTION", collection
    instance.location.x = -0.25
    bpy.context.scene.collection.objects.link(instance)
    bpy.context.view_layer.update()
    places = [h.matrix[0, 3] for h in heads.visible_heads(bpy.context.evaluated_depsgraph_get())]
    seen["instances"] = sorted(round(float(x), 3) for x in places)

    seen |= refined(heads)

    for linked in (False, True):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        with bpy.data.libraries.load(str(file), link=linked) as (_, target):
            target.objects = ["Ada", "Ada Rig"]
        for obj in target.objects:
            bpy.context.scene.collection.objects.link(obj)
        key = "linked" if linked else "appended"
        seen[key] = avatar_id(bpy.data.objects["Ada"])
        state = heads.visible_heads(bpy.context.evaluated_depsgraph_get())[0].state
        seen[f"{key}_jaw"] = float(abs(state.pose.jaw_pose).max())
    assert storage.is_head(bpy.data.objects["Ada"])

    bpy.ops.wm.open_mainfile(filepath=str(file))
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    seen["after_delete"] = len([t for t in bpy.data.texts if t.name.startswith(".gshead")])
    common.report(**seen)


common.run(main)
