"""Runs in Blender's window: clicks on splats, files dropped from outside, a clipping region, a movie that fails.

The mouse and keyboard are the X server's (xdotool), so events go the way that a user's go.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

sys.path.insert(0, str(Path(__file__).parent))
import stage
from stage import ARGS, FRONT, OUT, look, module, projected, screen, until_shown

CENTER = Vector(ARGS["center"])
report: dict[str, Any] = {"clicks": {}}


def steps() -> Iterator[float]:
    """The whole session; what it saw goes to ``report.json``."""
    report["xdotool"] = shutil.which("xdotool") is not None
    if report["xdotool"]:
        area, region, mesh = set_scene()
        yield 0.3
        look(area, "PERSP", FRONT)
        yield from until_shown(area)
        report["saved"] = saved(mesh)
        yield from clicks(area, region, mesh)
        yield from clipping(area, region, mesh)
        yield from drops(area)
        yield from lost_movie(area)
    stage.report(report)


def set_scene() -> tuple[Any, Any, Any]:
    """The head before a wall, an empty before the head, a camera."""
    scene, window = bpy.context.scene, bpy.context.window_manager.windows[0]
    for obj in list(scene.objects):
        bpy.data.objects.remove(obj)
    area = next(a for a in window.screen.areas if a.type == "VIEW_3D")
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.gshead.load_avatar(filepath=ARGS["avatar"])
        mesh = next(obj for obj in scene.objects if module("storage").is_head(obj))
        bpy.ops.mesh.primitive_plane_add(size=3, location=CENTER + Vector((0, 0.5, 0)), rotation=(1.5707963, 0, 0))
        bpy.context.object.name = "Wall"
        bpy.ops.object.empty_add(location=CENTER + Vector((0, -0.2, 0.03)), radius=0.02)
        bpy.context.object.name = "Empty"
        bpy.ops.object.select_all(action="DESELECT")
    rig = module("heads").rig_of(mesh)
    rig.name = "Rig"
    bpy.context.view_layer.objects.active = None
    space = area.spaces.active
    space.show_gizmo = space.show_region_ui = space.show_region_toolbar = False
    space.overlay.show_floor = space.overlay.show_text = space.overlay.show_cursor = False
    space.overlay.show_bones = False
    space.clip_start = 0.01
    bpy.context.preferences.view.render_display_type = "NONE"
    return area, next(r for r in area.regions if r.type == "WINDOW"), mesh


def saved(mesh: Any) -> list[str]:
    """How the mesh is displayed now, in a file that is saved now, and afterwards."""
    before, path = mesh.display_type, str(OUT / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = [mesh.name]
    (linked,) = wanted.objects
    told = [before, linked.display_type, mesh.display_type]
    bpy.data.libraries.remove(linked.library)
    return told


def hand(*words: Any) -> None:
    subprocess.run(["xdotool", *map(str, words)], check=True, timeout=20)


def clicked(pixel: Any, *, shift: bool = False) -> Iterator[float]:
    """Click at a pixel of the screen and wait; the selection afterwards is in ``report["clicks"]``'s last entry."""
    hand("mousemove", round(pixel[0]), round(pixel[1]))
    yield 0.3
    if shift:
        hand("keydown", "Shift_L")
        yield 0.3
    hand("mousedown", 1)
    yield 0.1
    hand("mouseup", 1)
    yield 0.3
    if shift:
        hand("keyup", "Shift_L")
    yield 0.5


def selection() -> list[Any]:
    active = bpy.context.view_layer.objects.active
    return [sorted(o.name for o in bpy.context.selected_objects), active.name if active else ""]


def clicks(area: Any, region: Any, mesh: Any) -> Iterator[float]:
    """On the face, beside it, with Shift, on what is drawn before it, undone; and where a box stands before it."""
    told, marks = report["clicks"], projected(area.spaces.active.region_3d, region, mesh)
    beside = [region.x + 60, ARGS["screen_height"] - region.y - 200]
    yield from clicked(marks[2])
    told["face"] = selection()
    yield from clicked(beside)
    told["beside"] = selection()
    yield from clicked(marks[3], shift=True)
    told["shift"] = selection()
    yield from clicked(place_of(area, region, bpy.data.objects["Empty"].location))
    told["empty"] = selection()
    hand("key", "ctrl+z")
    yield 0.7
    told["undone"] = selection()
    bpy.ops.mesh.primitive_cube_add(size=0.04, location=CENTER + Vector((-0.03, -0.2, -0.045)))
    bpy.context.object.name = "Box"
    bpy.context.object.select_set(False)
    yield 0.5
    yield from clicked(place_of(area, region, bpy.data.objects["Box"].location))
    told["box"] = selection()
    bpy.data.objects.remove(bpy.data.objects["Box"])
    yield 0.3


def place_of(area: Any, region: Any, point: Any) -> list[float]:
    from bpy_extras.view3d_utils import location_3d_to_region_2d

    at = location_3d_to_region_2d(region, area.spaces.active.region_3d, point)
    return [region.x + at.x, ARGS["screen_height"] - (region.y + at.y)]


def clipping(area: Any, region: Any, mesh: Any) -> Iterator[float]:
    """The right half of the face is left out by a clipping region."""
    window, view = bpy.context.window_manager.windows[0], area.spaces.active.region_3d
    report["marks"] = projected(view, region, mesh)
    np.save(OUT / "whole.npy", screen())
    middle = round(np.mean([mark[0] for mark in report["marks"]])) - region.x
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.view3d.clip_border(xmin=10, xmax=middle, ymin=10, ymax=region.height - 10)
    area.tag_redraw()
    yield 0.5
    area.tag_redraw()
    yield 0.5
    np.save(OUT / "clipped.npy", screen())
    yield from clicked(report["marks"][3])
    report["clicks"]["clipped"] = selection()
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.view3d.clip_border("INVOKE_DEFAULT")  # pressed again it takes the region away
    report["unclipped"] = not view.use_clip_planes
    yield 0.5


def dropped(path: str, area: Any) -> Iterator[float]:
    """Drop a file from outside onto the left of the viewport."""
    x, y = area.x + 150, ARGS["screen_height"] - area.y - area.height // 2
    process = subprocess.Popen([sys.executable, str(Path(__file__).parent / "drop.py"), path, str(x), str(y)])
    ends = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < ends:
        yield 0.05
    report.setdefault("drops", []).append(process.poll())
    yield 1.0


def drops(area: Any) -> Iterator[float]:
    """A take, which only one handler takes, and a photo, for which Blender asks which."""
    rig = bpy.data.objects["Rig"]
    rig.select_set(True)
    bpy.context.view_layer.objects.active = rig
    yield from dropped(ARGS["take"], area)
    np.save(OUT / "drop_take.npy", screen())
    hand("key", "Return")
    yield 1.5
    report["dropped_take"] = [rig.animation_data.action.name if rig.animation_data else "", len(bpy.data.actions)]
    before = set(bpy.data.objects.keys())
    yield from dropped(ARGS["portrait"], area)
    np.save(OUT / "drop_photo.npy", screen())
    hand("key", "r")  # its entry in the menu
    yield 1.0
    np.save(OUT / "drop_dialog.npy", screen())
    hand("key", "Return")
    ends, heads = time.monotonic() + 90, []
    while not heads and time.monotonic() < ends:
        yield 0.2
        heads = [o for o in bpy.data.objects if o.name not in before and module("storage").is_head(o)]
    report["dropped_photo"] = [o.name for o in heads]
    hand("key", "Escape")
    while module("runtime").session.state == "starting":
        yield 0.1
    yield 3.0
    report["stopped"] = len([o for o in bpy.data.objects if o.name not in before and module("storage").is_head(o)])
    for obj in [o for o in bpy.data.objects if o.name not in before]:
        bpy.data.objects.remove(obj)


def lost_movie(area: Any) -> Iterator[float]:
    """A movie with heads in the compositor; with its third frame the backend is lost for good."""
    from gshead_backend.errors import BackendDiedError

    scene, session = bpy.context.scene, module("runtime").session
    data = bpy.data.cameras.new("Camera")
    camera = bpy.data.objects.new("Camera", data)
    camera.location, camera.rotation_euler = CENTER + Vector((0, -0.8, 0)), (1.5707963, 0, 0)
    scene.collection.objects.link(camera)
    scene.camera, scene.render.engine, scene.cycles.samples = camera, "CYCLES", 1
    scene.render.resolution_x = scene.render.resolution_y = 64
    settings = scene.render.image_settings
    module("compat").set_file_format(settings, "FFMPEG")
    scene.render.filepath, scene.frame_start, scene.frame_end = str(OUT / "movie_"), 1, 6
    bpy.ops.gshead.add_to_compositor()
    real, ended = session.render, []

    def breaks(*arguments: Any, **options: Any) -> Any:
        if scene.frame_current >= 3:
            raise BackendDiedError("The backend ended.", remedy="Start it again.")
        return real(*arguments, **options)

    session.render = breaks
    bpy.app.handlers.render_complete.append(lambda *_: ended.append("complete"))
    bpy.app.handlers.render_cancel.append(lambda *_: ended.append("cancel"))
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window):
        bpy.ops.render.render("INVOKE_DEFAULT", animation=True)
    ends = time.monotonic() + 90
    while (not ended or bpy.app.is_job_running("RENDER")) and time.monotonic() < ends:
        yield 0.1
    yield 1.5
    np.save(OUT / "lost_movie.npy", screen())
    problem = module("runtime").problem
    report["movie"] = {
        "ended": ended, "problem": [problem.code, problem.what] if problem else [], "format": settings.file_format,
        "path": scene.render.filepath, "files": sorted(p.name for p in OUT.glob("movie_*")),
    }  # fmt: skip
    del session.render


stage.play(steps)
