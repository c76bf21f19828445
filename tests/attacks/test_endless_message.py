"""A client that never ends its message: cut off before it fills the memory, while all others are served."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from server_harness import head, make_camera, wait_until

from gshead_backend.protocol import Client
from gshead_backend.protocol.endpoint import Endpoint
from gshead_backend.protocol.launcher import Backend
from gshead_backend.protocol.messages import LimitsInfo

MIB = 1 << 20
GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01NULL".ljust(23, b"\0") + b"\0" * 32
READY = b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\0"
EMPTY = b"\x01\x00" * 32768  # parts of no bytes with "more follows": the cheapest way to take memory
LARGE = b"\x03" + (1 << 20).to_bytes(8, "big") + bytes(1 << 20)


class Endless:
    """Speaks ZMTP by hand and sends parts of one message for as long as it is let."""

    def __init__(self, endpoint: Endpoint, parts: bytes, at_most: int) -> None:
        self.sent, self.cut = 0, False
        self._parts, self._most = parts, at_most
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(endpoint.address.removeprefix("ipc://"))
        self._socket.sendall(GREETING + READY)
        self._thread = threading.Thread(target=self._flood)

    def __enter__(self) -> Endless:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _flood(self) -> None:
        try:
            while self.sent < self._most:
                self._socket.sendall(self._parts)
                self.sent += len(self._parts)
        except OSError:
            self.cut = True


class Highest:
    """The most memory that a process held while the block ran."""

    def __init__(self, pid: int) -> None:
        self._process, self._ended, self.bytes = psutil.Process(pid), threading.Event(), 0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Highest:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.bytes = max(self.bytes, self._process.memory_info().rss)


@pytest.fixture
def bounded(start: Callable[..., Backend]) -> Iterator[tuple[Backend, Client]]:
    """A backend whose messages may have 64 MiB, and a proper client of it."""
    limits = LimitsInfo(part_bytes=48 * MIB, message_bytes=64 * MIB, avatar_bytes=48 * MIB)
    backend = start(engine="fake_engine:CalmEngine", limits=limits)
    with Client(backend.endpoint, name="proper") as client:
        yield backend, client


@pytest.mark.parametrize(("parts", "at_most"), [(EMPTY, 80 * MIB), (LARGE, 2000 * MIB)], ids=["empty", "large"])
def test_an_endless_message_is_cut_off_and_its_memory_comes_back(
    bounded: tuple[Backend, Client], parts: bytes, at_most: int
) -> None:
    backend, client = bounded
    assert backend.process is not None
    avatar, rss = client.avatar_put(b"GSx"), psutil.Process(backend.process.pid).memory_info
    before, longest = rss().rss, 0.0
    with Highest(backend.process.pid) as highest, Endless(backend.endpoint, parts, at_most) as endless:
        end = time.monotonic() + 30
        while not endless.cut and endless.sent < at_most and time.monotonic() < end:
            asked = time.monotonic()
            client.render(make_camera(), [head(avatar)])
            longest = max(longest, time.monotonic() - asked)
    assert endless.cut, f"{endless.sent >> 20} MiB of one message were taken"
    assert highest.bytes - before < 700 * MIB, f"{highest.bytes - before >> 20} MiB were held"
    assert longest < 2.0, f"a proper client waited for {longest:.1f} s"
    assert wait_until(lambda: rss().rss < before + 48 * MIB, 5), f"{rss().rss - before >> 20} MiB stay"
    assert client.render(make_camera(), [head(avatar)]).rgba.any(), "the session of the other one stands"
    log = backend.log
    assert log is not None
    assert wait_until(lambda: "A client's message did not end after" in log.read_text())


def test_large_messages_that_end_are_nobodys_endless_ones(bounded: tuple[Backend, Client]) -> None:
    """Several clients with as much as they may send, again and again, beside one who rests."""
    backend, resting = bounded
    failures: list[Exception] = []

    def put(number: int) -> None:
        try:
            with Client(backend.endpoint, name=f"client {number}") as client:
                for turn in range(6):
                    client.avatar_drop(client.avatar_put(b"GS%d%d" % (number, turn) + bytes(40 * MIB)))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert resting.status().seconds > 0
    assert backend.log is not None
    assert "did not end" not in backend.log.read_text()
