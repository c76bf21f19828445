"""Load: slow consumers, bursts, many clients and many requests. Frames are fresh and memory stays flat."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import zmq
from load import Bustle, Viewer, at_once, growth, holds, measure
from server_harness import POSE_SIZE, head, make_camera, wait_until

from gshead_backend.protocol import Client, ThreadedClient
from gshead_backend.protocol.launcher import Backend

pytestmark = pytest.mark.alone
DRAWING = 0.05
FRAMES_OLD = 2.0


def slow_pose() -> np.ndarray:
    """Makes the fake engine draw for ``DRAWING`` seconds."""
    pose = np.zeros(POSE_SIZE)
    pose[0] = 11
    return pose


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
    assert growth(before, after) == []


def memory_of_all(client: ThreadedClient) -> dict[str, int]:
    return {name: size for name, size in client.status().wait(10).memory.items() if name != "avatars"}


def test_bursts_are_answered_in_order_and_leave_nothing(backend: Backend) -> None:
    with ThreadedClient(backend.endpoint) as client:
        avatar = client.avatar_put(b"GSa").wait(10).avatar_id

        def burst(count: int) -> None:
            asked = [client.render(make_camera(640, 400), [head(avatar, value=1 + i % 200)], dtype="uint8")
                     for i in range(count)]  # fmt: skip
            assert [int(r.wait(60).rgba[0, 0, 0]) for r in asked] == [1 + i % 200 for i in range(count)]

        for _ in range(3):
            burst(200)
        assert wait_until(lambda: client.beat is not None)
        time.sleep(5)
        before = memory_of_all(client)
        for _ in range(5):
            burst(200)
            time.sleep(0.2)

        assert wait_until(lambda: not growth(before, memory_of_all(client)), 20), growth(before, memory_of_all(client))


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
        busy(backend, 2500, 1)
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


def test_a_client_that_asks_and_does_not_read_takes_a_bounded_memory(start: Callable[..., Backend]) -> None:
    """60 frames of 20 MiB each: they wait to be drawn, not to be read; then all of them come."""
    backend = start(engine="fake_engine:CalmEngine")
    context: zmq.Context = zmq.Context()
    try:
        socket = context.socket(zmq.DEALER)
        socket.linger, socket.rcvtimeo, socket.rcvhwm = 0, 20_000, 1
        socket.connect(backend.endpoint.address)

        def say(**header: object) -> None:
            socket.send(json.dumps({"v": [1, 0], **header}).encode())

        def answer() -> dict:
            while True:
                found = json.loads(socket.recv_multipart()[0])
                if found["type"] != "beat":
                    return found

        say(type="hello", id=1)
        session = answer()["session"]
        with Client(backend.endpoint, name="onlooker") as onlooker:
            before = onlooker.status().memory["front"]
            camera = {"width": 1024, "height": 1024, "K": [900, 0, 512, 0, 900, 512, 0, 0, 1], "near": 0.01, "far": 100,
                      "viewmat": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}  # fmt: skip
            for number in range(60):
                say(type="frame.render", id=10 + number, session=session, camera=camera, instances=[], depth=True,
                    dtype="float32")  # fmt: skip
            highest = 0
            end = time.monotonic() + 6
            while time.monotonic() < end:
                highest = max(highest, onlooker.status().memory["front"] - before)
                onlooker.render(make_camera(), [])
                time.sleep(0.05)
            assert highest < 420 << 20, f"{highest >> 20} MiB"
            assert highest > 100 << 20, "some are ready for it"
            assert [answer()["parent"] for _ in range(60)] == list(range(10, 70))
    finally:
        context.destroy(linger=0)
