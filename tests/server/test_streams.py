"""Newest-wins streams: the newest wish is drawn, old ones are forgotten, one frame is under way at a time."""

from __future__ import annotations

import threading
import time

import pytest
from server_harness import head, make_camera, wait_until

from gshead_backend.errors import ArgumentError, BackendDiedError, OutOfMemoryError, UnknownIdError
from gshead_backend.protocol import Client, ThreadedClient


def test_a_stream_gives_the_newest_frame_at_the_asked_scale(client):
    avatar_id = client.avatar_put(b"GSa")
    stream = client.stream_open(dtype="uint8", depth=True)
    token = client.stream_update(stream, make_camera(200, 100), [head(avatar_id, value=5)], scale=0.5)
    frame = client.stream_latest(stream, newer_than=token - 1, timeout=5)
    assert frame is not None
    assert frame.token == token
    assert frame.rgba.shape == (50, 100, 4)
    assert frame.depth.shape == (50, 100)
    assert (frame.rgba == 5).all()
    assert client.stream_latest(stream, newer_than=token) is None
    client.stream_close(stream)
    with pytest.raises(UnknownIdError):
        client.stream_update(stream, make_camera(), [])


def test_a_stream_prepares_frames_off_the_callers_thread(backend):
    threads = []

    def prepare(frame):
        threads.append(threading.current_thread())
        return frame.rgba.sum()

    with ThreadedClient(backend.endpoint) as client:
        avatar_id = client.avatar_put(b"GSa").wait(10).avatar_id
        stream = client.stream_open(prepare=prepare).wait(5)
        token = client.stream_update(stream, make_camera(), [head(avatar_id, value=5)])
        frame = client.stream_latest(stream, newer_than=token - 1, timeout=5)
    assert frame is not None
    assert frame.prepared == frame.rgba.sum() > 0
    assert threads
    assert threading.current_thread() not in threads


@pytest.mark.alone
def test_a_flood_of_wishes_costs_only_the_newest(client):
    avatar_id = client.avatar_put(b"GSa")
    stream = client.stream_open()
    began = time.monotonic()
    tokens = [client.stream_update(stream, make_camera(), [head(avatar_id, 1, value=i % 250)]) for i in range(1, 101)]
    seen: list[int] = []
    while not seen or seen[-1] < tokens[-1]:
        frame = client.stream_latest(stream, newer_than=seen[-1] if seen else 0, timeout=5)
        assert frame is not None
        seen.append(frame.token)
    assert time.monotonic() - began < 2.0, "100 frames of 0.3 s each were not drawn"
    assert len(seen) <= 4
    assert (frame.rgba == 100).all()


@pytest.mark.alone
def test_frames_are_fresh_while_the_consumer_is_slow(client):
    """A 20 ms producer, a 50 ms consumer: what the consumer gets was asked for a moment ago, not a queue ago."""
    avatar_id = client.avatar_put(b"GSa")
    stream = client.stream_open()
    asked: dict[int, float] = {}
    ages: list[float] = []
    newest, began = 0, time.monotonic()
    while time.monotonic() - began < 2.0:
        for _ in range(2):
            asked[client.stream_update(stream, make_camera(256, 256), [head(avatar_id)])] = time.monotonic()
            time.sleep(0.02)
        frame = client.stream_latest(stream, newer_than=newest)
        if frame is not None:
            newest = frame.token
            ages.append(time.monotonic() - asked[newest])
    assert len(ages) > 20
    assert sorted(ages)[len(ages) // 2] < 0.1


def test_the_next_frame_is_chosen_when_the_device_is_free_not_when_the_last_one_has_arrived(client):
    """While a frame is packed and handed over the worker has its next one already: the newest wish of that moment."""
    avatar_id = client.avatar_put(b"GSa")
    stream = client.stream_open()
    wishes = [(6, 1), (1, 2), (1, 3)]  # slow packing; then two that take 0.3 s
    tokens = []
    for command, value in wishes:
        tokens.append(client.stream_update(stream, make_camera(300, 200), [head(avatar_id, command, value=value)]))
        time.sleep(0.2)
    seen: list[int] = []
    while not seen or seen[-1] < tokens[-1]:
        frame = client.stream_latest(stream, newer_than=seen[-1] if seen else 0, timeout=5)
        assert frame is not None
        assert (frame.rgba == wishes[tokens.index(frame.token)][1]).all()
        seen.append(frame.token)
    assert seen == tokens


def test_a_timeline_is_drawn_several_frames_at_a_time_and_one_at_fault_fails_alone(start, monkeypatch):
    monkeypatch.setenv("GSHEAD_FAKE_BATCH", "4")
    with ThreadedClient(start().endpoint) as client:
        avatar_id = client.avatar_put(b"GSa").wait(10).avatar_id
        commands = [1, 0, 0, 0, 0, 3, 0, 0]  # the first holds the worker while the others come
        frames = [client.render(make_camera(), [head(avatar_id, c, value=1)], depth=False) for c in commands]
        with pytest.raises(OutOfMemoryError):
            frames[5].wait(10)
        together = [int(f.wait(10).rgba[0, 0, 0]) // 10 + 1 for i, f in enumerate(frames) if i != 5]
    assert max(together) >= 3, f"frames drawn together: {together}"


def test_ordered_frames_and_streams_take_turns(backend):
    with ThreadedClient(backend.endpoint) as client:
        avatar_id = client.avatar_put(b"GSa").wait(10).avatar_id
        stream = client.stream_open().wait(5)
        frames = [client.render(make_camera(), [head(avatar_id, 1)]) for _ in range(6)]
        token = client.stream_update(stream, make_camera(), [head(avatar_id)])
        assert client.stream_latest(stream, newer_than=token - 1, timeout=5) is not None
        assert not frames[-1].done(), "the stream did not wait for the whole queue"
        for frame in frames:
            frame.wait(10)


def test_errors_of_a_stream_are_raised_by_its_next_look_and_it_goes_on(client):
    avatar_id = client.avatar_put(b"GSa")
    stream = client.stream_open()
    client.stream_update(stream, make_camera(), [head("0" * 64)])
    with pytest.raises(UnknownIdError):
        client.stream_latest(stream, timeout=5)
    client.stream_update(stream, make_camera(), [head(avatar_id, 3)])
    with pytest.raises(OutOfMemoryError):
        client.stream_latest(stream, timeout=5)
    client.stream_update(stream, make_camera(), [head(avatar_id, 2)])
    with pytest.raises(BackendDiedError):
        client.stream_latest(stream, timeout=5)
    token = client.stream_update(stream, make_camera(), [head(avatar_id, value=6)])
    assert client.stream_latest(stream, newer_than=token - 1, timeout=20) is not None
    with pytest.raises(ArgumentError, match="scale"):
        client.stream_update(stream, make_camera(), [], scale=0.0)


@pytest.mark.alone
def test_a_dead_backend_ends_a_waiting_look(start):
    backend = start()
    with Client(backend.endpoint) as client:
        stream = client.stream_open()
        backend.process.kill()
        began = time.monotonic()
        with pytest.raises(BackendDiedError):
            client.stream_latest(stream, timeout=10)
        assert time.monotonic() - began < 1.0
    start()  # and its successor clears up what it left


def test_rings_grow_with_the_frames_and_old_files_go(client, runtime):
    sizes = [(200, 200), (600, 400), (1600, 1000), (200, 200)]
    stream = client.stream_open()
    for value, size in enumerate(sizes, 1):
        avatar_id = client.avatar_put(b"GSa")
        assert (client.render(make_camera(*size), [head(avatar_id, value=value)]).rgba == value).all()
        token = client.stream_update(stream, make_camera(*size), [head(avatar_id, value=value)])
        frame = client.stream_latest(stream, newer_than=token - 1, timeout=5)
        assert frame is not None
        assert frame.rgba.shape[:2] == size[::-1]
        assert (frame.rgba == value).all()
    assert wait_until(lambda: len(list(runtime.glob("default.ring.*"))) == 1, 2)
