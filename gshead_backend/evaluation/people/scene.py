"""Run inside Blender: build one test person in one frame and render every view with Cycles.

``python scene.py JOB.json`` with a bpy wheel, or ``blender --background --python scene.py -- JOB.json``. Imports only
bpy, numpy and the standard library. Blender's world is the job's own space (Y up): nothing is converted but the
camera's axes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import bpy  # pyright: ignore[reportMissingImports]
import numpy as np
from mathutils import Matrix  # pyright: ignore[reportMissingImports]

LABEL_STEP = 16  # grey levels between labels


def main(job_file: str) -> None:
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    out = Path(job["out"])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    people = [_build(np.load(job["body"]), job["role"], job)]
    if job.get("crowd"):
        _build(np.load(job["crowd"]["body"]), job["crowd"]["role"], job, behind=True)
    _light(scene, job["role"])
    camera = _camera(scene)
    _settings(scene, job["size"], job["samples"])
    for view in job["views"]:
        k = view["index"]
        _aim(camera, view)
        _write(scene, out / f"view_{k:02d}.png", "RGB")
        print(f"GSHEAD-VIEW {k}", flush=True)
    if job.get("labels", True):
        _labels(scene, people[0], camera, job["views"], out)
    print("GSHEAD-DONE", flush=True)


def _labels(scene, person: list, camera, views: list, out: Path) -> None:
    _flat(scene, person)
    for view in views:
        k = view["index"]
        _aim(camera, view)
        scene.cycles.samples, scene.cycles.filter_width = 1, 0.01
        _write(scene, out / f"coded_{k:02d}.png", "RGBA")
        scene.cycles.samples, scene.cycles.filter_width = 12, 1.5
        _write(scene, out / f"cover_{k:02d}.png", "RGBA")


def _build(data: dict, role: dict, job: dict, behind: bool = False) -> list:
    built: list = []  # (object, labels (F,) or one label)
    for i, name in enumerate(json.loads(str(data["mesh_names"]))):
        mesh = bpy.data.meshes.new(name)
        vertices, faces = data[f"m{i}_v"], data[f"m{i}_f"]
        used, index = np.unique(faces, return_inverse=True)
        mesh.from_pydata(vertices[used].tolist(), [], index.reshape(faces.shape).tolist())
        if f"m{i}_p" in data:
            paint = mesh.color_attributes.new("paint", "FLOAT_COLOR", "POINT")
            paint.data.foreach_set("color", np.ascontiguousarray(data[f"m{i}_p"][used], np.float32).ravel())
        mesh.shade_smooth()
        thing = bpy.data.objects.new(name, mesh)
        mesh.materials.append(_material(name, role, data["eyes"]))
        if name in ("cloth", "hat"):
            solid = thing.modifiers.new("thick", "SOLIDIFY")
            solid.thickness, solid.offset = 0.004, 0.0
        bpy.context.scene.collection.objects.link(thing)
        built.append((thing, data[f"m{i}_l"]))
    for j, name in enumerate(json.loads(str(data["strand_names"]))):
        points = data[f"s{j}_p"]
        curves = bpy.data.hair_curves.new(name)
        curves.add_curves([points.shape[1]] * points.shape[0])
        curves.attributes["position"].data.foreach_set("vector", np.ascontiguousarray(points, np.float32).ravel())
        taper = np.linspace(1, 0.35, points.shape[1])
        radius = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
        radius.data.foreach_set("value", np.tile(float(data[f"s{j}_r"]) * taper, points.shape[0]).astype(np.float32))
        curves.materials.append(_hair(name, role))
        thing = bpy.data.objects.new(name, curves)
        bpy.context.scene.collection.objects.link(thing)
        built.append((thing, int(data[f"s{j}_l"])))
    if behind:
        place = Matrix(job["crowd"]["matrix"])
        for thing, _ in built:
            thing.matrix_world = place
            thing["behind"] = True
    return built


def _nodes(name: str) -> tuple:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    return material, tree, tree.nodes["Principled BSDF"]


def _material(name: str, role: dict, eyes: np.ndarray):
    material, tree, shader = _nodes(name)
    if name == "skin":
        _skin(tree, shader, role)
    elif name in ("eye_left", "eye_right"):
        _eye(tree, shader, role, eyes[0 if name == "eye_left" else 1])
    elif name == "teeth":
        _plain(shader, (0.66, 0.58, 0.47), 0.25)
    elif name == "flesh":
        _plain(shader, (0.36, 0.10, 0.09), 0.35)
    elif name in ("cloth", "collar", "hat"):
        color = role["hat_color"] if name == "hat" else role["collar_color"] if name == "collar" else role["clothes"]
        _plain(shader, color, 0.95)
        shader.inputs["Sheen Weight"].default_value = 0.3
        wool = tree.nodes.new("ShaderNodeTexNoise")
        wool.inputs["Scale"].default_value = 350
        _bump(tree, shader, wool.outputs["Fac"], 0.0012)
    elif name == "frame":
        _plain(shader, (0.02, 0.015, 0.012), 0.2)
    elif name == "dark_lens":
        _plain(shader, (0.008, 0.008, 0.008), 0.03)
    elif name == "lens":
        _glass(tree, shader)
    return material


def _plain(shader, color: tuple, rough: float) -> None:
    shader.inputs["Base Color"].default_value = (*color, 1)
    shader.inputs["Roughness"].default_value = rough


def _bump(tree, shader, height, distance: float) -> None:
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Distance"].default_value, bump.inputs["Strength"].default_value = distance, 0.6
    tree.links.new(height, bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])


def _noise(tree, scale: float, detail: float = 4.0):
    place = tree.nodes.new("ShaderNodeTexCoord")
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = scale, detail
    tree.links.new(place.outputs["Object"], noise.inputs["Vector"])
    return noise.outputs["Fac"]


def _blend(tree, factor, a, b):
    """Mix two colours (sockets or tuples)."""
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    for socket, value in ((mix.inputs[0], factor), (mix.inputs[6], a), (mix.inputs[7], b)):
        if isinstance(value, tuple):
            socket.default_value = (*value, 1)
        elif isinstance(value, float):
            socket.default_value = value
        else:
            tree.links.new(value, socket)
    return mix.outputs[2]


def _scaled(tree, value, factor: float, offset: float = 0.0):
    node = tree.nodes.new("ShaderNodeMath")
    node.operation, node.use_clamp = "MULTIPLY_ADD", True
    tree.links.new(value, node.inputs[0])
    node.inputs[1].default_value, node.inputs[2].default_value = factor, offset
    return node.outputs[0]


def _skin(tree, shader, role: dict) -> None:
    tone = tuple(role["skin"])
    red = tuple(c * f for c, f in zip(tone, (1.0, 0.62, 0.62), strict=True))
    dark = tuple(c * f for c, f in zip(tone, (0.62, 0.50, 0.48), strict=True))
    lip = tuple(role["lip"])
    attribute = tree.nodes.new("ShaderNodeAttribute")
    attribute.attribute_name = "paint"
    split = tree.nodes.new("ShaderNodeSeparateColor")
    tree.links.new(attribute.outputs["Color"], split.inputs[0])
    color = _blend(tree, _scaled(tree, _noise(tree, 28), 1.6, -0.45), tone, tuple(c * 0.88 for c in tone))
    color = _blend(tree, _scaled(tree, _noise(tree, 130, 2), 1.5, -0.55), color, red)
    color = _blend(tree, _scaled(tree, split.outputs[0], 0.55), color, red)
    color = _blend(tree, _scaled(tree, split.outputs[2], 0.7), color, dark)
    color = _blend(tree, _scaled(tree, attribute.outputs["Alpha"], role["shadow"]), color, (0.035, 0.03, 0.028))
    color = _blend(tree, _scaled(tree, split.outputs[1], role["lip_cover"]), color, lip)
    tree.links.new(color, shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value = 0.48
    shader.inputs["Specular IOR Level"].default_value = 0.35
    shader.subsurface_method = "BURLEY"  # a third faster than random walk
    shader.inputs["Subsurface Weight"].default_value = 0.25
    shader.inputs["Subsurface Radius"].default_value = (0.0028, 0.0011, 0.0006)
    shader.inputs["Subsurface Scale"].default_value = 1.0
    _bump(tree, shader, _noise(tree, 900, 2), 0.0005)


def _eye(tree, shader, role: dict, eye: np.ndarray) -> None:
    """Sclera, iris and pupil by the angle to the gaze."""
    place = tree.nodes.new("ShaderNodeTexCoord")
    ray = tree.nodes.new("ShaderNodeVectorMath")
    ray.operation = "SUBTRACT"
    tree.links.new(place.outputs["Object"], ray.inputs[0])
    ray.inputs[1].default_value = eye[0].tolist()
    unit = tree.nodes.new("ShaderNodeVectorMath")
    unit.operation = "NORMALIZE"
    tree.links.new(ray.outputs[0], unit.inputs[0])
    dot = tree.nodes.new("ShaderNodeVectorMath")
    dot.operation = "DOT_PRODUCT"
    tree.links.new(unit.outputs[0], dot.inputs[0])
    dot.inputs[1].default_value = eye[1].tolist()
    angle = tree.nodes.new("ShaderNodeMath")
    angle.operation = "ARCCOSINE"
    tree.links.new(dot.outputs["Value"], angle.inputs[0])
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    limit = float(role["iris_angle"])
    stops = ((0.0, (0.003,) * 3), (0.36, (0.003,) * 3), (0.42, tuple(role["iris"])),
             (0.84, tuple(0.75 * c for c in role["iris"])), (0.97, (0.02,) * 3),
             (1.06, (0.62, 0.58, 0.55)))  # fmt: skip
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.0, 1.0
    while len(ramp.color_ramp.elements) < len(stops):
        ramp.color_ramp.elements.new(0.5)
    for element, (at, color) in zip(ramp.color_ramp.elements, stops, strict=True):
        element.position, element.color = min(at * 0.5, 1.0), (*color, 1)
    tree.links.new(_scaled(tree, angle.outputs[0], 0.5 / limit), ramp.inputs["Fac"])
    tree.links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value = 0.25
    shader.inputs["Coat Weight"].default_value, shader.inputs["Coat Roughness"].default_value = 0.5, 0.03


def _glass(tree, shader) -> None:
    clear, gloss, mix = (tree.nodes.new(f"ShaderNode{n}") for n in ("BsdfTransparent", "BsdfGlossy", "MixShader"))
    gloss.inputs["Roughness"].default_value = 0.02
    mix.inputs[0].default_value = 0.05
    tree.links.new(clear.outputs[0], mix.inputs[1])
    tree.links.new(gloss.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], tree.nodes["Material Output"].inputs["Surface"])
    del shader


def _hair(name: str, role: dict):
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shader, output = tree.nodes.new("ShaderNodeBsdfHairPrincipled"), tree.nodes.new("ShaderNodeOutputMaterial")
    shader.parametrization = "MELANIN"
    dark = name in ("brow", "lash")
    melanin = max(role["hair_melanin"], 0.55) if dark else role["hair_melanin"]
    if role["grey"] and not dark:
        melanin *= 1 - role["grey"]
    shader.inputs["Melanin"].default_value = min(0.97, melanin)
    shader.inputs["Melanin Redness"].default_value = 0.1 if role["grey"] else role["hair_red"]
    shader.inputs["Roughness"].default_value = 0.35
    shader.inputs["Random Color"].default_value = 0.3
    tree.links.new(shader.outputs[0], output.inputs["Surface"])
    return material


def _light(scene, role: dict) -> None:
    hard = role["hard"]
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    lamp = tree.nodes["Background"]
    lamp.inputs["Color"].default_value = (0.85, 0.92, 1.0, 1)
    lamp.inputs["Strength"].default_value = 0.16 if hard else 0.55
    seen = tree.nodes.new("ShaderNodeBackground")
    place = tree.nodes.new("ShaderNodeTexCoord")
    noise = tree.nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 2.2, 2.0
    tree.links.new(place.outputs["Generated"], noise.inputs["Vector"])
    base = tuple(role["backdrop"])
    dim, bright = tuple(c * 0.55 for c in base), tuple(min(c * 1.35, 1.0) for c in base)
    color = _blend(tree, noise.outputs["Fac"], dim, bright)
    tree.links.new(color, seen.inputs["Color"])
    path, mix = tree.nodes.new("ShaderNodeLightPath"), tree.nodes.new("ShaderNodeMixShader")
    tree.links.new(path.outputs["Is Camera Ray"], mix.inputs[0])
    tree.links.new(lamp.outputs[0], mix.inputs[1])
    tree.links.new(seen.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], tree.nodes["World Output"].inputs["Surface"])
    rng = np.random.default_rng(role["seed"])
    if hard:
        yaw, pitch = np.radians(rng.choice([-1, 1]) * rng.uniform(25, 65)), np.radians(rng.uniform(20, 50))
        sun = bpy.data.lights.new("sun", "SUN")
        sun.energy, sun.angle, sun.color = 3.6, np.radians(1.0), (1.0, 0.94, 0.86)
        _place(sun, np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)]) * 3)
        return
    for at, energy, size in (((-1.0, 0.8, 1.4), 26, 1.2), ((1.3, 0.3, 1.0), 12, 1.4), ((0.3, 1.2, -1.3), 14, 0.9)):
        area = bpy.data.lights.new("area", "AREA")
        area.energy, area.size = energy * rng.uniform(0.8, 1.2), size
        _place(area, np.array(at) * [rng.choice([-1, 1]), 1, 1])


def _place(light, at: np.ndarray) -> None:
    thing = bpy.data.objects.new(light.name, light)
    z = at / np.linalg.norm(at)
    x = np.cross([0, 1, 0], z)
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = x, np.cross(z, x), z, at
    thing.matrix_world = Matrix(matrix.tolist())
    bpy.context.scene.collection.objects.link(thing)


def _camera(scene):
    data = bpy.data.cameras.new("camera")
    thing = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(thing)
    scene.camera = thing
    data.sensor_width, data.sensor_fit = 36.0, "HORIZONTAL"
    data.clip_start = 0.02
    data.dof.use_dof, data.dof.aperture_fstop = True, 4.5
    return thing


def _aim(camera, view: dict) -> None:
    K, viewmat = np.array(view["K"]), np.array(view["viewmat"])
    camera.data.lens = K[0, 0] * 36.0 / view["size"]
    camera.data.dof.focus_distance = float(viewmat[2, 3]) - 0.06  # the eyes
    camera.matrix_world = Matrix((np.linalg.inv(viewmat) @ np.diag([1, -1, -1, 1])).tolist())


def _settings(scene, size: int, samples: int) -> None:
    scene.render.engine = "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format, scene.render.image_settings.compression = "PNG", 40
    scene.view_settings.view_transform = "Standard"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.use_adaptive_sampling = "CPU", samples, False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_quality, cycles.denoising_prefilter = "BALANCED", "NONE"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 1, 2
    cycles.transparent_max_bounces, cycles.transmission_bounces = 8, 2
    cycles.sample_clamp_indirect = 4.0
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 1.5


def _flat(scene, person: list) -> None:
    """Everything of the person shows its label as a grey level, nothing else is there."""
    shades = [_emission(k) for k in range(12)]
    kept = {thing.name for thing, _ in person}
    for thing in scene.objects:
        if thing.type in ("MESH", "CURVES") and thing.name not in kept:
            thing.hide_render = True
    for thing, labels in person:
        if thing.data.materials[0].name.startswith("lens"):
            thing.hide_render = True  # what is seen through it counts
            continue
        thing.data.materials.clear()
        if isinstance(labels, int):
            thing.data.materials.append(shades[labels])
            continue
        for shade in shades:
            thing.data.materials.append(shade)
        thing.data.polygons.foreach_set("material_index", np.ascontiguousarray(labels, np.int32))
        thing.data.update()
    scene.render.film_transparent = True
    scene.camera.data.dof.use_dof = False
    scene.view_settings.view_transform = "Raw"
    scene.cycles.use_denoising = False
    scene.cycles.max_bounces = 0
    scene.render.image_settings.compression = 15


def _emission(label: int):
    material = bpy.data.materials.new(f"label{label}")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shine, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    level = label * LABEL_STEP / 255
    shine.inputs["Color"].default_value = (level, level, level, 1)
    tree.links.new(shine.outputs[0], output.inputs["Surface"])
    return material


def _write(scene, path: Path, mode: str) -> None:
    scene.render.image_settings.color_mode = mode
    partial = path.with_suffix(".part.png")
    scene.render.filepath = str(partial)
    bpy.ops.render.render(write_still=True)
    os.replace(partial, path)


if __name__ == "__main__":
    main(sys.argv[-1])
    sys.stdout.flush()
    os._exit(0)  # the bpy wheel may hang while it is torn down
