"""A scene with one tiny head and a camera, for the scripts that render."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import common
import numpy as np


def tiny_bytes(**options: Any) -> bytes:
    """A tiny avatar as the bytes of a .gshead file."""
    from gshead_backend.avatar.file import avatar_to_bytes

    return avatar_to_bytes(common.tiny_avatar(**options))


def scene_with_head(size: int = 96, count: int = 800, seed: int = 3) -> Any:
    """An empty scene with a head, a camera in front of it and the engine chosen; returns the head's objects."""
    common.enable()
    scene = bpy.context.scene
    made = common.module("heads").add_head(bpy.context, tiny_bytes(count=count, seed=seed), "Ada")
    add_camera(scene, size)
    return made


def stage(yaw: float, backdrop: tuple[float, float, float]) -> tuple[Any, Any]:
    """For pictures of the script's avatar: its objects and a camera, in the scene's light, before an even world."""
    common.enable()
    api, scene, size = common.module("api"), bpy.context.scene, int(common.ARGS.get("size", 320))
    head = api.load(common.ARGS["avatar"])
    camera = api.add_camera(head, size=(size, size), yaw=float(common.ARGS.get("yaw", yaw)))
    api.keep_photo_colors()
    api.set_light(head, "scene")
    scene.world = bpy.data.worlds.new("World")
    if bpy.app.version < (5, 0):
        scene.world.use_nodes = True
    shader = next(n for n in scene.world.node_tree.nodes if n.bl_idname == "ShaderNodeBackground")
    shader.inputs["Color"].default_value = (*backdrop, 1)
    scene.render.film_transparent = False
    return head, camera


def head_middle(head: Any) -> Any:
    """(3,) in Blender's world, of a head that stands at the origin."""
    person = common.module("storage").read(head.mesh.data).avatar.personal
    return common.module("rig.axes").to_blender(person.joints[3:5].mean(0) - [0, 0, 0.07])


def add_camera(scene: Any, size: int) -> None:
    """A camera 0.8 m in front of the origin, and square frames of ``size`` pixels."""
    data = bpy.data.cameras.new("Camera")
    data.lens = 85.0
    camera = bpy.data.objects.new("Camera", data)
    camera.location, camera.rotation_euler = (0.0, -0.8, 0.0), (1.5707963, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    render = scene.render
    render.engine = "GSHEAD"
    render.resolution_x = render.resolution_y = size
    render.resolution_percentage = 100
    render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    scene.view_layers[0].use_pass_z = True


def add_lamp(name: str, kind: str, place: tuple[float, float, float], energy: float) -> Any:
    """A light object in the scene."""
    data = bpy.data.lights.new(name, kind)
    data.energy = energy
    obj = bpy.data.objects.new(name, data)
    obj.location = place
    bpy.context.scene.collection.objects.link(obj)
    return obj


def grey_bytes() -> bytes:
    """A head of one colour, with flat splats that cover it, that tells nothing about its photo's light."""
    from gshead_backend.avatar.file import avatar_to_bytes

    avatar = common.tiny_avatar(count=6000, seed=5)
    n = len(avatar)
    scale = np.tile(np.log([0.005, 0.005, 0.0005]), (n, 1)).astype(np.float32)
    return avatar_to_bytes(
        replace(
            avatar, color=np.full((n, 3), 0.5, np.float32), opacity_logit=np.full(n, 5, np.float32), log_scale=scale,
            offset=np.zeros((n, 3), np.float32), vertex_offsets=np.zeros_like(avatar.vertex_offsets),
            betas=np.zeros_like(avatar.betas),
        )
    )  # fmt: skip


def diffuse(albedo: float) -> Any:
    """A grey matte material."""
    return _material("grey", "ShaderNodeBsdfDiffuse", (albedo, albedo, albedo))


def render_exr(path: Path, *, frame: int | None = None) -> None:
    """Render one frame with its passes into a multilayer EXR (32 bit, uncompressed)."""
    scene = bpy.context.scene
    if frame is not None:
        scene.frame_set(frame)
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"
    settings.color_depth, settings.exr_codec = "32", "NONE"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def render_image(path: Path, **options: Any) -> set[str]:
    """Render the composited picture into a 32 bit EXR, row 0 on top, scene-linear and premultiplied."""
    scene = bpy.context.scene
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode = "OPEN_EXR", "RGBA"
    settings.color_depth, settings.exr_codec = "32", "NONE"
    scene.render.filepath = str(path)
    return bpy.ops.render.render(write_still=not options.get("animation"), **options)


def cycles(samples: int = 16) -> None:
    """Render with Cycles, quickly and without noise reduction."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = samples, False, False


def glowing(name: str, color: tuple[float, float, float], mesh: Any) -> Any:
    """An object that shows one colour, whatever the light."""
    mesh.materials.append(_material(name, "ShaderNodeEmission", color))
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def _material(name: str, shader: str, color: tuple[float, float, float]) -> Any:
    """A material of one shader node."""
    material = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    node, output = tree.nodes.new(shader), tree.nodes.new("ShaderNodeOutputMaterial")
    node.inputs["Color"].default_value = (*color, 1.0)
    tree.links.new(node.outputs[0], output.inputs["Surface"])
    return material


def grey_ball(radius: float, place: Any, albedo: float) -> Any:
    """A smooth diffuse sphere."""
    bpy.ops.mesh.primitive_uv_sphere_add(segments=96, ring_count=48, radius=radius, location=place)
    made = bpy.context.object
    for face in made.data.polygons:
        face.use_smooth = True
    made.data.materials.append(diffuse(albedo))
    return made


def ball(name: str, color: tuple[float, float, float], radius: float, place: tuple[float, float, float]) -> Any:
    """A glowing sphere."""
    import bmesh

    mesh, work = bpy.data.meshes.new(name), bmesh.new()
    bmesh.ops.create_uvsphere(work, u_segments=64, v_segments=32, radius=radius)
    work.to_mesh(mesh)
    work.free()
    obj = glowing(name, color, mesh)
    obj.location = place
    return obj


def wall(name: str, color: tuple[float, float, float], y: float, size: float = 3.0) -> Any:
    """A glowing wall across the camera's view."""
    mesh = bpy.data.meshes.new(name)
    corners = [(-size, y, -size), (size, y, -size), (size, y, size), (-size, y, size)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    return glowing(name, color, mesh)
