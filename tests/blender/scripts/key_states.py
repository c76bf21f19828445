"""Which keys the panel looks at to say whether a slider is keyed at the current frame."""

from __future__ import annotations

import common
import numpy as np
import render_setup


def main() -> None:
    rig = render_setup.scene_with_head().rig
    keying, controls, takes = (common.module(n) for n in ("keying", "rig.controls", "takes"))
    from gshead_backend.avatar.take import Channel, Take

    count = common.ARGS["count"]
    frames = np.arange(count) * 2.0 + 1
    take = Take(24.0, 2 * count, {"jawOpen": Channel(frames, np.zeros(count))}, 1, "Long")
    takes.apply_take(rig, take, fps=24.0)
    curve = controls.control_curves(rig)["jawOpen"]
    states = [keying.key_state(rig, curve, frame) for frame in (1, 2, frames[count // 2], frames[-1], frames[-1] + 1)]
    looked: list[int] = []
    found = common.module("compat").find_curve(rig, curve.data_path, curve.array_index)

    class Counted:
        """The keys of the curve, counting what is read of them."""

        keyframe_points = property(lambda self: self)

        def __len__(self) -> int:
            return len(found.keyframe_points)

        def __getitem__(self, index: int) -> object:
            looked.append(index)
            return found.keyframe_points[index]

    keying.compat.find_curve, real = lambda *_: Counted(), keying.compat.find_curve
    keying.key_state(rig, curve, frames[count // 3])
    keying.compat.find_curve = real
    common.report(states=states, looked_at=len(looked))


common.run(main)
