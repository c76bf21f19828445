"""Hours of everything with the real engine: ``GSHEAD_SOAK_MINUTES=120 python -m pytest -m soak -s``."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from load import Bustle, Measured, Viewer, at_once, holds, measure
from server_harness import make_camera
from this_tree import BACKEND_COMMAND
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.file import avatar_to_bytes
from gshead_backend.head import HeadModel, HeadPose
from gshead_backend.protocol import Client, Instance
from gshead_backend.protocol.launcher import start_backend

MINUTES = float(os.environ.get("GSHEAD_SOAK_MINUTES", "120"))
FRAMES_OLD = 2.0


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Large avatars are sent without a copy, for which pyzmq keeps a thread."""


@pytest.mark.soak
@pytest.mark.timeout(MINUTES * 60 + 600)
def test_hours_of_everything(runtime: Path, tiny_head: HeadModel) -> None:
    """The real engine; after a tenth of the time nothing may grow by more than 5 %."""
    avatar = avatar_to_bytes(make_tiny_avatar(tiny_head, 2000))
    pose = HeadPose.neutral(tiny_head.expression_count).to_vector()
    backend = start_backend(BACKEND_COMMAND, directory=runtime, timeout=120)
    with Client(backend.endpoint, name="onlooker", timeout=120) as onlooker:
        drawing = drawing_time(onlooker, avatar, pose)
        print(f"a frame takes {1e3 * drawing:.1f} ms")
        begin = time.monotonic()
        ends = begin + 60 * MINUTES
        viewers = [Viewer(backend.endpoint, avatar, pose, drawing, every=20 * drawing) for _ in range(2)]
        crowd = [Bustle(backend.endpoint, avatar, pose, i) for i in range(2)]
        rows: list[Measured] = []

        def watch() -> None:
            while time.monotonic() < ends:
                time.sleep(min(max(MINUTES, 1.0), 60.0))
                rows.append(measure(onlooker))
                memory = {name: size >> 20 for name, size in rows[-1].memory.items()}
                print(f"{(time.monotonic() - begin) / 60:6.1f} min: {memory} MiB, {rows[-1].handles} descriptors, "
                      f"{rows[-1].threads} threads, {sum(c.requests for c in crowd)} requests, "
                      f"{sum(v.frames for v in viewers)} frames seen", flush=True)  # fmt: skip

        with at_once(
            *[lambda v=v: v.run(ends, 0.02) for v in viewers], *[lambda c=c: c.run(ends) for c in crowd], watch
        ):
            pass
        ages = [age * drawing for v in viewers for age in v.ages.arrived]
        every = statistics.median(gap for v in viewers for gap in np.diff(v.ages.moments))
        print(f"{onlooker.status().drawn} frames drawn; one each {1e3 * every:.0f} ms for a viewer, on arrival "
              f"{1e3 * statistics.median(ages):.0f} ms old, p90 {1e3 * np.percentile(ages, 90):.0f} ms")  # fmt: skip
        for viewer in viewers:
            viewer.close()
        assert [c.failures for c in crowd] == [[], []]
        warm, late = rows[len(rows) // 10 : len(rows) // 5 + 1], rows[-max(len(rows) // 10, 1) :]
        assert not holds(middle(warm), middle(late)), holds(middle(warm), middle(late))
        assert statistics.median(ages) < FRAMES_OLD * every
    backend.wait(30)


def drawing_time(client: Client, avatar: bytes, pose: np.ndarray) -> float:
    """Seconds from asking for a frame to having it, when nobody else asks."""
    instance = Instance(client.avatar_put(avatar, timeout=120), np.eye(4), pose)
    client.render(make_camera(160, 120), [instance], dtype="uint8", timeout=300)
    times = []
    for _ in range(20):
        began = time.monotonic()
        client.render(make_camera(160, 120), [instance], dtype="uint8", timeout=60)
        times.append(time.monotonic() - began)
    return max(statistics.median(times), 0.005)


def middle(rows: list[Measured]) -> Measured:
    """The median of each number."""
    names = set.intersection(*[set(row.memory) for row in rows])
    memory = {name: int(statistics.median(row.memory[name] for row in rows)) for name in names}
    return Measured(
        memory, int(statistics.median(r.handles for r in rows)), int(statistics.median(r.threads for r in rows))
    )
