"""What the scripts in Blender's window share: the screen's pixels, waiting for pictures, marked points, the end."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Euler, Vector

ARGS: dict[str, Any] = json.loads(os.environ["GSHEAD_TEST_ARGS"])
OUT = Path(ARGS["out"])
PACKAGE = "bl_ext.user_default.gshead"
FRONT, QUARTER = Euler((1.5707963, 0, 0)), Euler((1.3, 0, 0.5))


def module(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{name}")


def look(area: Any, perspective: str, rotation: Euler | None) -> None:
    view = area.spaces.active.region_3d
    view.view_perspective = perspective
    if rotation is not None:
        view.view_rotation = rotation.to_quaternion()
        view.view_location, view.view_distance = Vector(ARGS["center"]), 0.7
    area.tag_redraw()


def tokens() -> list[list[int]]:
    """What each viewport shows and what it sent last."""
    return [[view._shown, view._token] for view in module("ticker").views]


def until_shown(area: Any, touch: bool = True) -> Iterator[float]:
    """Wait until every viewport rests on the last frame it asked for, and the window has been swapped.

    Without ``touch`` nothing here asks for a redraw: the viewport has to come back by itself.
    """
    yield 0.3
    views = module("ticker").views
    while not views or any(v.waiting() or v.resting() or not (v._shown or v._kept) for v in views):
        yield 0.05
    if touch:
        area.tag_redraw()
    yield 0.4


def screen() -> np.ndarray:
    """(H, W, 3) uint8: the virtual screen, read from its server's XWD file (big-endian header, BGRX pixels)."""
    content = Path(ARGS["screen_file"]).read_bytes()
    header = np.frombuffer(content, ">u4", 25)
    size, width, height, stride, colors = (int(header[i]) for i in (0, 4, 5, 12, 19))
    pixels = np.frombuffer(content, np.uint8, height * stride, size + 12 * colors)
    return pixels.reshape(height, stride // 4, 4)[:, :width, 2::-1].copy()


def projected(view: Any, region: Any, mesh: Any = None) -> list[list[float]]:
    """Screen pixels (x, y from the top) where Blender itself projects the marked vertices of a head's mesh."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    mesh = mesh or next(obj for obj in bpy.context.scene.objects if obj.type == "MESH")
    mesh = mesh.evaluated_get(depsgraph)
    found = []
    for index in ARGS["vertices"]:
        point = mesh.matrix_world @ mesh.data.vertices[index].co
        at = location_3d_to_region_2d(region, view, point)
        found.append([region.x + at.x, ARGS["screen_height"] - (region.y + at.y)])
    return found


def time_redraws() -> list[float]:
    """Milliseconds of Python that each redraw of a viewport in Rendered shading takes from now on."""
    view_class, milliseconds = module("viewport").View, []
    draw = view_class.draw

    def timed(self: Any, *args: Any) -> None:
        started = time.perf_counter()
        draw(self, *args)
        milliseconds.append(1e3 * (time.perf_counter() - started))

    view_class.draw = timed
    return milliseconds


def play(steps: Callable[[], Iterator[float]]) -> None:
    """Install the extension and advance ``steps`` by a timer; what it yields is how long to wait. Quits at its end."""
    left = steps()

    def tick() -> float | None:
        try:
            return next(left)
        except StopIteration:
            bpy.ops.wm.quit_blender()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        return None

    bpy.context.preferences.view.show_splash = False
    bpy.ops.extensions.package_install_files(
        filepath=ARGS["zip"], repo="user_default", enable_on_install=True, overwrite=True
    )
    bpy.app.timers.register(tick, first_interval=0.5, persistent=True)


def report(values: dict[str, Any]) -> None:
    """Hand what was seen to the test; the last thing a script does."""
    (OUT / "report.json").write_text(json.dumps({**values, "quit_at": time.time()}))
