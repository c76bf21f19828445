"""A head as FLAME's: expressions of its own, ARKit mapped onto them, a jaw moved by many channels, correctives."""

from __future__ import annotations

import dataclasses

import bpy
import common
import numpy as np
from mathutils import Euler


def foreign_avatar():
    tiny = common.tiny_avatar()
    head = tiny.head
    rng = np.random.default_rng(11)
    count = 20
    mix = rng.normal(size=(52, count)).astype(np.float32) * 0.3
    head = dataclasses.replace(
        head, name="foreign", expression_names=tuple(f"exp{i:02d}" for i in range(count)),
        expression_dirs=np.ascontiguousarray(head.expression_dirs[:, :, :count]),
        expression_gain=head.expression_gain[:count] + rng.normal(size=(count, 6)).astype(np.float32) * 0.02,
        arkit_expression=mix, arkit_jaw=(rng.normal(size=(52, 3)) * 0.01).astype(np.float32),
        pose_correctives=(rng.normal(size=(head.vertex_count, 3, 36)) * 2e-3).astype(np.float32),
    )  # fmt: skip
    return dataclasses.replace(tiny, head=head)


def main() -> None:
    common.enable()
    from gshead_backend.head import ARKIT_NAMES, HeadPose, pose_from_arkit
    from gshead_backend.head.rotation import euler_to_matrix, matrix_to_axis_angle

    build, reader = common.module("rig.build"), common.module("rig.read_pose")
    avatar = foreign_avatar()
    made = build.build_head(bpy.context, avatar, "Foreign")
    rig, mesh = made.rig, made.mesh
    from_pose = from_arkit = 0.0
    kind = "pose"
    rng = np.random.default_rng(2)
    for k in range(12):
        channels = rng.uniform(0, 1, 52).astype(np.float32)
        raw = rng.normal(size=20) * 0.5 if k % 2 else np.zeros(20)
        common.module("rig.controls").set_channels(rig, dict(zip(ARKIT_NAMES, channels.tolist(), strict=True)))
        for i in range(20):
            rig[f"raw_exp{i:02d}"] = float(raw[i])
        turns = {b: rng.normal(size=3) * 0.4 for b in ("root", "neck", "eye.L", "eye.R")}
        for bone, euler in turns.items():
            rig.pose.bones[bone].rotation_euler = Euler(euler)
        rig.update_tag()
        depsgraph = bpy.context.evaluated_depsgraph_get()
        depsgraph.update()
        state = reader.read_state(mesh, avatar, depsgraph)
        seen = reader.read_vertices(mesh.evaluated_get(depsgraph))
        if state.vertices is not None:
            kind = f"vertices: {state.deviation}"
        from_pose = max(from_pose, float(np.abs(seen - avatar.personal.vertices(state.pose)).max()))
        turn = {b: matrix_to_axis_angle(euler_to_matrix(e)) for b, e in turns.items()}
        pose = pose_from_arkit(
            avatar.head, channels, head_rotation=turn["root"], neck_rotation=turn["neck"],
            eye_rotation=np.stack([turn["eye.L"], turn["eye.R"]]),
        )  # fmt: skip
        pose = HeadPose.from_vector(pose.to_vector() + np.concatenate([raw, np.zeros(18)]))
        from_arkit = max(from_arkit, float(np.abs(seen - avatar.personal.vertices(pose)).max()))
    drivers = [*rig.animation_data.drivers, *mesh.data.shape_keys.animation_data.drivers]
    common.report(
        from_pose=from_pose, from_arkit=from_arkit, correctives=kind,
        helpers=len([k for k in rig.keys() if k.startswith("_sum")]),  # noqa: SIM118
        needs_python=[
            d.data_path for d in drivers if d.driver.type == "SCRIPTED" and not d.driver.is_simple_expression
        ],
    )  # fmt: skip


common.run(main)
