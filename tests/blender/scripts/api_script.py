"""The add-on's Python API: the examples of its page, the same results as the operators, and errors of the project."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import bpy
import common
import numpy as np


def error_of(call: Any, *arguments: Any, **named: Any) -> str:
    from gshead_backend.errors import GsheadError

    try:
        call(*arguments, **named)
    except GsheadError as error:
        return type(error).__name__ + " " + str(error)
    return ""


def main() -> None:
    common.enable()
    sys.path.insert(0, str(common.TESTS))
    import api_examples

    from gshead_backend.avatar.take import load_take
    from gshead_backend.protocol.launcher import live_endpoint

    api, out, scene = common.module("api"), Path(common.ARGS["out"]), bpy.context.scene
    os.chdir(out)
    api_examples.run("In Blender")
    seen: dict[str, Any] = {"files": sorted(p.as_posix() for p in Path().rglob("*") if p.is_file())}

    tiny = api.load(out / "head.gshead")
    seen["heads"] = [[h.mesh.name, h.rig.name] for h in api.heads()]
    seen["again"] = api.save(tiny.rig, out / "same.gshead") == (out / "head.gshead").stat().st_size
    api.set_channels(tiny, {"jawOpen": 0.6})
    seen["set"] = api.channels(tiny.mesh)["jawOpen"]
    table = {"jawOpen": [(1, 0.2), (10, 0.8)], "headRotation": [(1, (0, 0, 0)), (10, (0, 30, 0))]}
    first = api.key_table(tiny, table)
    second = api.key_table(tiny, {"cheekPuff": np.linspace(0, 1, 10)}, start=1)
    seen["same_action"] = first == second
    take = api.export_take(tiny, frames=range(1, 11))
    seen["take"] = [float(take.sample("jawOpen")[0]), float(take.sample("jawOpen")[-1]),
                    float(take.sample("cheekPuff")[5]), float(take.sample("headRotation")[-1, 1])]  # fmt: skip
    action = api.import_take(tiny, take, start=101)
    seen["imported"] = [action != first, list(action.frame_range)]
    seen["exported"] = load_take(out / "again.json").frame_count

    before = scene.frame_current, scene.render.filepath, scene.render.engine
    stop = threading.Event()
    seen["cancelled"] = error_of(
        api.render_animation, out / "stopped", frames=range(1, 6), cancel=stop, on_progress=lambda f, _: stop.set()
    )
    seen["stopped"] = len(list((out / "stopped").iterdir()))
    scene.camera, camera = None, scene.camera
    seen["no_camera"] = error_of(api.render_still, out / "none.png")
    scene.camera = camera
    seen["put_back"] = before == (scene.frame_current, scene.render.filepath, scene.render.engine)
    seen["errors"] = [
        error_of(api.save, camera, out / "x.gshead"), error_of(api.key_table, tiny, {"smile": [(1, 1)]}),
        error_of(api.set_channels, tiny, {"smile": 1}), error_of(api.reconstruct, out / "nowhere.jpg"),
        error_of(api.reconstruct, b"text"), error_of(api.load, out / "take.json"), error_of(api.detach, tiny),
        error_of(api.export_take, tiny, frames=range(5, 5)),
    ]  # fmt: skip
    api.stop_backend()
    while live_endpoint() is not None:  # it goes once it has heard of it
        time.sleep(0.05)
    seen["no_command"] = error_of(api.start_backend, command=["gshead-does-not-exist"])
    common.report(**seen)


common.run(main)
