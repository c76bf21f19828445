"""Blender's own USD export of a head whose splats change with the pose, beside what the mesh does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import bpy
import common
import numpy as np

FRAMES = (1, 8, 12)


def main() -> None:
    common.enable()
    heads, takes, storage = (common.module(n) for n in ("heads", "takes", "storage"))
    reader, compat = (common.module(n) for n in ("rig.read_pose", "compat"))
    out = Path(common.ARGS["out"])
    if str(common.TESTS) not in sys.path:
        sys.path.insert(0, str(common.TESTS))
    from tiny import make_tiny_head
    from tiny_avatar import make_tiny_avatar

    from gshead_backend.avatar.drive import drive_vertices
    from gshead_backend.avatar.file import avatar_to_bytes
    from gshead_backend.avatar.take import demo_take
    from gshead_backend.export.ply import SH_C0

    avatar = make_tiny_avatar(make_tiny_head(), 300, dynamic=True)
    made = heads.add_head(bpy.context, avatar_to_bytes(avatar), "Ada")
    takes.apply_take(made.rig, demo_take(), fps=24)
    made.rig.pose.bones["neck"].rotation_euler[1] = 0.2
    made.rig.rotation_euler = (0.1, 0.2, 0.7)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = FRAMES[0], FRAMES[-1]
    want, neutral = {}, {}
    for frame in FRAMES:
        scene.frame_set(frame)
        depsgraph = bpy.context.evaluated_depsgraph_get()
        held = storage.read(made.mesh.data).avatar
        vertices = reader.read_vertices(made.mesh.evaluated_get(depsgraph))
        pose = reader.read_state(made.mesh, held, depsgraph).pose
        want[frame], neutral[frame] = drive_vertices(held, vertices, pose), drive_vertices(held, vertices)
    compat.bundled_pxr()
    from pxr import Usd

    errors: dict[str, Any] = {}
    for name, options in (
        ("armature", {"export_armatures": True}),
        ("points", {"export_armatures": False, "export_shapekeys": False}),
    ):
        path = str(out / f"{name}.usdc")
        assert bpy.ops.wm.usd_export(filepath=path, export_animation=True, **options) == {"FINISHED"}
        stage = Usd.Stage.Open(path)
        (prim,) = [p for p in stage.Traverse() if p.GetTypeName() == "ParticleField3DGaussianSplat"]

        def looks(frame: int, prim: Any = prim) -> np.ndarray:
            color = np.array(prim.GetAttribute("radiance:sphericalHarmonicsCoefficients").Get(frame))
            opacity = np.array(prim.GetAttribute("opacities").Get(frame))
            return np.column_stack([color * SH_C0 + 0.5, opacity])

        def apart(splats: Any, frame: int, looks: Any = looks) -> float:
            return float(np.abs(looks(frame) - np.column_stack([splats.colors, splats.opacities])).max())

        errors[name] = {
            "posed": max(apart(want[f], f) for f in FRAMES), "neutral": max(apart(neutral[f], f) for f in FRAMES)
        }  # fmt: skip
        del stage, prim
    common.report(**errors)


common.run(main)
