"""Heads in a Cycles render: balls before and behind the head, a wall close behind it, and the parts by themselves."""

from __future__ import annotations

from pathlib import Path

import bpy
import common
import render_setup


def main() -> None:
    out = Path(common.ARGS["out"])
    made = render_setup.scene_with_head(size=128, count=4000)
    scene = bpy.context.scene
    before = snapshot(scene)
    # the head alone, from its own engine
    render_setup.render_exr(out / "head.exr")
    front = render_setup.ball("front", (0.1, 0.7, 0.2), 0.03, (0.03, -0.25, 0.02))
    behind = render_setup.ball("behind", (0.8, 0.3, 0.1), 0.07, (-0.06, 0.3, 0.05))
    back = render_setup.wall("wall", (0.05, 0.1, 0.5), 0.6)
    scene.render.film_transparent = False
    render_setup.cycles(64)
    made.mesh.hide_render = True
    render_setup.render_image(out / "without.exr")
    scene.render.film_transparent = True
    behind.hide_render = back.hide_render = True
    render_setup.render_image(out / "front.exr")
    front.hide_render, behind.hide_render, back.hide_render = True, False, False
    render_setup.render_image(out / "far.exr")
    front.hide_render = made.mesh.hide_render = False
    scene.view_layers[0].use_pass_z = False
    mesh_before = visibility(made.mesh)
    state = snapshot(scene)
    bpy.ops.gshead.add_to_compositor()
    heads_scene = scene.gshead_render.heads_scene
    during = {"scenes": len(bpy.data.scenes), "objects": sorted(o.name for o in heads_scene.objects),
              "camera_rays": made.mesh.visible_camera}  # fmt: skip
    render_setup.render_image(out / "composite.exr")
    move(front, scene)
    render_setup.render_image(out / "moving.exr")
    bpy.ops.gshead.remove_from_compositor()
    scene.render.film_transparent = made.mesh.hide_render = behind.hide_render = back.hide_render = True
    render_setup.render_image(out / "moving_front.exr")
    made.mesh.hide_render = behind.hide_render = back.hide_render = False
    scene.render.use_motion_blur = False
    bpy.ops.gshead.add_to_compositor()
    # thin hair a few millimetres before a wall
    front.hide_render = behind.hide_render = True
    back.location.y = common.ARGS["near_wall"] - 0.6
    render_setup.render_image(out / "near_wall.exr")
    made.mesh.hide_render = True
    render_setup.render_image(out / "wall.exr")
    made.mesh.hide_render = False
    bpy.ops.gshead.remove_from_compositor()
    after = snapshot(scene)
    front.hide_render = behind.hide_render = False
    (out / "avatar.gshead").write_bytes(made.mesh.data["gshead_avatar"]["gshead_avatar"])
    common.report(during=during, state=state, after=after, mesh=[mesh_before, visibility(made.mesh)], before=before,
                  images=len(bpy.data.images))  # fmt: skip


def move(obj, scene) -> None:
    """Through the picture in one frame, with the shutter open for half of it."""
    for frame, x in ((0, -0.15), (2, 0.15)):
        obj.location.x = x
        obj.keyframe_insert("location", index=0, frame=frame)
    scene.frame_set(1)
    scene.render.use_motion_blur = True


def visibility(obj) -> list[bool]:
    rays = ("camera", "diffuse", "glossy", "transmission", "volume_scatter", "shadow")
    return [getattr(obj, f"visible_{ray}") for ray in rays]


def snapshot(scene) -> dict:
    tree = common.module("compat").compositor_tree(scene)
    return {
        "scenes": [s.name for s in bpy.data.scenes], "groups": [g.name for g in bpy.data.node_groups],
        "nodes": sorted(n.name for n in tree.nodes) if tree else None, "z": scene.view_layers[0].use_pass_z,
        "use_nodes": tree is not None, "border": scene.render.use_border,
        "properties": sorted(k for o in scene.objects for k in dict(o) if k.startswith("gshead_visible")),
    }  # fmt: skip


common.run(main)
