"""Final frames of the engine: blur by motion and lens, masks, regions, percentage, views, colour management."""

from __future__ import annotations

from pathlib import Path

import bpy
import common
import numpy as np
import render_setup

SAMPLES = 4


def main() -> None:
    out = Path(common.ARGS["out"])
    made = render_setup.scene_with_head(size=64)
    scene, rig, camera = bpy.context.scene, made.rig, bpy.context.scene.camera
    render, told = scene.render, {}

    def shoot(name: str) -> None:
        render_setup.render_exr(out / f"{name}.exr")

    # motion: the head and the camera move, the shutter's place varies
    for frame, x in ((1, -0.1), (3, 0.1)):
        rig.location.x = x
        rig.keyframe_insert("location", index=0, frame=frame)
        camera.location.z = x / 4
        camera.keyframe_insert("location", index=2, frame=frame)
    common.module("compat")
    for curve in common.module("compat").scene_curves(rig) + common.module("compat").scene_curves(camera):
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"
    scene.gshead_render.samples = SAMPLES
    render.motion_blur_shutter = 0.8
    for position, opens in (("START", 0.0), ("CENTER", -0.5), ("END", -1.0)):
        render.use_motion_blur, render.motion_blur_position = True, position
        scene.frame_set(2)
        shoot(f"blur_{position}")
        told[position] = [scene.frame_current, scene.frame_subframe]
        render.use_motion_blur = False
        times = [2 + 0.8 * (opens + (i + 0.5) / SAMPLES) for i in range(SAMPLES)] + [2 + 0.8 * (opens + 0.5)]
        for number, time in enumerate(times):
            scene.frame_set(int(np.floor(time)), subframe=time - np.floor(time))
            shoot(f"at_{position}_{number}")
    scene.frame_set(2)
    shoot("sharp")
    # depth of field
    dof = camera.data.dof
    dof.use_dof, dof.aperture_fstop, scene.gshead_render.samples = True, 0.5, 32
    for name, distance in (("focused", 0.8), ("unfocused", 0.4)):
        dof.focus_distance = distance
        shoot(name)
    camera.data.type, camera.data.ortho_scale = "ORTHO", 0.4
    shoot("ortho_dof")
    camera.data.type, dof.use_dof = "PERSP", False
    # percentage, region kept in the full frame
    render.resolution_percentage = 50
    shoot("half")
    render.resolution_percentage = 100
    render.use_border, render.use_crop_to_border = True, False
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = 0.25, 0.75, 0.125, 0.5
    shoot("border")
    render.use_border = False
    # stereo
    render.use_multiview, render.views_format = True, "STEREO_3D"
    stereo = camera.data.stereo
    stereo.pivot = "CENTER"
    stereo.convergence_mode, stereo.interocular_distance = "PARALLEL", 0.06
    scene.render.image_settings.views_format = "INDIVIDUAL"
    render_setup.render_image(out / "stereo.exr")
    render.use_multiview = False
    camera.animation_data_clear()
    place = camera.location.copy()
    for name, x in (("left", -0.03), ("right", 0.03)):
        camera.location.x = place.x + x
        shoot(name)
    camera.location = place
    # masks of two heads, one before the other
    heads = common.module("heads")
    other = heads.add_head(bpy.context, render_setup.tiny_bytes(count=800, seed=9), "Bob")
    other.rig.location = (0.06, 0.3, 0.0)
    rig.animation_data_clear()
    scene.gshead_render.use_masks = True
    shoot("masks")
    other.mesh.hide_render = True
    shoot("mask_ada_alone")
    scene.gshead_render.use_masks = False
    colours(out, told)
    common.report(told=told)


def colours(out: Path, told: dict) -> None:
    """The same frame as PNG under two view transforms, and again in another working space."""
    scene = bpy.context.scene
    render_setup.render_image(out / "linear.exr")
    settings = scene.render.image_settings
    for transform in ("Standard", "AgX"):
        scene.view_settings.view_transform = transform
        settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGBA", "16"
        scene.render.filepath = str(out / f"{transform}.png")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(str(out / "linear.exr"))
        image.colorspace_settings.name = "Linear Rec.709"
        image.save_render(str(out / f"{transform}_expected.png"), scene=scene)
        bpy.data.images.remove(image)
    scene.view_settings.view_transform = "Standard"
    space = getattr(bpy.data, "colorspace", None)
    told["space"] = ""
    if space is not None and hasattr(bpy.ops.wm, "set_working_color_space"):
        bpy.ops.wm.set_working_color_space(working_space="ACEScg", convert_colors=True)
        told["space"] = space.working_space
        scene.render.filepath = str(out / "acescg.png")
        bpy.ops.render.render(write_still=True)


common.run(main)
