"""Runs in Blender's window: heads in every shading mode, before and behind things, in all kinds of views."""

from __future__ import annotations

import statistics
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
from stage import ARGS, FRONT, OUT, QUARTER, look, module, projected, screen, until_shown

CENTER = Vector(ARGS["center"])
report: dict[str, Any] = {"views": {}}


def steps() -> Iterator[float]:
    """The whole session; what it saw goes to ``report.json``."""
    area, region, head, cube = set_scene()
    milliseconds = time_redraws()
    yield 0.3
    yield from shading_modes(area, region, head, cube)
    yield from moved(area)
    report["redraw_ms"] = [statistics.median(milliseconds), len(milliseconds), max(milliseconds)]
    yield from camera_view(area, region, head, cube)
    yield from two_heads(area, region, head, cube)
    yield from quad_view(area, head)
    yield from life(area, head)
    stage.report(report)


def set_scene() -> tuple[Any, Any, Any, Any]:
    """The head, a cube and one 3D viewport in Solid shading with nothing over it but the heads."""
    scene, window = bpy.context.scene, bpy.context.window_manager.windows[0]
    for obj in list(scene.objects):
        bpy.data.objects.remove(obj)
    area = next(a for a in window.screen.areas if a.type == "VIEW_3D")
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.gshead.load_avatar(filepath=ARGS["avatar"])
        head = next(obj for obj in scene.objects if obj.type == "MESH")
        bpy.ops.object.select_all(action="DESELECT")
        bpy.ops.mesh.primitive_cube_add(size=0.1)
        cube = bpy.context.object
        bpy.ops.object.select_all(action="DESELECT")
    light = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    light.rotation_euler = (0.8, 0, 0.3)
    scene.collection.objects.link(light)
    module("heads").rig_of(head).hide_set(True)
    space = area.spaces.active
    space.show_gizmo = space.show_region_ui = space.show_region_toolbar = False
    space.overlay.show_floor = space.overlay.show_axis_x = space.overlay.show_axis_y = False
    space.overlay.show_text = space.overlay.show_cursor = False
    space.clip_start = 0.01
    return area, next(r for r in area.regions if r.type == "WINDOW"), head, cube


def shot(name: str, view: Any, region: Any, head: Any, **more: Any) -> None:
    np.save(OUT / f"{name}.npy", screen())
    inside = [region.x, ARGS["screen_height"] - region.y - region.height, region.width, region.height]
    report["views"][name] = {
        "pixels": projected(view, region, head),
        "region": inside,
        "tokens": stage.tokens(),
        **more,
    }


def shading_modes(area: Any, region: Any, head: Any, cube: Any) -> Iterator[float]:
    """The cube before the upper left quarter, then behind the whole head, then one half through it."""
    space, view, scene = area.spaces.active, area.spaces.active.region_3d, bpy.context.scene
    for mode, engine in (
        ("SOLID", None), ("MATERIAL", None), ("RENDERED", module("compat").EEVEE), ("RENDERED", "CYCLES"),
        ("RENDERED", "GSHEAD"),
    ):  # fmt: skip
        if engine:
            scene.render.engine = engine
            if engine == "CYCLES":
                scene.cycles.preview_samples = 2
        space.shading.type = mode
        slow = mode != "SOLID" and engine != "GSHEAD"
        for perspective in ("PERSP", "ORTHO") if mode == "SOLID" else ("PERSP",):
            for place, y in (("before", -0.25), ("behind", 0.25)):
                cube.location = CENTER + Vector((-0.05, y, 0.06))
                look(area, perspective, FRONT)
                yield from until_shown(area)
                yield (14.0 if place == "before" else 3.0) if slow else 0.3
                area.tag_redraw()
                yield 1.0 if slow else 0.3
                name = f"{engine or mode}_{perspective}_{place}".lower()
                shot(name, view, region, head, display=head.display_type)
    space.shading.type = "SOLID"
    scene.render.engine = "CYCLES"


def moved(area: Any) -> Iterator[float]:
    for turn in range(30):
        look(area, "PERSP", FRONT)
        area.spaces.active.region_3d.view_distance = 0.7 + 0.003 * turn
        yield 0.03


def camera_view(area: Any, region: Any, head: Any, cube: Any) -> Iterator[float]:
    """A narrow frame, shifted, with a dark passepartout: the head reaches out of it."""
    cube.location = (0, 5, 0)
    scene = bpy.context.scene
    data = bpy.data.cameras.new("Camera")
    data.lens, data.shift_x, data.passepartout_alpha = 85.0, 0.06, 0.8
    data.clip_start = 0.01
    camera = bpy.data.objects.new("Camera", data)
    camera.location, camera.rotation_euler = CENTER + Vector((0.045, -1.3, 0.0)), (1.5707963, 0.0, 0.0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = 200, 600
    look(area, "CAMERA", None)
    yield from until_shown(area)
    shot("camera", area.spaces.active.region_3d, region, head)
    look(area, "PERSP", FRONT)


def two_heads(area: Any, region: Any, head: Any, cube: Any) -> Iterator[float]:
    """A second head behind the first and to its side, with the cube between them."""
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.gshead.load_avatar(filepath=ARGS["avatar"])
    second = next(obj for obj in bpy.context.scene.objects if module("storage").is_head(obj) and obj != head)
    rig = module("heads").rig_of(second)
    rig.location = (0.07, 0.4, 0.0)
    rig.hide_set(True)
    cube.location = CENTER + Vector((0.16, 0.2, 0.0))
    look(area, "PERSP", FRONT)
    yield from until_shown(area)
    view = area.spaces.active.region_3d
    shot("two", view, region, head, second=projected(view, region, second))
    for obj in (second, rig):
        bpy.data.objects.remove(obj)


def quad_view(area: Any, head: Any) -> Iterator[float]:
    """Four regions, four views; afterwards one again."""
    window, region = bpy.context.window_manager.windows[0], next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.screen.region_quadview()
    yield 0.5
    with bpy.context.temp_override(window=window, area=area):
        for view in area.spaces.active.region_quadviews:
            view.view_location, view.view_distance = CENTER, 0.7
    area.tag_redraw()
    yield from until_shown(area)
    regions = [r for r in area.regions if r.type == "WINDOW"]
    for k, (part, view) in enumerate(zip(regions, area.spaces.active.region_quadviews, strict=False)):
        shot(f"quad{k}", view, part, head, views=len(module("ticker").views))
    with bpy.context.temp_override(window=window, area=area, region=regions[0]):
        bpy.ops.screen.region_quadview()
    yield 1.0
    yield from until_shown(area)
    report["views_after_quad"] = len(module("ticker").views)


def life(area: Any, head: Any) -> Iterator[float]:
    """Turned off and on, in Pose Mode, in another workspace, undone, another file, disabled."""
    overlay, window = module("overlay"), bpy.context.window_manager.windows[0]
    seen: dict[str, Any] = {"on": head.display_type}
    setattr(bpy.context.scene, overlay.PROPERTY, False)
    yield 0.5
    np.save(OUT / "off.npy", screen())
    seen["off"] = [head.display_type, len(overlay._regions), len(module("ticker").views)]
    setattr(bpy.context.scene, overlay.PROPERTY, True)
    yield from until_shown(area)
    rig = module("heads").rig_of(head)
    rig.hide_set(False)
    bpy.context.view_layer.objects.active = rig
    rig.select_set(True)
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.object.mode_set(mode="POSE")
    look(area, "PERSP", QUARTER)
    yield from until_shown(area)
    np.save(OUT / "pose.npy", screen())
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.ops.ed.undo_push(message="before")
        bpy.ops.mesh.primitive_cube_add(size=0.01, location=(0, 9, 0))
        bpy.ops.ed.undo_push(message="a cube")
        bpy.ops.ed.undo()
    yield from until_shown(area)
    shown = next(obj for obj in bpy.context.scene.objects if module("storage").is_head(obj))
    seen["undone"] = [shown.display_type, len(module("ticker").views)]
    before = window.workspace
    window.workspace = next(w for w in bpy.data.workspaces if w.name == "Shading")
    deadline = time.monotonic() + 40  # its shading compiles shaders
    while len(overlay._regions) != 1 or not set(overlay._regions) <= set(overlay._live_regions()):
        if time.monotonic() > deadline:
            break
        yield 0.2
    seen["workspace"] = [set(overlay._regions) <= set(overlay._live_regions()), len(overlay._regions)]
    window.workspace = before
    yield 1.0
    client = module("runtime").session.current()
    bpy.ops.wm.read_homefile(app_template="", use_empty=False)
    yield 1.0
    seen["file"] = [len(overlay._regions), len(module("ticker").views), len(client.threaded._streams)]
    bpy.ops.preferences.addon_disable(module=stage.PACKAGE)
    yield 0.5
    h = bpy.app.handlers
    hooks = (h.depsgraph_update_post, h.frame_change_post, h.undo_post, h.redo_post, h.load_post)
    left = [function for hook in hooks for function in hook if "gshead" in function.__module__]
    seen["disabled"] = [len(left), len(overlay._handlers), hasattr(bpy.types.Scene, overlay.PROPERTY)]
    report["life"] = seen


def time_redraws() -> list[float]:
    """Milliseconds of Python that each redraw of the overlay takes from now on."""
    overlay, milliseconds = module("overlay"), []
    draw = overlay._draw_view
    bpy.types.SpaceView3D.draw_handler_remove(overlay._handlers.pop(0), "WINDOW")

    def timed() -> None:
        started = time.perf_counter()
        draw()
        milliseconds.append(1e3 * (time.perf_counter() - started))

    overlay._handlers.insert(0, bpy.types.SpaceView3D.draw_handler_add(timed, (), "WINDOW", "POST_VIEW"))
    return milliseconds


stage.play(steps)
