"""A grey head under the scene's lights: what each setting gives, as EXR files, and what the scene said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import common
import numpy as np
import render_setup
from mathutils import Euler

LINEAR = 0.2140411  # of the head's encoded colour 0.5


def main() -> None:
    out = Path(common.ARGS["out"])
    common.enable()
    api, scene = common.module("api"), bpy.context.scene
    made = common.module("heads").add_head(bpy.context, render_setup.grey_bytes(), "Ada")
    render_setup.add_camera(scene, 64)
    lamp = render_setup.add_lamp("Key", "POINT", (1.0, -1.0, 0.0), 60.0)

    def shoot(name: str, **options: Any) -> None:
        render_setup.render_exr(out / f"{name}.exr", **options)

    shoot("photo")
    api.set_light(made, "scene")
    shoot("left")  # the head looks toward -Y, its left is +X, on the picture's right
    lamp.location.x = -1.0
    shoot("right")
    api.set_light(made, "scene", strength=0.5)
    shoot("half")
    api.set_light(made, "photo")
    shoot("photo_again")
    api.set_light(made, "scene")
    lamp.hide_render = True
    shoot("dark")
    lamp.hide_render = False
    # the light stays where it is when bones or the object turn the head
    bone = made.rig.pose.bones["neck"]
    bone.rotation_mode = "XYZ"
    for name, angle in (("neck_left", 0.8), ("neck_right", -0.8)):
        bone.rotation_euler = turned(bone, angle)
        shoot(name)
    bone.rotation_euler = (0, 0, 0)
    made.rig.rotation_euler.z = 0.8
    shoot("object_left")
    made.rig.rotation_euler.z = 0.0
    kinds(scene, lamp, shoot)
    world(scene, lamp, shoot)
    keyed(made, shoot)
    with_cycles(scene, made, lamp, out)
    common.report(strength=made.rig.gshead_light.strength, users=len(bpy.data.lights))


def turned(bone: Any, angle: float) -> Any:
    """Euler angles that turn a bone about the world's vertical."""
    rest = bone.bone.matrix_local.to_3x3()
    return (rest.inverted() @ Euler((0, 0, angle)).to_matrix() @ rest).to_euler("XYZ")


def kinds(scene: Any, lamp: Any, shoot: Any) -> None:
    """A spot that looks past the head, an area light, a sun, and a light in an instanced collection."""
    lamp.data.type = "SPOT"
    lamp.data.spot_size, lamp.data.spot_blend = 0.6, 0.1
    lamp.rotation_euler = (0, 0, 0)  # downward
    shoot("spot_past")
    lamp.data.type, lamp.data.energy = "AREA", 30.0
    lamp.rotation_euler = Euler((1.5708, 0, -0.785))  # toward the head
    shoot("area")
    lamp.data.type, lamp.data.energy = "SUN", 3.0
    lamp.location = (0, 0, 7)
    shoot("sun")
    collection = bpy.data.collections.new("Lights")
    scene.collection.objects.unlink(lamp)
    collection.objects.link(lamp)
    shoot("unlinked")
    empty = bpy.data.objects.new("Rig of lights", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    empty.rotation_euler.z = 1.5708  # from the picture's left to its right
    scene.collection.objects.link(empty)
    shoot("instanced")
    bpy.data.objects.remove(empty)
    scene.collection.objects.link(lamp)


def world(scene: Any, lamp: Any, shoot: Any) -> None:
    """An even white world; then a picture that is bright on one side, and turned."""
    lamp.hide_render = True
    scene.world = bpy.data.worlds.new("World")
    if bpy.app.version < (5, 0):
        scene.world.use_nodes = True
    tree = scene.world.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBackground")
    shader.inputs["Color"].default_value, shader.inputs["Strength"].default_value = (0.5, 0.5, 0.5, 1), 2.0
    shoot("white_world")
    image = bpy.data.images.new("sky", 128, 64, float_buffer=True)
    pixels = np.zeros((64, 128, 4), np.float32)
    pixels[..., 3] = 1
    pixels[16:48, 60:68] = 8.0  # around the middle: toward +X
    image.pixels.foreach_set(pixels.ravel())
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image = image
    tree.links.new(texture.outputs["Color"], shader.inputs["Color"])
    shoot("sky")
    mapping = tree.nodes.new("ShaderNodeMapping")
    mapping.inputs["Rotation"].default_value = (0, 0, 3.14159)
    tree.links.new(mapping.outputs[0], texture.inputs["Vector"])
    shoot("sky_turned")
    scene.world = None
    lamp.hide_render = False


def keyed(made: Any, shoot: Any) -> None:
    """The strength goes from 0 to 1."""
    for frame, strength in ((1, 0.0), (11, 1.0)):
        made.rig.gshead_light.strength = strength
        made.rig.keyframe_insert("gshead_light.strength", frame=frame)
    for frame in (1, 6, 11):
        shoot(f"keyed_{frame}", frame=frame)
    made.rig.animation_data_clear()
    made.rig.gshead_light.strength = 1.0


def with_cycles(scene: Any, made: Any, lamp: Any, out: Path) -> None:
    """The head in a Cycles render, beside a diffuse ball of its own albedo, in the same sun."""
    lamp.rotation_euler = Euler((1.2, 0, -0.6))
    render_setup.cycles(64)
    scene.cycles.max_bounces = 0
    render_setup.grey_ball(0.05, (0.19, 0, 0), LINEAR)
    scene.render.resolution_x, scene.camera.data.lens = 192, 45.0
    bpy.ops.gshead.add_to_compositor(shadows=False, reflections=False)
    render_setup.render_image(out / "cycles.exr")
    lamp.data.energy = 6.0
    render_setup.render_image(out / "cycles_twice.exr")


common.run(main)
