"""One file between Blender versions: written with a keyed head and its camera, or opened and rendered as it is."""

from __future__ import annotations

from pathlib import Path

import bpy
import common
import render_setup


def main() -> None:
    out, file = Path(common.ARGS["out"]), Path(common.ARGS["file"])
    if common.ARGS["write"]:
        made = render_setup.scene_with_head(size=64, count=500)
        controls = common.module("rig.controls")
        for frame, value in ((1, 0.0), (10, 0.8)):
            controls.set_channels(made.rig, {"jawOpen": value, "browInnerUp": value})
            made.rig.pose.bones["neck"].rotation_euler.x = 0.3 * value
            common.module("takes").key_everything(made.rig, frame)
        bpy.context.scene.frame_set(7)
        bpy.ops.wm.save_as_mainfile(filepath=str(file))
    else:
        common.enable()
        bpy.ops.wm.open_mainfile(filepath=str(file))
    head = common.module("heads").visible_heads(bpy.context.evaluated_depsgraph_get())[0]
    render_setup.render_exr(out)
    common.report(
        pose=head.state.pose.to_vector().tolist(), foreign=head.state.vertices is not None, avatar=head.stored.avatar_id
    )


common.run(main)
