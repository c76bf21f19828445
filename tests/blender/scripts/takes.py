"""A take keyed onto the rig plays as ``Take.pose`` says, at whole and broken frames, and at another frame rate."""

from __future__ import annotations

import bpy
import common
import numpy as np


def main() -> None:
    common.enable()
    from gshead_backend.avatar.take import demo_take

    build, reader, takes = (common.module(n) for n in ("rig.build", "rig.read_pose", "takes"))
    avatar = common.tiny_avatar()
    scene = bpy.context.scene
    made = build.build_head(bpy.context, avatar, "Ada")
    take = demo_take()
    worst, moved = {}, 0.0
    for fps in (24, 60):
        scene.render.fps = fps
        action = takes.apply_take(made.rig, take, fps=takes.scene_fps(scene), start=10)
        for f in np.arange(take.start, take.end + 1, 0.5):
            at = 10 + (f - take.start) * fps / take.fps
            scene.frame_set(int(at), subframe=at - int(at))
            depsgraph = bpy.context.evaluated_depsgraph_get()
            state = reader.read_state(made.mesh, avatar, depsgraph)
            wanted = avatar.personal.vertices(take.pose(avatar.head, f))
            got = reader.read_vertices(made.mesh.evaluated_get(depsgraph))
            worst[fps] = max(worst.get(fps, 0.0), float(np.abs(got - wanted).max()))
            moved = max(moved, float(np.abs(wanted - avatar.personal.rest).max()))
            assert state.vertices is None
    takes.clear_pose(made.rig)
    made.rig.animation_data.action = None
    common.module("rig.controls").set_channels(made.rig, {"jawOpen": 0.5})
    made.rig.pose.bones["neck"].rotation_euler[1] = 0.3
    keyed = takes.key_everything(made.rig, 7)
    common.report(worst=worst, moved=moved, action=action.name, keyed=keyed, slots=len(action.slots),
                  curves=len(takes.compat.scene_curves(made.rig)))  # fmt: skip


common.run(main)
