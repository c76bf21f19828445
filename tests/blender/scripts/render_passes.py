"""F12 of one head: Combined and Depth as multilayer EXR, with region, background, lattice; and what fails, fails."""

from __future__ import annotations

from pathlib import Path

import bpy
import common
import numpy as np
import render_setup


def fails(call) -> str:
    try:
        call()
    except RuntimeError as error:
        return str(error)
    return ""


def main() -> None:
    out = Path(common.ARGS["out"])
    made = render_setup.scene_with_head()
    scene, rig = bpy.context.scene, made.rig
    poses = {}
    reader, heads = common.module("rig.read_pose"), common.module("heads")

    def shoot(name: str, **settings) -> None:
        render_setup.render_exr(out / f"{name}.exr")
        found = heads.visible_heads(bpy.context.evaluated_depsgraph_get())
        camera = common.module("camera").render_camera(scene.camera, scene.render)
        poses[name] = {
            "camera": [camera.width, camera.height, camera.K.ravel().tolist(), camera.viewmat.ravel().tolist(),
                       camera.near, camera.far, camera.orthographic],
            "matrix": found[0].matrix.ravel().tolist() if found else [],
            "pose": found[0].state.pose.to_vector().tolist() if found else [],
            "vertices": bool(found and found[0].state.vertices is not None),
            "heads": len(found),
        }  # fmt: skip

    shoot("rest")
    common.module("rig.controls").set_channels(rig, {"jawOpen": 1.0, "mouthSmileLeft": 0.8})
    rig.pose.bones["neck"].rotation_euler = (0.1, 0.5, 0.0)
    rig.location, rig.rotation_euler = (0.02, 0.05, -0.01), (0.0, 0.1, 0.2)
    rig.update_tag()
    shoot("posed")
    scene.camera.data.shift_x, scene.camera.data.lens = 0.1, 60.0
    scene.camera.data.type = "ORTHO"
    scene.camera.data.ortho_scale = 0.4
    scene.render.use_border = scene.render.use_crop_to_border = True
    scene.render.border_min_x, scene.render.border_max_x = 0.25, 0.8
    scene.render.border_min_y, scene.render.border_max_y = 0.1, 0.6
    shoot("region")
    scene.render.use_border = False
    scene.camera.data.type, scene.camera.data.shift_x, scene.camera.data.lens = "PERSP", 0.0, 85.0
    scene.world = bpy.data.worlds.new("World")
    scene.world.color = (0.2, 0.4, 0.6)
    if scene.world.node_tree is not None:
        scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.2, 0.4, 0.6, 1.0)
    scene.render.film_transparent = False
    shoot("background")
    scene.render.film_transparent = True
    lattice_data = bpy.data.lattices.new("Lattice")
    lattice = bpy.data.objects.new("Lattice", lattice_data)
    scene.collection.objects.link(lattice)
    lattice.scale = (0.3, 0.3, 0.3)
    modifier = made.mesh.modifiers.new("Lattice", "LATTICE")
    modifier.object = lattice
    shoot("lattice_rest")
    for point in lattice_data.points:
        point.co_deform.x += 0.15
    shoot("lattice")
    made.mesh.hide_render = True
    shoot("hidden")
    made.mesh.hide_render = False
    failures = {}
    camera = scene.camera
    scene.render.filepath = str(out / "must_not_exist.exr")
    scene.camera = None
    failures["camera"] = fails(lambda: bpy.ops.render.render(write_still=True))
    scene.camera = camera
    text = made.mesh.data["gshead_avatar"]
    good = text["gshead_avatar"]
    del text["gshead_avatar"]  # Blender 4.5 does not overwrite bytes that hold zeros
    text["gshead_avatar"] = good[:1000] + b"x" + good[1001:]
    common.module("storage").forget()
    failures["bytes"] = fails(lambda: bpy.ops.render.render(write_still=True))
    del text["gshead_avatar"]
    text["gshead_avatar"] = good
    made.mesh.modifiers.remove(modifier)
    subdivision = made.mesh.modifiers.new("Subdivision", "SUBSURF")
    subdivision.render_levels = 1
    render_setup.render_exr(out / "subdivided.exr")
    state = reader.read_state(made.mesh, common.module("storage").read(made.mesh.data).avatar,
                              bpy.context.evaluated_depsgraph_get())  # fmt: skip
    (out / "avatar.gshead").write_bytes(good)
    common.report(poses=poses, failures=failures, subdivided=state.vertices is None,
                  rest=np.abs(made.mesh.location).sum())  # fmt: skip


common.run(main)
