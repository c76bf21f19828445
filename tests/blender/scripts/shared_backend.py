"""One of two Blenders on one backend: renders frames of its own head, then tells which backend it used."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
import common
import render_setup


def main() -> None:
    out, seed = Path(common.ARGS["out"]), common.ARGS["seed"]
    render_setup.scene_with_head(size=64, seed=seed)
    session = common.module("runtime").session
    bpy.ops.gshead.start_backend()
    endpoint = session.current().threaded.endpoint
    print(f"CONNECTED {endpoint.pid}", flush=True)
    for k in range(common.ARGS["frames"]):
        render_setup.render_exr(out / f"{seed}_{k:02d}.exr")
    print("RENDERED", flush=True)
    if common.ARGS["wait"]:
        sys.stdin.readline()
        render_setup.render_exr(out / f"{seed}_last.exr")
    common.report(pid=endpoint.pid, boot_id=endpoint.boot_id)


common.run(main)
