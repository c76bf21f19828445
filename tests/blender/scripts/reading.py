"""What a live view reads of a head: poses while only the rig moves it, vertices when anything else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import common


def main() -> None:
    common.enable()
    from gshead_backend.avatar.file import save_avatar  # there since the extension is enabled

    path = Path(common.ARGS["out"]) / "avatar.gshead"
    save_avatar(common.tiny_avatar(), path)
    made = common.module("heads").load_head_file(bpy.context, path)
    reading, seen = common.module("reading"), {}

    def read(thorough: bool = False) -> Any:
        depsgraph = bpy.context.evaluated_depsgraph_get()
        depsgraph.update()
        (head,) = reading.read_heads(depsgraph, thorough=thorough)
        return head.state

    seen["first"] = read().vertices is None
    common.module("rig.controls").set_channels(made.rig, {"jawOpen": 0.5})
    made.rig.update_tag()
    state = read()
    seen["keyed"] = state.vertices is None and float(abs(state.pose.jaw_pose).max()) > 0.05
    made.mesh.data.shape_keys.key_blocks["Basis"].points[3].co.x += 0.01
    made.mesh.data.update()
    seen["sculpted_quickly"] = read().vertices is None
    seen["sculpted_at_rest"] = read(thorough=True).vertices is not None
    seen["sculpted_then_keyed"] = read().vertices is not None
    made.mesh.data.shape_keys.key_blocks["Basis"].points[3].co.x -= 0.01
    made.mesh.data.update()
    seen["smoothed_back"] = read(thorough=True).vertices is None
    lattice = bpy.data.objects.new("Lattice", bpy.data.lattices.new("Lattice"))
    bpy.context.scene.collection.objects.link(lattice)
    made.mesh.modifiers.new("Lattice", "LATTICE").object = lattice
    for point in lattice.data.points:
        point.co_deform.x += 0.3
    seen["lattice"] = read().vertices is not None
    shown = reading.read_heads(bpy.context.evaluated_depsgraph_get(), shown=lambda obj: False)
    seen["hidden"] = shown == []
    common.report(**seen)


common.run(main)
