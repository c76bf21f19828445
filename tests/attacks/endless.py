"""Messages without an end, and what a process holds meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading

import psutil
import zmq

from gshead_backend.protocol.curve import connect_with_curve
from gshead_backend.protocol.endpoint import Endpoint

MIB = 1 << 20
READY = b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\0"
EMPTY = b"\x01\x00" * 32768  # parts of no bytes with "more follows": the cheapest way to take memory
LARGE = b"\x03" + (1 << 20).to_bytes(8, "big") + bytes(1 << 20)


def greeting(mechanism: bytes) -> bytes:
    """The 64 bytes that begin a connection of ZMTP 3.1."""
    return b"\xff" + b"\0" * 8 + b"\x7f\x03\x01" + mechanism.ljust(20, b"\0") + b"\0" * 32


class Endless:
    """Speaks ZMTP by hand: ``first``, then ``parts`` again and again for as long as it is let.

    Attributes:
        sent: bytes that the system took. cut: the connection was closed from the other side.
    """

    def __init__(self, endpoint: Endpoint, first: bytes, parts: bytes, at_most: int) -> None:
        self.sent, self.cut = 0, False
        self._endpoint, self._first, self._parts, self._most = endpoint, first, parts, at_most
        self._thread = threading.Thread(target=self._flood)

    def __enter__(self) -> Endless:
        kind, _, place = self._endpoint.address.partition("://")
        if kind == "ipc":
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(place)
        else:
            host, _, port = place.rpartition(":")
            self._socket = socket.create_connection((host, int(port)))
        self._thread.start()  # at once: who says nothing is hung up on
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _flood(self) -> None:
        try:
            self._socket.sendall(self._first)
            if self._first.endswith(READY):  # parts that come before the other side is ready break the handshake
                self._await_ready()
            while self.sent < self._most:
                self._socket.sendall(self._parts)
                self.sent += len(self._parts)
        except OSError:
            self.cut = True

    def _await_ready(self) -> None:
        said = b""
        while b"READY" not in said:
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionResetError
            said += more


class Encrypted:
    """A client with the backend's keys that sends one message of ``count`` parts, all of them the same ``part``.

    ZeroMQ encrypts and sends them one after the other, so that far more than may be taken is under way; none of them is
    the last until all are through. Nothing is copied: the parts are one piece of memory. It does not connect again.
    """

    def __init__(self, endpoint: Endpoint, part: bytes, count: int) -> None:
        self.bytes, self._part, self._count = len(part) * count, part, count
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger, self._socket.sndhwm = 0, 0
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
        connect_with_curve(self._socket, endpoint.server_key, endpoint.client_public, endpoint.client_secret)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._socket.connect(endpoint.address)

    def __enter__(self) -> Encrypted:
        assert self._monitor.poll(5000), "the keys are the backend's own"
        self._monitor.recv_multipart()
        self._socket.send(b"{}")  # who has brought no message yet is cut off sooner
        assert self._socket.poll(5000), "a message that ends is answered"
        self._socket.recv_multipart()
        self._socket.send_multipart([self._part] * self._count, copy=False)
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.disable_monitor()
        self._context.destroy(linger=0)

    @property
    def cut(self) -> bool:
        """The connection was closed from the other side."""
        return bool(self._monitor.poll(0))


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
