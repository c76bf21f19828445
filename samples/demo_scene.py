# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job in Blender, by script: a portrait becomes a rigged head that is animated, rendered and exported.

``python3 bootstrap.py demo`` runs this with Blender's Python module. Everything from ``main`` on uses Blender's
operators only, so it shows how to script the extension.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

PACKAGE = "bl_ext.user_default.gshead"
SIZE = 512
LENS_MM = 85.0
TOP, BOTTOM = 0.14, -0.06  # picture beyond the head's mesh, in heights of that mesh
BACKGROUND = (0.18, 0.19, 0.21, 1.0)  # scene-linear

times: dict[str, float] = {}


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Measure one step and say it on stderr."""
    print(f"    {name:<28}", end="", file=sys.stderr, flush=True)
    started = time.monotonic()
    yield
    times[name] = time.monotonic() - started
    print(f" {times[name]:8.2f} s", file=sys.stderr, flush=True)


def install(extension: str, backend: list[str]) -> None:
    """Install and enable the zip as the user interface would, and say what starts the backend."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(
        filepath=extension, repo="user_default", enable_on_install=True, overwrite=True
    )
    preferences = bpy.context.preferences.addons[PACKAGE].preferences
    preferences.backend_command = json.dumps(backend)


def set_scene(head: bpy.types.Object) -> None:
    """A camera in front of the head, a plain background, and frames that look like the photograph."""
    scene = bpy.context.scene
    corners = [head.matrix_world @ Vector(corner) for corner in head.bound_box]
    low, high = (Vector(map(pick, zip(*corners, strict=True))) for pick in (min, max))
    data = bpy.data.cameras.new("Camera")
    data.lens, data.sensor_width = LENS_MM, 36.0
    camera = bpy.data.objects.new("Camera", data)
    tall = high.z - low.z
    distance = tall * (1 + TOP + BOTTOM) * LENS_MM / data.sensor_width
    camera.location = (0.0, low.y - distance, (low.z + high.z) / 2 + tall * (TOP - BOTTOM) / 2)
    camera.rotation_euler = (1.5707963, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.world = bpy.data.worlds.new("Backdrop")
    scene.world.color = BACKGROUND[:3]
    if scene.world.node_tree is not None:  # from Blender 5.0 on every world has nodes
        scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = BACKGROUND
    scene.render.engine = "GSHEAD"
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"


def main(job: dict[str, Any]) -> None:
    """Run every step; a step that fails raises with the extension's message."""
    out = Path(job["out"])
    scene = bpy.context.scene
    with timed("start the backend"):
        bpy.ops.gshead.start_backend()
    with timed(f"reconstruct ({job['quality']})"):
        bpy.ops.gshead.reconstruct(filepath=job["portrait"], quality=job["quality"])
    head = bpy.context.object
    take = json.loads(Path(job["take"]).read_text(encoding="utf-8"))
    scene.render.fps = int(take["fps"])
    scene.frame_start, scene.frame_end = take["start"], take["start"] + take["frames"] - 1
    with timed("key the take"):
        bpy.ops.gshead.import_take(filepath=job["take"])
    set_scene(next(child for child in (head, *head.children_recursive) if child.type == "MESH"))
    scene.render.filepath = str(out / "frames" / "####.png")
    with timed(f"render {take['frames']} frames"):
        bpy.ops.render.render(animation=True)
    with timed("save the avatar"):
        bpy.ops.gshead.save_avatar(filepath=str(out / "head.gshead"))
    with timed("export USD"):
        bpy.ops.gshead.export_usd(filepath=str(out / "head.usdc"))
    with timed("save the scene"):
        bpy.ops.wm.save_as_mainfile(filepath=str(out / "head.blend"), compress=True)
    bpy.ops.gshead.stop_backend()


def run(job: dict[str, Any]) -> None:
    """Install, do the main job, and leave ``report.json`` in the output folder."""
    with timed("install the extension"):
        install(job["extension"], job["backend"])
    main(job)
    report = {
        "blender": bpy.app.version_string,
        "quality": job["quality"],
        "portrait": job["portrait"],
        "seconds": times,
    }
    (Path(job["out"]) / "report.json").write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    status = 1
    try:
        run(json.loads(sys.argv[-1]))
        status = 0
    except Exception as error:
        print(f"\n\n{error}", file=sys.stderr)
        if not isinstance(error, RuntimeError):  # what an operator reports says enough
            traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # Blender's Python module can hang in its own clean-up when an interpreter ends by itself.
    os._exit(status)
