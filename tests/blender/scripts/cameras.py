"""Projected points against Blender's own ``world_to_camera_view`` and projection matrices, over many cameras."""

from __future__ import annotations

import itertools

import bpy
import common
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Euler, Vector


def opengl_pixels(window, view, points, width, height):
    clip = np.concatenate([points, np.ones((len(points), 1))], 1) @ (np.array(window) @ np.array(view)).T
    ndc = clip[:, :3] / clip[:, 3:]
    return np.stack([(ndc[:, 0] + 1) / 2 * width, (1 - ndc[:, 1]) / 2 * height], 1)


def main() -> None:
    common.enable()
    cameras = common.module("camera")
    scene = bpy.context.scene
    data = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    rng = np.random.default_rng(0)
    worst = {"pixels": 0.0, "depth": 0.0, "viewport": 0.0, "region": 0.0}
    count = 0
    sizes = ((640, 480, 100), (333, 777, 63), (512, 512, 100))
    aspects, shifts = ((1, 1), (1.5, 1), (1, 1.8)), ((0, 0), (0.21, -0.37))
    for kind, fit, size, aspect, shift in itertools.product(
        ("PERSP", "ORTHO"), ("AUTO", "HORIZONTAL", "VERTICAL"), sizes, aspects, shifts
    ):
        data.type, data.sensor_fit = kind, fit
        data.lens, data.ortho_scale = float(rng.uniform(20, 120)), float(rng.uniform(0.3, 2))
        data.sensor_width, data.sensor_height = float(rng.uniform(20, 40)), float(rng.uniform(15, 40))
        data.shift_x, data.shift_y = shift
        data.clip_start, data.clip_end = 0.05, 40.0
        camera.location, camera.rotation_euler = rng.normal(size=3), Euler(rng.normal(size=3))
        camera.scale = rng.uniform(0.5, 2, 3)
        render = scene.render
        render.resolution_x, render.resolution_y, render.resolution_percentage = size
        render.pixel_aspect_x, render.pixel_aspect_y = aspect
        render.use_border = False
        depsgraph = bpy.context.evaluated_depsgraph_get()
        depsgraph.update()
        seen = camera.evaluated_get(depsgraph)
        made = cameras.render_camera(seen, render)
        depth = rng.uniform(0.5, 5, 50)
        span = rng.uniform(-0.5, 1.5, (50, 2)) * [made.width, made.height] - made.K[:2, 2]
        local = span / made.K[[0, 1], [0, 1]] * (depth[:, None] if kind == "PERSP" else 1)
        local = np.concatenate([local * [1, -1], -depth[:, None]], 1)
        rigid = np.linalg.inv(cameras.BLENDER_TO_OPENCV @ made.viewmat)
        points = local @ rigid[:3, :3].T + rigid[:3, 3]
        got = made.project(points)
        blender = np.array([world_to_camera_view(scene, camera, Vector(p)) for p in points])
        wanted = blender[:, :2] * [made.width, made.height]
        wanted[:, 1] = made.height - wanted[:, 1]
        # world_to_camera_view works on the size before it is truncated to pixels; the renderer does not.
        if size[2] == 100:
            worst["pixels"] = max(worst["pixels"], float(np.abs(got[:, :2] - wanted).max()))
        worst["depth"] = max(worst["depth"], float(np.abs(got[:, 2] - blender[:, 2]).max()))
        window = camera.calc_matrix_camera(
            depsgraph, x=made.width, y=made.height, scale_x=aspect[0], scale_y=aspect[1]
        )  # fmt: skip
        view = np.linalg.inv(rigid)
        pixels = opengl_pixels(window, view, points, made.width, made.height)
        worst["pixels"] = max(worst["pixels"], float(np.abs(got[:, :2] - pixels).max()))
        through = cameras.viewport_camera(window, view, made.width, made.height)
        assert through.orthographic == (kind == "ORTHO")
        assert np.isclose(through.near, 0.05, rtol=1e-3), through
        assert np.isclose(through.far, 40, rtol=2e-2), through
        worst["viewport"] = max(worst["viewport"], float(np.abs(through.project(points)[:, :2] - pixels).max()))
        render.use_border = True
        render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = 0.2, 0.7, 0.15, 0.9
        part = cameras.render_camera(seen, render)
        x, y, w, h = cameras.render_region(render)
        assert (part.width, part.height) == (w, h)
        shifted = part.project(points)[:, :2] + [x, made.height - y - h]
        worst["region"] = max(worst["region"], float(np.abs(shifted - got[:, :2]).max()))
        count += 1
    data.type = "PANO"
    try:
        cameras.render_camera(camera, scene.render)
        refused = ""
    except ValueError as error:
        refused = str(error)
    common.report(worst=worst, cameras=count, refused=refused)


common.run(main)
