"""Runs in Blender's window: three heads with takes of their own in two viewports, frame by frame."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Vector

sys.path.insert(0, str(Path(__file__).parent))
import stage
from stage import ARGS, FRONT, OUT, module, projected, screen, until_shown

FRAMES, EVERY = 250, 25
APART = 0.34
report: dict[str, Any] = {"shots": [], "memory": []}


def steps() -> Iterator[float]:
    """The whole session; what it saw goes to ``report.json``."""
    scene, window = bpy.context.scene, bpy.context.window_manager.windows[0]
    for obj in list(scene.objects):
        bpy.data.objects.remove(obj)
    first = next(a for a in window.screen.areas if a.type == "VIEW_3D")
    with bpy.context.temp_override(window=window, area=first, region=first.regions[-1]):
        meshes = [add_head(scene, k) for k in range(3)]
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.5)
    areas = [a for a in window.screen.areas if a.type == "VIEW_3D"]
    for area, turn in zip(areas, (FRONT, Euler((1.4, 0, 0.35))), strict=True):
        space = area.spaces.active
        space.show_gizmo = space.show_region_ui = space.show_region_toolbar = False
        space.overlay.show_floor = space.overlay.show_axis_x = space.overlay.show_axis_y = False
        space.overlay.show_text = space.overlay.show_cursor = False
        view = space.region_3d
        view.view_perspective, view.view_rotation = "PERSP", turn.to_quaternion()
        view.view_location, view.view_distance = Vector(ARGS["center"]), 2.2
    scene.frame_set(1)
    yield from until_shown(areas[0])
    for frame in range(1, FRAMES + 1):
        scene.frame_set(frame)
        yield 0.02
        if frame % EVERY == 0:
            yield from until_shown(areas[0])
            areas[1].tag_redraw()
            yield 0.3
            shot(frame, areas, meshes)
    stage.report(report)


def add_head(scene: Any, k: int) -> Any:
    """Head ``k`` in its place, with a take in which it turns in a rhythm of its own and opens its mouth."""
    before = set(scene.objects)
    bpy.ops.gshead.load_avatar(filepath=ARGS["avatars"][k])
    mesh = next(obj for obj in set(scene.objects) - before if obj.type == "MESH")
    rig = module("heads").rig_of(mesh)
    rig.location.x = (k - 1) * APART
    neck = rig.pose.bones["neck"]
    controls = module("rig.controls")
    for frame in range(1, FRAMES + 1, 12):
        neck.rotation_euler = (0.0, 0.35 * np.sin(frame / (9 + 5 * k)), 0.1 * np.sin(frame / 13 + k))
        neck.keyframe_insert("rotation_euler", frame=frame)
        controls.set_channels(rig, {"jawOpen": 0.4 + 0.4 * np.sin(frame / 7 + k)})
        rig.pose.bones["jawOpen"].keyframe_insert("location", index=1, frame=frame)
    rig.hide_set(True)
    return mesh


def shot(frame: int, areas: list[Any], meshes: list[Any]) -> None:
    """The screen, where each head's marks are in each viewport, what was sent and shown, and the memory used."""
    np.save(OUT / f"crowd_{frame}.npy", screen())
    marks = []
    for area in areas:
        region = next(r for r in area.regions if r.type == "WINDOW")
        marks.append([projected(area.spaces.active.region_3d, region, mesh) for mesh in meshes])
    report["shots"].append({"frame": frame, "marks": marks, "tokens": stage.tokens()})
    workers = module("runtime").session.current().threaded.beat.workers
    pids = ["self", *(str(worker.pid) for worker in workers if worker.role == "render")]
    report["memory"].append([resident(pid) for pid in pids])


def resident(pid: str) -> float:
    """Resident MiB of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


stage.play(steps)
