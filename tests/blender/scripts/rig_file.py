"""Save a keyed head, open one and say what it evaluates to; bring a rig without a board up to date."""

from __future__ import annotations

from typing import Any

import bpy
import common
import numpy as np
import render_setup

FRAMES = (1, 7, 12.5, 20, 33, 48)


def evaluate(path: str) -> list[str]:
    """Write the evaluated vertices at some frames to an .npz; returns the heads that were sent as vertices."""
    heads, reader = common.module("heads"), common.module("rig.read_pose")
    mesh = next(o for o in bpy.data.objects if common.module("storage").is_head(o))
    seen, foreign = {}, []
    for frame in FRAMES:
        bpy.context.scene.frame_set(int(frame), subframe=frame - int(frame))
        depsgraph = bpy.context.evaluated_depsgraph_get()
        seen[f"v{frame}"] = reader.read_vertices(mesh.evaluated_get(depsgraph))
        foreign += [h.name for h in heads.visible_heads(depsgraph) if h.state.vertices is not None]
    np.savez(path, **seen)
    return foreign


def save(report: dict[str, Any]) -> None:
    made = render_setup.scene_with_head()
    from gshead_backend.avatar.take import demo_take

    takes, rig = common.module("takes"), made.rig
    takes.apply_take(rig, demo_take(), fps=24, start=1)
    rig.pose.bones["CTL-corner.L"].location = (0.4, -0.6, 0.0)
    rig.pose.bones["eye_target"].location = (0.05, 0.03, 0.0)
    for frame, value in ((1, 0.0), (24, -1.0)):
        rig.pose.bones["CTL-jaw"].location[1] = value
        rig.pose.bones["CTL-jaw"].keyframe_insert("location", index=1, frame=frame)
    bpy.ops.wm.save_as_mainfile(filepath=common.ARGS["file"], compress=True)
    report["foreign"] = evaluate(common.ARGS["out"])


def main() -> None:
    report: dict[str, Any] = {}
    if common.ARGS["do"] == "save":
        save(report)
    else:
        common.enable()
        bpy.ops.wm.open_mainfile(filepath=common.ARGS["file"])
        bpy.context.scene.render.engine = "GSHEAD"
        rig = next(o for o in bpy.data.objects if o.type == "ARMATURE")
        bpy.context.view_layer.objects.active = rig
        if common.ARGS["do"] == "update":
            report["moved"] = list(bpy.ops.gshead.update_rig())
            report["left"] = [
                curve.data_path
                for strip in rig.animation_data.nla_tracks[0].strips
                for _, curve in common.module("compat").slot_curves(strip.action, strip.action_slot)
                if curve.data_path.startswith("[")
            ]
            report["sliders"] = common.module("rig.controls").slider_values(rig)
            report["again"] = bpy.ops.gshead.update_rig.poll()
        report["curves"] = common.module("rig.controls").control_curves(rig)["jawOpen"]
        if common.ARGS.get("strip"):
            rig.animation_data.nla_tracks[0].mute = False
            rig.animation_data.action = None
        report["foreign"] = evaluate(common.ARGS["out"])
    common.report(**report)


common.run(main)
