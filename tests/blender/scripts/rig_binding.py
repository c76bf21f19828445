"""The rig's evaluated vertices equal the backend's own, over every shape, joint and random poses."""

from __future__ import annotations

import bpy
import common
import numpy as np
from mathutils import Euler


def largest(a, b) -> float:
    return float(np.abs(a - b).max())


def main() -> None:
    common.enable()
    from gshead_backend.head import ARKIT_NAMES, default_head, pose_from_arkit
    from gshead_backend.head.rotation import euler_to_matrix, matrix_to_axis_angle

    build, reader, controls = (common.module(f"rig.{n}") for n in ("build", "read_pose", "controls"))
    if common.ARGS.get("head") == "default":
        import dataclasses

        head = default_head()
        tiny = common.tiny_avatar()
        rng = np.random.default_rng(1)
        count = len(tiny)
        avatar = dataclasses.replace(
            tiny, head=head, betas=rng.normal(size=head.identity_count).astype(np.float32),
            vertex_offsets=np.zeros((head.vertex_count, 3), np.float32),
            triangle=rng.integers(0, len(head.faces), count).astype(np.int32),
        )  # fmt: skip
    else:
        avatar = common.tiny_avatar()
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    made = build.build_head(bpy.context, avatar, "Ada")
    rig, mesh = made.rig, made.mesh
    rig.location, rig.rotation_euler = (0.3, -0.2, 1.4), (0.1, 0.2, 0.7)

    from_pose, from_arkit, sent_as_vertices, still = {}, {}, [], []

    def check(label: str, channels: np.ndarray, eulers: dict[str, tuple], location=(0.0, 0.0, 0.0)) -> None:
        controls.set_channels(rig, dict(zip(ARKIT_NAMES, channels.tolist(), strict=True)))
        for bone in ("root", "neck", "jaw", "eye.L", "eye.R"):
            rig.pose.bones[bone].rotation_euler = Euler(eulers.get(bone, (0, 0, 0)))
        rig.pose.bones["root"].location = location
        rig.update_tag()
        depsgraph = bpy.context.evaluated_depsgraph_get()
        depsgraph.update()
        state = reader.read_state(mesh, avatar, depsgraph)
        seen = reader.read_vertices(mesh.evaluated_get(depsgraph))
        if largest(seen, avatar.personal.rest) < 1e-4:
            still.append(label)
        from_pose[label] = largest(seen, avatar.personal.vertices(state.pose))
        if state.vertices is not None:
            sent_as_vertices.append(label)
        if "jaw" not in eulers:
            turn = {k: matrix_to_axis_angle(euler_to_matrix(np.array(v))) for k, v in eulers.items()}
            zero = np.zeros(3)
            pose = pose_from_arkit(
                avatar.head, channels, head_rotation=turn.get("root"), neck_rotation=turn.get("neck"),
                eye_rotation=np.stack([turn.get("eye.L", zero), turn.get("eye.R", zero)]),
                translation=np.array(location),
            )  # fmt: skip
            from_arkit[label] = largest(seen, avatar.personal.vertices(pose))

    for i, name in enumerate(ARKIT_NAMES):
        check(name, np.eye(52)[i], {})
    for bone in ("root", "neck", "jaw", "eye.L", "eye.R"):
        for axis in range(3):
            angles = [0.0, 0.0, 0.0]
            angles[axis] = 0.4
            check(f"{bone}{axis}", np.zeros(52), {bone: tuple(angles)})
    rng = np.random.default_rng(5)
    for k in range(20):
        eulers = {b: tuple(rng.normal(size=3) * 0.3) for b in ("root", "neck", "eye.L", "eye.R")}
        if k >= 10:
            eulers["jaw"] = tuple(rng.normal(size=3) * 0.2)
        check(f"random{k}", rng.uniform(0, 1, 52), eulers, tuple(rng.normal(size=3) * 0.05))
    drivers = [*rig.animation_data.drivers, *mesh.data.shape_keys.animation_data.drivers]
    scripted = [d for d in drivers if d.driver.type == "SCRIPTED"]
    common.report(
        from_pose=max(from_pose.values()), worst=max(from_pose, key=from_pose.get),
        from_arkit=max(from_arkit.values()), worst_arkit=max(from_arkit, key=from_arkit.get),
        compared=len(from_pose), compared_arkit=len(from_arkit), sent_as_vertices=sent_as_vertices, still=still,
        scripted=len(scripted), needs_python=[d.data_path for d in scripted if not d.driver.is_simple_expression],
        keys=[k.name for k in mesh.data.shape_keys.key_blocks][1:],
    )  # fmt: skip


common.run(main)
