"""The main job on an imported head: portrait, rig, take, three frames, saved and reopened, USD; a backend that dies on
the way first."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from pathlib import Path

import bpy
import common
import render_setup

FRAMES = (1, 15, 35)


def install_twin(data: Path) -> None:
    """The default head under another name, as an imported one, where the backend will look for heads."""
    from gshead_backend.head import default_head
    from gshead_backend.head.file import save_head

    os.environ["GSHEAD_DATA_DIR"] = str(data)
    (data / "heads").mkdir(parents=True)
    save_head(dataclasses.replace(default_head(), name="twin"), data / "heads" / "twin.safetensors")


def killed_while_reconstructing(portrait: str) -> tuple[str, float]:
    """Kill the backend half a second into a reconstruction: (error text, seconds until it was known)."""
    session = common.module("runtime").session
    bpy.ops.gshead.start_backend()
    pid = session.current().threaded.endpoint.pid
    killed = []

    def kill() -> None:
        killed.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)

    threading.Timer(0.5, kill).start()
    try:
        bpy.ops.gshead.reconstruct(filepath=portrait, quality="draft")
        return "", 0.0
    except RuntimeError as error:
        return str(error), time.monotonic() - killed[0]


def main() -> None:
    common.enable()
    out, portrait = Path(common.ARGS["out"]), common.ARGS["portrait"]
    install_twin(out / "data")
    scene = bpy.context.scene
    not_an_image = out / "text.jpg"
    not_an_image.write_text("this is no picture")
    refused = ""
    try:
        bpy.ops.gshead.reconstruct(filepath=str(not_an_image), quality="draft")
    except RuntimeError as error:
        refused = str(error)
    unknown = ""
    try:
        bpy.ops.gshead.reconstruct(filepath=portrait, quality="draft", model="nobody")
    except RuntimeError as error:
        unknown = str(error)
    models = common.module("runtime").session.head_models()
    killed, took = killed_while_reconstructing(portrait) if common.ARGS["kill"] else ("", 0.0)
    empty = len(bpy.data.objects)
    started = time.monotonic()
    bpy.ops.gshead.reconstruct(filepath=portrait, quality="draft", model="twin")
    seconds = time.monotonic() - started
    rig = bpy.context.object
    head = common.module("heads").mesh_of(rig)
    scene.render.fps = 24
    scene.frame_start, scene.frame_end = 1, 48
    bpy.ops.gshead.import_take(filepath=common.ARGS["take"])
    render_setup.add_camera(scene, 256)
    scene.camera.location.y = -1.1
    bpy.context.view_layer.objects.active = rig
    for frame in FRAMES:
        render_setup.render_exr(out / f"first_{frame}.exr", frame=frame)
    scene.frame_start, scene.frame_end = 1, 3
    bpy.ops.gshead.export_usd(filepath=str(out / "head.usdc"))
    file = str(out / "head.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file, compress=True)
    avatar = common.module("storage").read(head.data).avatar
    splats, made_on = len(avatar), avatar.head.name
    bpy.ops.gshead.stop_backend()
    bpy.ops.wm.open_mainfile(filepath=file)
    for frame in FRAMES:
        render_setup.render_exr(out / f"again_{frame}.exr", frame=frame)
    common.report(refused=refused, killed=killed, took=took, empty=empty, seconds=seconds, splats=splats,
                  frames=FRAMES, unknown=unknown, models=models, made_on=made_on)  # fmt: skip


common.run(main)
