"""A head behind things that stand in the way of a light: with and without shadows, and beside Cycles' own."""

from __future__ import annotations

from math import radians
from pathlib import Path
from typing import Any

import bpy
import common
import render_setup
from mathutils import Vector


def main() -> None:
    out = Path(common.ARGS["out"])
    common.enable()
    api, scene = common.module("api"), bpy.context.scene
    made = common.module("heads").add_head(bpy.context, render_setup.grey_bytes(), "Ada")
    render_setup.add_camera(scene, 128)
    key = render_setup.add_lamp("Key", "SUN", (0, 0, 0), 3.0)
    key.rotation_euler = (radians(70), 0, radians(20))
    key.data.angle = 0.0
    fill = render_setup.add_lamp("Fill", "POINT", (-1.0, -1.0, 0.2), 8.0)
    board = bar(key)

    def shoot(name: str, **options: Any) -> None:
        render_setup.render_exr(out / f"{name}.exr", **options)

    api.set_light(made, "scene", shadows=False)
    shoot("lit")
    api.set_light(made, "scene")
    shoot("shadow")
    shoot("again")
    api.set_light(made, "scene", strength=0.0)
    shoot("photo_shadow")
    api.set_light(made, "photo")
    shoot("photo")
    api.set_light(made, "scene")
    key.data.angle = radians(20)
    shoot("soft")
    key.data.angle = 0.0
    board.visible_shadow = False
    shoot("no_caster")
    board.visible_shadow = True
    key.data.use_shadow = False
    shoot("no_shadow_lamp")
    key.data.use_shadow = True
    board.hide_render = True
    shoot("hidden")
    board.hide_render = False
    # the same bar in an instanced collection
    collection = bpy.data.collections.new("Bars")
    scene.collection.objects.unlink(board)
    collection.objects.link(board)
    empty = bpy.data.objects.new("Bar", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", collection
    scene.collection.objects.link(empty)
    shoot("instanced")
    bpy.data.objects.remove(empty)
    scene.collection.objects.link(board)
    # in Cycles, by the compositor; then the head's own mesh, which Cycles itself shades
    render_setup.cycles(32)
    scene.cycles.max_bounces = 0
    bpy.ops.gshead.add_to_compositor(shadows=False, reflections=False)
    render_setup.render_image(out / "composite.exr")
    linked = sorted(o.name for o in scene.gshead_render.heads_scene.objects)
    bpy.ops.gshead.remove_from_compositor()
    made.mesh.data.materials.clear()
    made.mesh.data.materials.append(render_setup.diffuse(0.8))
    for name, visible in (("cycles_lit", False), ("cycles_shadow", True)):
        board.visible_shadow = visible
        render_setup.render_image(out / f"{name}.exr")
    common.report(linked=linked, fill=fill.name)


def bar(key: Any) -> Any:
    """An upright bar between the sun and the head's left cheek; the camera does not see it."""
    bpy.ops.mesh.primitive_cube_add(size=1.0)
    made = bpy.context.object
    made.name, made.dimensions = "Bar", (0.03, 0.03, 0.6)
    toward = key.rotation_euler.to_matrix() @ Vector((0, 0, 1))
    made.location = Vector((0.03, -0.06, 0.0)) + 0.5 * toward
    made.visible_camera = False
    return made


common.run(main)
