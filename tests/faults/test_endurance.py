"""Load: slow consumers, bursts, many clients, many requests, and hours of all of it. Fresh frames and flat memory.

The long one, with the real engine: ``GSHEAD_SOAK_MINUTES=120 python -m pytest -m soak -s``.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from load import Bustle, Measured, Viewer, at_once, measure
from server_harness import POSE_SIZE, head, make_camera, wait_until
from this_tree import BACKEND_COMMAND
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.file import avatar_to_bytes
from gshead_backend.head import HeadModel, HeadPose
from gshead_backend.protocol import Client, ThreadedClient
from gshead_backend.protocol.launcher import Backend, start_backend

MINUTES = float(os.environ.get("GSHEAD_SOAK_MINUTES", "120"))
DRAWING = 0.05
FRAMES_OLD = 2.0
GROWTH = 1.05
SOME = 4 << 20
"""Bytes that a process may grow by beside ``GROWTH``: an allocator's step."""


def slow_pose() -> np.ndarray:
    """Makes the fake engine draw for ``DRAWING`` seconds."""
    pose = np.zeros(POSE_SIZE)
    pose[0] = 11
    return pose


def holds(before: Measured, after: Measured) -> str:
    """What has grown beyond what it may; empty when nothing has."""
    grown = [f"{name} {was >> 20} to {after.memory[name] >> 20} MiB" for name, was in before.memory.items()
             if after.memory.get(name, 0) > was * GROWTH + SOME]  # fmt: skip
    if after.handles > before.handles + 2:
        grown.append(f"{before.handles} to {after.handles} descriptors")
    if after.threads > before.threads + 1:
        grown.append(f"{before.threads} to {after.threads} threads")
    return ", ".join(grown)


def test_a_consumer_twenty_times_too_slow_sees_fresh_frames(backend: Backend) -> None:
    """Wishes every 5 ms, frames of 50 ms, a look a second: what it sees is the newest there can be."""
    viewer = Viewer(backend.endpoint, b"GSa", slow_pose(), DRAWING, every=20 * DRAWING)
    with ThreadedClient(backend.endpoint) as onlooker:
        try:
            viewer.run(time.monotonic() + 2, 0.005)
            before, viewer.ages.arrived[:], viewer.ages.looked[:] = memory_of_all(onlooker), [], []
            viewer.run(time.monotonic() + 9, 0.005)
            after = memory_of_all(onlooker)
        finally:
            viewer.close()
    ages = viewer.ages
    lain = [looked - arrived for looked, arrived in zip(ages.looked, ages.arrived, strict=True)]
    print(f"arrived p90 {ages.of(ages.arrived, 90):.2f}, seen median {ages.of(ages.looked, 50):.2f} frames old")
    assert len(ages.looked) >= 8
    assert ages.of(ages.arrived, 90) < FRAMES_OLD
    assert statistics.median(lain) < 1.3, "had it lain there for longer than a frame, a newer one would be there"
    assert all(after[k] < before[k] * GROWTH + SOME for k in before), (before, after)


def memory_of_all(client: ThreadedClient) -> dict[str, int]:
    return {name: size for name, size in client.status().wait(10).memory.items() if name != "avatars"}


def test_bursts_are_answered_in_order_and_leave_nothing(backend: Backend) -> None:
    with ThreadedClient(backend.endpoint) as client:
        avatar = client.avatar_put(b"GSa").wait(10).avatar_id

        def burst(count: int) -> None:
            asked = [client.render(make_camera(640, 400), [head(avatar, value=1 + i % 200)], dtype="uint8")
                     for i in range(count)]  # fmt: skip
            assert [int(r.wait(60).rgba[0, 0, 0]) for r in asked] == [1 + i % 200 for i in range(count)]

        burst(200)
        assert wait_until(lambda: client.beat is not None)
        time.sleep(4)
        before = memory_of_all(client)
        for _ in range(5):
            burst(200)
            time.sleep(0.2)

        def flat() -> bool:
            after = memory_of_all(client)
            return all(after[k] < before[k] * GROWTH + SOME for k in before)

        assert wait_until(flat, 10), (before, memory_of_all(client))


def test_fifty_clients_at_once(backend: Backend) -> None:
    """Each with an avatar of its own, a stream and ordered frames; then all of them go."""
    with Client(backend.endpoint, name="onlooker") as onlooker:
        assert wait_until(lambda: onlooker.threaded.beat is not None)
        few = [Viewer(backend.endpoint, b"GSwarm%d" % i, slow_pose(), DRAWING, 0.3) for i in range(3)]
        for viewer in few:
            viewer.run(time.monotonic() + 0.5, 0.02)
            viewer.close()
        assert wait_until(lambda: len(onlooker.status().sessions) == 1)
        before = measure(onlooker)
        viewers = [Viewer(backend.endpoint, b"GS%d" % i, slow_pose(), DRAWING, 0.3) for i in range(50)]
        assert len(onlooker.status().sessions) == 51
        until = time.monotonic() + 12
        began = time.monotonic()
        with at_once(*[lambda v=v: v.run(until, 0.04) for v in viewers]):
            time.sleep(1)
            asked = time.monotonic()
            onlooker.status(timeout=5)
            answered = time.monotonic() - asked
        for viewer in viewers:
            viewer.close()
        frames = [viewer.frames for viewer in viewers]
        ages = [age for viewer in viewers for age in viewer.ages.arrived]
        print(f"{sum(frames)} frames in {time.monotonic() - began:.0f} s, {min(frames)} to {max(frames)} a client")
        print(f"arrived median {statistics.median(ages):.2f}, p90 {np.percentile(ages, 90):.2f} frames old")
        assert answered < 1.0
        assert min(frames) >= 2, "nobody starves"
        assert statistics.median(ages) < FRAMES_OLD
        assert wait_until(lambda: len(onlooker.status().sessions) == 1)
        assert wait_until(lambda: not holds(before, measure(onlooker)), 8), holds(before, measure(onlooker))


def test_ten_thousand_requests(start: Callable[..., Backend]) -> None:
    backend = start(engine="fake_engine:CalmEngine")
    with Client(backend.endpoint, name="onlooker") as onlooker:
        assert wait_until(lambda: onlooker.threaded.beat is not None)
        busy(backend, 1500, 1)
        assert wait_until(lambda: len(onlooker.status().sessions) == 1)
        before, began = measure(onlooker), time.monotonic()
        done = busy(backend, 10_000, 2)
        print(f"{done} requests in {time.monotonic() - began:.1f} s")
        assert done >= 10_000
        assert wait_until(lambda: len(onlooker.status().sessions) == 1)
        assert wait_until(lambda: not holds(before, measure(onlooker)), 8), holds(before, measure(onlooker))


def busy(backend: Backend, requests: int, seed: int) -> int:
    crowd = [Bustle(backend.endpoint, b"GSx" + bytes(20_000), np.zeros(POSE_SIZE), seed * 10 + i) for i in range(4)]
    until = time.monotonic() + 120
    with at_once(*[lambda c=c: c.run(until, requests // 4) for c in crowd]):
        pass
    assert [c.failures for c in crowd] == [[]] * 4
    return sum(c.requests for c in crowd)


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
                time.sleep(max(MINUTES, 1.0))
                rows.append(measure(onlooker))
                memory = {name: size >> 20 for name, size in rows[-1].memory.items()}
                print(f"{(time.monotonic() - begin) / 60:6.1f} min: {memory} MiB, {rows[-1].handles} descriptors, "
                      f"{rows[-1].threads} threads, {sum(c.requests for c in crowd)} requests, "
                      f"{sum(v.frames for v in viewers)} frames seen", flush=True)  # fmt: skip

        with at_once(
            *[lambda v=v: v.run(ends, 0.02) for v in viewers], *[lambda c=c: c.run(ends) for c in crowd], watch
        ):
            pass
        ages = [age for v in viewers for age in v.ages.arrived]
        print(f"{onlooker.status().drawn} frames drawn; arrived median {statistics.median(ages):.2f}, "
              f"p90 {np.percentile(ages, 90):.2f} frames old")  # fmt: skip
        for viewer in viewers:
            viewer.close()
        assert [c.failures for c in crowd] == [[], []]
        warm, late = rows[len(rows) // 10 : len(rows) // 5 + 1], rows[-max(len(rows) // 10, 1) :]
        assert not holds(middle(warm), middle(late)), holds(middle(warm), middle(late))
        assert statistics.median(ages) < FRAMES_OLD
    backend.wait(30)


def drawing_time(client: Client, avatar: bytes, pose: np.ndarray) -> float:
    """Seconds from asking for a frame to having it, when nobody else asks."""
    from gshead_backend.protocol import Instance

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
