"""Heads in other engines' renders under the settings of the frame: region, views, blur, animation, EEVEE."""

from __future__ import annotations

from pathlib import Path

import bpy
import common
import render_setup


def main() -> None:
    out = Path(common.ARGS["out"])
    made = render_setup.scene_with_head(size=64, count=2000)
    scene = bpy.context.scene
    render, head = scene.render, made.mesh
    told: dict = {}
    wall = render_setup.wall("wall", (0.3, 0.2, 0.6), 0.4)
    eevee = "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0) else "BLENDER_EEVEE"
    render_setup.cycles(4)
    bpy.ops.gshead.add_to_compositor()
    told["first"] = later(scene, out / "first.exr")

    def trio(name: str, **options) -> None:
        """The picture with heads, the render without, the heads by themselves."""
        render_setup.render_image(out / f"{name}_with.exr", **options)
        bpy.ops.gshead.remove_from_compositor()
        engine, render.engine = render.engine, "GSHEAD"
        wall.hide_render = True
        render_setup.render_image(out / f"{name}_head.exr", **options)
        render.engine, wall.hide_render, head.hide_render = engine, False, True
        render_setup.render_image(out / f"{name}_without.exr", **options)
        head.hide_render = False
        bpy.ops.gshead.add_to_compositor()

    trio("plain")
    render.resolution_percentage = 50
    trio("half")
    render.resolution_percentage = 100
    render.use_border, render.use_crop_to_border = True, False
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = 0.25, 0.75, 0.125, 0.5
    trio("border")
    render.use_crop_to_border = True
    trio("crop")
    render.use_border = False
    render.use_multiview, render.views_format = True, "STEREO_3D"
    render.image_settings.views_format = "INDIVIDUAL"
    trio("stereo")
    render.use_multiview = False
    for frame, x in ((1, -0.08), (3, 0.08)):
        made.rig.location.x = x
        made.rig.keyframe_insert("location", index=0, frame=frame)
        scene.camera.location.z = x
        scene.camera.keyframe_insert("location", index=2, frame=frame)
    scene.frame_set(2, subframe=0.5)
    trio("subframe")
    scene.frame_set(1)
    render.use_motion_blur, scene.gshead_render.samples = True, 4
    scene.frame_start, scene.frame_end = 1, 2
    trio("animation", animation=True)
    told["frame"] = [scene.frame_current, scene.frame_subframe]
    render.use_motion_blur = False
    scene.frame_set(2)
    shadows(out)
    told["tree"] = own_tree(scene)
    scene.gshead_render.use_masks = True
    render_setup.render_image(out / "masks.exr")
    heads_node = common.module("compat").compositor_tree(scene).nodes["Gaussian Heads Render"]
    told["sockets"] = [output.name for output in heads_node.outputs if output.enabled]
    scene.gshead_render.use_masks = False
    told["instances"] = instances(scene, made)
    told["later"] = later(scene, out / "later.exr")
    if common.ARGS.get("eevee", True):
        bpy.ops.gshead.remove_from_compositor()
        render.engine = eevee
        bpy.ops.gshead.add_to_compositor()
        scene.eevee.taa_render_samples = 8
        trio("eevee")
    told["images"] = [i.name for i in bpy.data.images if i.type not in ("RENDER_RESULT", "COMPOSITING")]
    common.report(**told)


def shadows(out: Path) -> None:
    """A floor under the sun, with and without the head's shadow."""
    scene = bpy.context.scene
    mesh = bpy.data.meshes.new("floor")
    mesh.from_pydata([(-1, -1, -0.2), (1, -1, -0.2), (1, 1, -0.2), (-1, 1, -0.2)], [], [(0, 1, 2, 3)])
    floor = bpy.data.objects.new("floor", mesh)
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.rotation_euler = (0.9, 0, 0.7)
    for obj in (floor, sun):
        scene.collection.objects.link(obj)
    scene.camera.location.z, scene.camera.rotation_euler[0] = 0.3, 1.2
    scene.camera.animation_data_clear()
    bpy.data.objects["wall"].hide_render = True
    for name, cast in (("shadow", True), ("no_shadow", False)):
        bpy.ops.gshead.add_to_compositor(shadows=cast, reflections=False)
        render_setup.render_image(out / f"{name}.exr")
    for obj in (floor, sun):
        bpy.data.objects.remove(obj)
    bpy.data.objects["wall"].hide_render = False
    scene.camera.location.z, scene.camera.rotation_euler[0] = 0.0, 1.5707963


def links(tree) -> list[str]:
    return sorted(f"{k.from_node.name}.{k.from_socket.name} > {k.to_node.name}.{k.to_socket.name}" for k in tree.links)


def own_tree(scene) -> dict:
    """A compositor of the user's own keeps its nodes and links."""
    bpy.ops.gshead.remove_from_compositor()
    tree, output = common.module("compat").new_compositor_tree(scene)
    layers, blur = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("CompositorNodeBlur")
    layers.scene = scene
    tree.links.new(layers.outputs["Image"], blur.inputs["Image"])
    tree.links.new(blur.outputs["Image"], output)
    before = links(tree)
    bpy.ops.gshead.add_to_compositor()
    during = links(tree)
    bpy.ops.gshead.remove_from_compositor()
    after = links(tree)
    common.module("compat").drop_compositor_tree(scene)
    bpy.ops.gshead.add_to_compositor()
    return {"before": before, "during": during, "after": after}


def instances(scene, made) -> list[str]:
    """What the scene of the heads holds when one head is instanced and one lies in a hidden collection."""

    def headed(name: str, seed: int):
        collection = bpy.data.collections.new(name)
        other = common.module("heads").add_head(bpy.context, render_setup.tiny_bytes(seed=seed), name)
        for obj in (other.mesh, other.rig):
            for user in list(obj.users_collection):
                user.objects.unlink(obj)
            collection.objects.link(obj)
        return collection

    empty = bpy.data.objects.new("instancer", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", headed("library", 5)
    hidden = headed("hidden", 6)
    hidden.hide_render = True
    scene.collection.children.link(hidden)
    scene.collection.objects.link(empty)
    bpy.ops.gshead.add_to_compositor()
    found = sorted(o.name for o in scene.gshead_render.heads_scene.objects)
    inside = bpy.data.objects["library"]
    rays = [inside.visible_camera]
    bpy.ops.gshead.remove_from_compositor()
    rays.append(inside.visible_camera)
    bpy.ops.gshead.add_to_compositor()
    bpy.data.objects.remove(empty)
    scene.collection.children.unlink(hidden)
    return [found, rays]


def later(scene, path: Path) -> list:
    """How rays see a head that was added after the button, before and after the next render; and when it is removed."""
    bpy.ops.gshead.add_to_compositor(shadows=False, reflections=True)
    made = common.module("heads").add_head(bpy.context, render_setup.tiny_bytes(seed=8), "Later")
    told = [made.mesh.visible_camera]
    render_setup.render_image(path)
    told += [made.mesh.visible_camera, made.mesh.visible_shadow, made.mesh.visible_glossy]
    told.append(made.mesh.name in scene.gshead_render.heads_scene.objects)
    bpy.ops.gshead.remove_from_compositor()
    told += [made.mesh.visible_camera, made.mesh.visible_shadow]
    for obj in (made.mesh, made.rig):
        bpy.data.objects.remove(obj)
    bpy.ops.gshead.add_to_compositor()
    return told


common.run(main)
