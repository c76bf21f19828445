"""A head that a network draws: reconstructed, keyed, rendered through the photo's camera, refused by exports."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import bpy
import common
import numpy as np
import render_setup
from mathutils import Matrix

UNITS = 5.0
LENS = 216.0  # millimetres on a 36 mm sensor: the network's focal length of 12 half pictures


def error_of(call) -> str:
    from gshead_backend.errors import GsheadError

    try:
        call()
    except GsheadError as error:
        return str(error)
    return ""


def main() -> None:
    common.enable()
    api, out, scene = common.module("api"), Path(common.ARGS["out"]), bpy.context.scene
    steps: list[str] = []
    portrait = Path(common.ARGS["portrait"])
    missing = error_of(lambda: api.reconstruct(portrait, method="no-such"))
    head = api.reconstruct(portrait, method="gagavatar", name="Ada", on_progress=lambda f, text: steps.append(text))
    api.save(head, out / "ada.gshead")
    turned = [(1, (0, 0, 0)), (2, (0, 0, 0)), (3, (5, 12, 0))]
    api.key_table(head, {"jawOpen": [(1, 0.0), (2, 0.8), (3, 0.8)], "headRotation": turned})

    avatar = common.module("storage").read(head.mesh.data).avatar
    render_setup.add_camera(scene, int(common.ARGS["size"]))
    scene.camera.data.lens = LENS
    rotation, place = avatar.portrait.camera[:, :3].astype(float), avatar.portrait.camera[:, 3].astype(float)
    view = np.eye(4)  # the network's cameras have x left, y up, row vectors; OpenCV's x right, y down
    view[:3, :3], view[:3, 3] = np.diag([-1.0, -1, 1]) @ rotation.T, np.diag([-1.0, -1, 1]) @ place / UNITS
    to_world = common.module("rig.axes").head_to_world(np.array(head.mesh.matrix_world, float))
    scene.camera.matrix_world = Matrix((to_world @ np.linalg.inv(view) @ np.diag([1.0, -1, -1, 1])).tolist())
    poses = []
    for frame in (1, 2, 3):
        render_setup.render_exr(out / f"{frame}.exr", frame=frame)
        state = common.module("rig.read_pose").read_state(head.mesh, avatar, bpy.context.evaluated_depsgraph_get())
        poses.append(state.pose.to_vector())
    exports = (api.export_ply, out / "a.ply"), (api.export_usd, out / "a.usd")
    refused = [error_of(partial(export, head, path)) for export, path in exports]
    refused.append(error_of(lambda: api.set_light(head, "scene")))
    head.rig.gshead_light.source = "SCENE"  # as an animation might
    (seen,) = common.module("heads").visible_heads(bpy.context.evaluated_depsgraph_get())
    common.report(
        light=seen.light,
        steps=steps, missing=missing, refused=refused, poses=poses, files=sorted(p.name for p in out.iterdir()),
        method=avatar.method,
    )  # fmt: skip


common.run(main)
