"""Reenact from Video through a real backend: a folder of pictures becomes keys; what cannot be tracked is refused."""

from __future__ import annotations

from pathlib import Path

import bpy
import common


def main() -> None:
    common.enable()
    from gshead_backend.avatar.file import avatar_to_bytes

    heads, sampling, runtime = (common.module(n) for n in ("heads", "take_sampling", "runtime"))
    context = bpy.context
    context.scene.render.fps = 24
    made = heads.add_head(context, avatar_to_bytes(common.tiny_avatar()), "Ada")
    pictures = Path(common.ARGS["pictures"])
    refused = ""
    try:
        bpy.ops.gshead.reenact(filepath=common.ARGS["empty"])
    except RuntimeError as error:
        refused = str(error)
    untouched = made.rig.animation_data.action is None
    first = sorted(pictures.iterdir())[0]
    bpy.ops.gshead.reenact(filepath=str(first), add_strip=True, motion="head")
    strip = made.rig.animation_data.nla_tracks[0].strips[0]
    sampled = sampling.sample(context, made.mesh, range(1, 4))
    smile = sampled.shapes["mouthSmileLeft"]
    bpy.ops.gshead.export_take(filepath=str(pictures.parent / "reenacted.json"))
    runtime.session.stop()
    common.report(refused=refused, untouched=untouched, strip=[strip.name, strip.frame_start, strip.frame_end],
                  smile=smile, turn=sampled.rotations["headRotation"])  # fmt: skip


common.run(main)
