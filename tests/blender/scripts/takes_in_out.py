"""Takes into a rig and out again: recordings, actions, strips, export, undo, baking both ways."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import common
import numpy as np


def refusal(call, **arguments) -> str:
    try:
        call(**arguments)
    except RuntimeError as error:
        return str(error)
    return ""


def main() -> None:
    common.enable()
    from gshead_backend.avatar.live_link import read_live_link
    from gshead_backend.avatar.live_link_angles import live_link_csv, save_live_link
    from gshead_backend.avatar.take import demo_take, load_take, save_take
    from gshead_backend.head import ARKIT_NAMES
    from gshead_backend.head.rotation import euler_to_matrix

    heads, reader, compat, bake, sampling = (
        common.module(n) for n in ("heads", "rig.read_pose", "compat", "bake", "take_sampling")
    )
    from gshead_backend.avatar.file import avatar_to_bytes

    out = Path(common.ARGS["out"])
    context = bpy.context
    scene = context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 48
    avatar = common.tiny_avatar()
    made = heads.add_head(context, avatar_to_bytes(avatar), "Ada")
    rig, mesh = made.rig, made.mesh
    operators = bpy.ops.gshead
    demo = demo_take()
    save_take(demo, out / "demo.json")

    def difference(a, b, frames=range(1, 49)) -> float:
        worst = 0.0
        for frame in frames:
            worst = max(worst, float(np.abs(a.arkit(frame) - b.arkit(frame)).max()))
            for name in ("headRotation", "neckRotation", "leftEyeRotation", "rightEyeRotation"):
                worst = max(worst, float(np.abs(a.rotation(name, frame) - b.rotation(name, frame)).max()))
        return worst

    def vertices(frame: int) -> np.ndarray:
        scene.frame_set(frame)
        return reader.read_vertices(mesh.evaluated_get(context.evaluated_depsgraph_get()))

    seen: dict = {}
    # JSON in and out, CSV out and in.
    operators.import_take(filepath=str(out / "demo.json"))
    operators.export_take(filepath=str(out / "again.json"))
    seen["round_trip"] = difference(load_take(out / "again.json"), demo)
    operators.export_take(filepath=str(out / "again.csv"))
    back, notes = read_live_link((out / "again.csv").read_bytes())
    seen["csv_notes"] = notes.text()
    seen["csv"] = max(float(np.abs(back.sample(n) - demo.sample(n)).max()) for n in ARKIT_NAMES)
    head = euler_to_matrix(np.radians(demo.sample("headRotation"))) @ euler_to_matrix(
        np.radians(demo.sample("neckRotation"))
    )
    seen["csv_turn"] = float(np.abs(euler_to_matrix(np.radians(back.sample("neckRotation"))) - head).max())

    # A recording at 60, with flaws, into a scene at 24; on a strip.
    recorded = common.module("take_files").at_rate(demo, 60)
    lines = live_link_csv(recorded).splitlines()
    lines = [lines[0] + ",SmellLevel", *(line + ",1" for line in lines[1:])]
    (out / "Shot 7.csv").write_text("\n".join(lines) + "\n00:00")
    operators.import_take(filepath=str(out / "Shot 7.csv"), start="FRAME", start_frame=101, add_strip=True)
    track = rig.animation_data.nla_tracks[0]
    strip = track.strips[0]
    seen["strip"] = [track.name, strip.action.name, strip.frame_start, strip.frame_end, strip.action_slot is not None]
    seen["current_action"] = rig.animation_data.action is None
    scene.frame_start, scene.frame_end = 101, 148
    operators.export_take(filepath=str(out / "strip.json"))
    strip_take = load_take(out / "strip.json")
    seen["strip_moves"] = max(
        float(np.abs(strip_take.arkit(100 + f) - demo.arkit(f)).max()) for f in range(1, 49)
    )  # fmt: skip
    keys = compat.slot_curves(strip.action, strip.action_slot)
    seen["whole_frames"] = all(p.co[0] == round(p.co[0]) for _, c in keys for p in c.keyframe_points)

    # Into the current action: channels of another take stay.
    scene.frame_start, scene.frame_end = 1, 48
    rig.animation_data.nla_tracks.remove(track)
    operators.import_take(filepath=str(out / "demo.json"))
    first = rig.animation_data.action
    (out / "puff.json").write_text(json.dumps({
        "format": "gshead-take", "version": 1, "fps": 24, "frames": 48, "name": "puff",
        "channels": {"cheekPuff": {"frames": [1, 48], "values": [0, 1]}},
    }))  # fmt: skip
    operators.import_take(filepath=str(out / "puff.json"), target="CURRENT", scale=0.5)
    seen["same_action"] = rig.animation_data.action == first
    sampled = sampling.sample(context, mesh, range(1, 49))
    seen["puff"] = float(sampled.shapes["cheekPuff"].max())
    seen["still_smiles"] = float(sampled.shapes["mouthSmileLeft"].max())

    # Baking: the same vertices before, baked, and back on controls.
    before = {frame: vertices(frame) for frame in (1, 6, 15, 25, 36, 47)}
    operators.bake_shape_keys()
    seen["baked"] = bake.is_baked(mesh)
    seen["bake_error"] = max(float(np.abs(vertices(f) - v).max()) for f, v in before.items())
    mesh_keys = mesh.data.shape_keys
    for _, curve in compat.slot_curves(mesh_keys.animation_data.action, mesh_keys.animation_data.action_slot):
        if "mouthSmile" in curve.data_path:
            for point in curve.keyframe_points:
                point.co[1] = 0.25
    mesh_keys.animation_data.action.update_tag()
    scene.frame_set(10)
    seen["edited"] = float(sampling.sample(context, mesh, range(10, 11)).shapes["mouthSmileLeft"][0])
    operators.bake_controls()
    seen["unbaked"] = bake.is_baked(mesh)
    seen["controls_action"] = [rig.animation_data.action.name, rig.animation_data.action != first]
    after = sampling.sample(context, mesh, range(1, 49))
    seen["smile"] = [float(after.shapes["mouthSmileLeft"].min()), float(after.shapes["mouthSmileLeft"].max())]
    seen["jaw"] = float(np.abs(after.shapes["jawOpen"] - sampled.shapes["jawOpen"]).max())
    seen["turn"] = float(np.abs(after.rotations["neckRotation"] - sampled.rotations["neckRotation"]).max())
    operators.bake_shape_keys(frame_start=5, frame_end=9)
    operators.remove_bake()
    seen["removed"] = [bake.is_baked(mesh), mesh_keys.animation_data.action is None]
    seen["after_remove"] = float(sampling.sample(context, mesh, range(36, 37)).shapes["jawOpen"][0])

    # What is refused leaves everything as it was; undo takes an import back.
    (out / "bad.csv").write_text("a,b\n1,2\n")
    action = rig.animation_data.action
    seen["refused"] = refusal(operators.import_take, filepath=str(out / "bad.csv"))
    seen["no_frames"] = refusal(operators.bake_shape_keys, frame_start=10, frame_end=5)
    seen["kept"] = rig.animation_data.action == action and not bake.is_baked(mesh)
    save_live_link(demo, out / "x.csv")
    seen["handler"] = [bpy.types.GSHEAD_FH_take.bl_file_extensions, bpy.types.GSHEAD_FH_take.bl_import_operator]
    bpy.ops.ed.undo_push(message="before")
    name = rig.name
    operators.import_take(filepath=str(out / "x.csv"))
    bpy.ops.ed.undo_push(message="imported")
    bpy.ops.ed.undo()
    seen["undone"] = bpy.data.objects[name].animation_data.action.name
    common.report(**seen)


common.run(main)
