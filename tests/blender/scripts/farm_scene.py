"""A saved animation of one tiny head for the farm's tests: six small PNG frames, its avatar packed, no stamps."""

from __future__ import annotations

from pathlib import Path

import bpy
import common
import render_setup


def main() -> None:
    made = render_setup.scene_with_head(size=64)
    scene, rig = bpy.context.scene, made.rig
    for frame, x in ((1, -0.05), (6, 0.05)):
        rig.location.x = x
        rig.keyframe_insert("location", index=0, frame=frame)
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGBA", "16"
    for stamp in [name for name in dir(scene.render) if name.startswith("use_stamp")]:
        setattr(scene.render, stamp, False)
    scene.frame_end = 6
    path = Path(common.ARGS["out"]) / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    submitted = {}
    for kind in ("openjd", "slurm", "flamenco"):
        folder = path.parent / kind
        assert bpy.ops.gshead.submit_to_farm(directory=str(folder), kind=kind, chunk=4) == {"FINISHED"}
        submitted[kind] = sorted(p.name for p in folder.iterdir())
    settings.file_format = "FFMPEG" if not hasattr(settings, "media_type") else settings.file_format
    if hasattr(settings, "media_type"):
        settings.media_type = "VIDEO"
    try:
        bpy.ops.gshead.submit_to_farm(directory=str(path.parent / "movie"), kind="slurm")
        refused = ""
    except RuntimeError as error:
        refused = str(error)
    common.report(path=str(path), submitted=submitted, refused=refused, original=bpy.data.filepath)


common.run(main)
