"""The link to a worker over tcp with CURVE, as on Windows, and what a long life leaves behind."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import zmq
from server_harness import HERE, head, make_camera, wait_until

from gshead_backend.protocol import Client
from gshead_backend.protocol.curve import KeyGuard
from gshead_backend.server import link
from gshead_backend.server.processes import WorkerSetup
from gshead_backend.server.workers import Worker


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(linger=0)


def _wait_for(worker: Worker, kind: type, seconds: float = 15.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert worker.socket is not None
        if worker.socket.poll(100):
            message, _ = link.receive_in_front(worker.socket)
            worker.heard(message)
            if isinstance(message, kind):
                return message
    raise AssertionError(f"no {kind.__name__} came")


def test_a_worker_over_tcp_works_and_others_cannot_take_its_place(runtime, context, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])
    guard = KeyGuard(context)
    setup = WorkerSetup(runtime, "x", "fake_engine:FakeEngine", "cpu", 100, context, guard, lambda: None, ipc=False)
    worker = Worker("render", setup)
    assert worker.start()
    try:
        intruder = context.socket(zmq.PAIR)
        intruder.linger = 0
        intruder.connect(worker._address)
        intruder.send(b"hello", zmq.NOBLOCK)
        assert worker._address.startswith("tcp://127.0.0.1:")
        _wait_for(worker, link.Pulse)
        worker.send(link.Load(task=7, avatar_id="a" * 64), [b"GSx"])
        assert _wait_for(worker, link.Loaded).task == 7
        intruder.close()
    finally:
        worker.stop()
        guard.close()
    assert not worker.running


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_many_sessions_streams_and_restarts_leave_nothing_in_the_front(backend):
    import psutil

    front = psutil.Process(backend.process.pid)

    def visit() -> None:
        with Client(backend.endpoint) as client:
            avatar_id = client.avatar_put(b"GSa")
            stream = client.stream_open()
            token = client.stream_update(stream, make_camera(300, 200), [head(avatar_id)])
            assert client.stream_latest(stream, newer_than=token - 1, timeout=10) is not None
            client.render(make_camera(300, 200), [head(avatar_id)])

    for _ in range(3):
        visit()
    handles, threads = front.num_fds(), front.num_threads()
    for _ in range(20):
        visit()
    assert wait_until(lambda: front.num_fds() <= handles + 1 and front.num_threads() <= threads)
