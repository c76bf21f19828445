"""A backend over a network: frames are packed as the line needs it, and what rests is exact."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import numpy as np
import pytest
from server_harness import head, make_camera

from gshead_backend.protocol import Client
from gshead_backend.server.line import Line

ALL = ["raw", "lz4", "jpeg"]


class SlowLine:
    """A tcp proxy on this machine that lets ``rate`` bytes a second through, each after ``delay`` seconds."""

    def __init__(self, address: str, rate: float, delay: float) -> None:
        self.rate, self._delay = rate, delay
        self._target = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._door.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                pause = self._delay + len(data) / self.rate
                if pause > 1e-4:
                    time.sleep(pause)
                sink.sendall(data)

    def close(self) -> None:
        for each in (self._door, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in it
            each.close()


@pytest.fixture
def slow_backend(start, request):
    backend = start(endpoint="tcp://127.0.0.1:0")
    line = SlowLine(backend.endpoint.address, *request.param)
    with Client(backend.endpoint.remote(line.address), timeout=60) as client:
        yield client, line
    line.close()


def _stream(client: Client, stream: int, avatar_id: str, value: int, *, lossy: bool, command: int = 0, side: int = 600):
    heads = [head(avatar_id, command, value=value)]
    token = client.stream_update(stream, make_camera(side, side), heads, lossy=lossy)
    frame = client.stream_latest(stream, newer_than=token - 1, timeout=30)
    assert frame is not None
    return frame


@pytest.mark.alone
@pytest.mark.parametrize("slow_backend", [(2e6, 0.0)], indirect=True)
def test_over_a_slow_line_moving_frames_are_jpeg_and_resting_ones_exact(slow_backend):
    client, line = slow_backend
    avatar_id = client.avatar_put(b"GSa")
    stream = client.stream_open(dtype="uint8", depth=True)
    for value in range(1, 9):
        frame = _stream(client, stream, avatar_id, value, lossy=True)
        assert frame.codec == "jpeg"
        assert np.abs(frame.rgba.astype(int) - value).max() <= 3
        assert (frame.depth == 2.5).all()
    still = _stream(client, stream, avatar_id, 77, lossy=False)
    assert still.codec == "lz4"
    assert (still.rgba == 77).all()
    final = client.render(make_camera(600, 500), [head(avatar_id, value=9)])
    assert final.codec == "lz4"
    assert (final.rgba == 9).all()
    line.rate = 1e12  # the line becomes fast: a few frames later nothing is packed any more
    codecs = [_stream(client, stream, avatar_id, 5, lossy=i % 2 == 0, command=7, side=200).codec for i in range(40)]
    assert codecs[-2:] == ["raw", "raw"], codecs


def test_the_line_learns_its_rate_in_spite_of_a_long_delay():
    line, now = Line(), 0.0
    for token in range(30):
        size = (30_000, 400_000)[token % 2]
        line.sent(token, size, now)
        now += 0.050 + size / 20e6
        line.acknowledged(token, now)
    assert 8e6 < line.rate < 60e6
    assert line.packing(100_000, 25_000, lossy=False, readable=ALL) == ("raw", 0)
    assert line.packing(4_000_000, 1_000_000, lossy=False, readable=ALL) == ("lz4", 0)
    assert line.packing(4_000_000, 1_000_000, lossy=True, readable=ALL)[0] == "jpeg"


def test_a_client_gets_only_what_it_can_read_and_quality_follows_the_rate():
    line = Line()
    line.rate = 1e6
    assert line.packing(10**7, 10**6, lossy=True, readable=["raw"]) == ("raw", 0)
    assert line.packing(10**7, 10**6, lossy=True, readable=["raw", "lz4"]) == ("lz4", 0)
    qualities = []
    for rate in (1e6, 1e7, 1e8):
        line.rate = rate
        qualities.append(line.packing(10**7, 260_000, lossy=True, readable=ALL)[1])
    assert qualities == sorted(qualities)
    assert qualities[0] < qualities[-1]
