"""Pictures of a head in the shadows of things: a lattice before a sun, a hat's brim, a soft lamp.

For docs/images/shadows.jpg, made by ``tests/blender/make_light_sheet.py``.
"""

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
    head, _ = render_setup.stage(15, (0.2, 0.22, 0.26))
    api, scene = common.module("api"), bpy.context.scene
    middle = Vector(render_setup.head_middle(head))
    sun = render_setup.add_lamp("Sun", "SUN", (0, 0, 0), 3.5)
    sun.rotation_euler = (radians(62), 0, radians(38))
    api.render_still(out / "shadow_none.png")
    toward = sun.rotation_euler.to_matrix() @ Vector((0, 0, 1))
    slats = [slat(middle + 0.6 * toward, toward, 0.045 * i) for i in range(-6, 7)]
    for name, angle in (("blind", 0.5), ("blind_soft", 4.0)):
        sun.data.angle = radians(angle)
        api.render_still(out / f"shadow_{name}.png")
    scene.render.engine = "CYCLES"
    scene.cycles.samples = int(common.ARGS.get("samples", 32))
    sun.data.angle = radians(0.5)
    bpy.ops.mesh.primitive_plane_add(size=3.0, location=middle + Vector((0, 0.35, 0)), rotation=(radians(90), 0, 0))
    bpy.context.object.data.materials.append(render_setup.diffuse(0.5))
    bpy.ops.gshead.add_to_compositor()
    api.render_still(out / "shadow_cycles.png", engine="")
    for made in slats:
        bpy.data.objects.remove(made)
    bpy.ops.mesh.primitive_cylinder_add(radius=0.17, depth=0.008, location=middle + Vector((0, -0.06, 0.085)))
    bpy.context.object.data.materials.append(render_setup.diffuse(0.3))
    sun.rotation_euler = (radians(35), 0, radians(20))
    api.render_still(out / "shadow_brim.png", engine="")
    common.report(done=True)


def slat(place: Any, toward: Any, up: float) -> Any:
    """One slat of a blind that stands across a sun's way."""
    bpy.ops.mesh.primitive_cube_add(size=1.0)
    made = bpy.context.object
    made.dimensions = (1.2, 0.022, 0.002)
    made.rotation_euler = toward.to_track_quat("Z", "Y").to_euler()
    made.location = place + made.rotation_euler.to_matrix() @ Vector((0, up, 0))
    made.visible_camera = False
    return made


common.run(main)
