"""Pictures of a head while one area light goes around it: by the engine, and in Cycles beside a white ball.

For docs/images/lighting.jpg, made by ``tests/blender/make_light_sheet.py``.
"""

from __future__ import annotations

from math import cos, radians, sin
from pathlib import Path
from typing import Any

import bpy
import common
import render_setup
from mathutils import Vector

AROUND = (-80, -40, 0, 40, 80)
WATTS, AWAY = 11.0, 1.0
ALBEDO = 0.6


def main() -> None:
    out = Path(common.ARGS["out"])
    head, camera = render_setup.stage(0, (0.01, 0.011, 0.012))
    api, scene = common.module("api"), bpy.context.scene
    data = bpy.data.lights.new("Key", "AREA")
    data.energy, data.size = WATTS, 0.4
    key = bpy.data.objects.new("Key", data)
    scene.collection.objects.link(key)
    middle = render_setup.head_middle(head)
    for yaw in AROUND:
        aim(key, middle, yaw, 15)
        api.render_still(out / f"engine_{yaw}.png")
    aim(key, middle, 0, 85)
    api.render_still(out / "engine_top.png")
    aim(key, middle, 150, 25)
    api.render_still(out / "engine_back.png")
    api.set_light(head, "photo")
    api.render_still(out / "engine_photo.png")
    api.set_light(head, "scene")
    scene.render.engine = "CYCLES"
    scene.cycles.samples = int(common.ARGS.get("samples", 64))
    render_setup.grey_ball(0.06, Vector(middle) + Vector((0.23, 0, 0)), ALBEDO)
    camera.data.lens *= 0.68
    camera.location.x += 0.09
    bpy.ops.gshead.add_to_compositor()
    for yaw in (-60, 0, 60):
        aim(key, middle, yaw, 15)
        api.render_still(out / f"cycles_{yaw}.png", engine="")
    common.report(done=True)


def aim(lamp: Any, middle: Any, yaw: float, pitch: float) -> None:
    """Put a light at angles around the head (toward its left, and up), looking at it."""
    a, b = radians(yaw), radians(pitch)
    way = Vector((sin(a) * cos(b), -cos(a) * cos(b), sin(b)))
    lamp.location = Vector(middle) + AWAY * way
    lamp.rotation_euler = way.to_track_quat("Z", "Y").to_euler()


common.run(main)
