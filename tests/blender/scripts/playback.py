"""Milliseconds of ``frame_set`` over a keyed take on the default head, with the mesh and for the rig alone."""

from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace

import bpy
import common
import numpy as np

FRAMES = 240


def main() -> None:
    common.enable()
    from gshead_backend.head import ARKIT_NAMES, default_head

    build, takes, controls, compat = (common.module(n) for n in ("rig.build", "takes", "rig.controls", "compat"))
    head, tiny, rng = default_head(), common.tiny_avatar(), np.random.default_rng(1)
    avatar = dataclasses.replace(
        tiny, head=head, betas=rng.normal(size=head.identity_count).astype(np.float32),
        vertex_offsets=np.zeros((head.vertex_count, 3), np.float32),
        triangle=rng.integers(0, len(head.faces), len(tiny)).astype(np.int32),
    )  # fmt: skip
    made = build.build_head(bpy.context, avatar, "Ada")
    take = SimpleNamespace(
        name="noise", start=1, fps=24.0,
        channels={name: SimpleNamespace(frames=np.arange(1, FRAMES + 1), values=rng.uniform(0, 0.5, FRAMES),
                                        interpolation="linear") for name in ARKIT_NAMES}
        | {name: SimpleNamespace(frames=np.arange(1, FRAMES + 1), values=rng.normal(size=(FRAMES, 3)) * 8,
                                 interpolation="linear") for name in controls.ROTATION_BONES},
    )  # fmt: skip
    takes.apply_take(made.rig, take, fps=24)

    def milliseconds() -> float:
        times = []
        for frame in range(1, FRAMES + 1):
            start = time.perf_counter()
            bpy.context.scene.frame_set(frame)
            times.append(time.perf_counter() - start)
        return 1e3 * float(np.quantile(times, 0.1))  # what the work takes when no other process has the cores

    milliseconds()
    whole = milliseconds()
    made.mesh.hide_viewport = True
    common.report(whole=whole, rig=milliseconds(), keys=len(compat.scene_curves(made.rig)) * FRAMES)


common.run(main)
