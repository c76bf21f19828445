"""Messages that never end: the connection that sends one is closed before it fills the memory.

ZeroMQ hands a message over when its last part has come, and bounds a part but not their number: until then the parts
lie where the front cannot see them, and an empty part, two bytes on the wire, takes 64 bytes. So a thread watches what
the process holds, and which connections have bytes waiting but never bring a message to its end. Over tcp a connection
that has not brought one yet, a stranger's perhaps, may send no more than keys and a greeting take.
"""

from __future__ import annotations

import array
import contextlib
import logging
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from .vitals import memory_of, return_freed_memory

log = logging.getLogger("gshead.server")
SLACK = 256 << 20
"""Bytes beyond two copies of the largest message (in ZeroMQ, and on its way to a worker), for each sender."""
_LOOK_MS, _IDLE_MS = 50, 200
_SEEN_OFTEN = 3
"""Looks at which bytes waited before a connection is suspected: a heartbeat may be seen once in a while."""
_RECENT = 1.0
_FIRST_BYTES = 2 << 20
"""Bytes that may come over tcp before a connection's first message, ``hello``, is whole: keys and one header."""
_TCP_INFO_RECEIVED = 128
"""Where Linux's ``struct tcp_info`` holds ``tcpi_bytes_received``."""
_SETTLE = 0.3
"""Seconds from closing a connection until ZeroMQ has let go of what came through it."""


@dataclass
class _Connection:
    """``file`` tells a socket from a later one of the same number; ``base``: the least memory since it was heard;
    ``greeted``: a whole message has come."""

    handle: int
    file: tuple[int, int]
    base: int
    tcp: bool = False
    greeted: bool = False
    looks: int = 0
    waiting_at: float = 0.0


class EndlessWatch:
    """Watches the connections of a bound ``router`` from a thread of its own.

    Where the system does not tell a process's memory (Windows), or what waits in a socket, nothing is watched.

    Args:
        largest: bytes that a message may have.
        explained: bytes that the process holds on purpose: they count for nobody.
    """

    def __init__(self, router: zmq.Socket[bytes], largest: int, explained: Callable[[], int]) -> None:
        self._router, self._limit, self._explained = router, 2 * largest + SLACK, explained
        self._connections: dict[int, _Connection] = {}
        self._ended = threading.Event()
        self._monitor: zmq.Socket[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="gshead-endless", daemon=True)

    def start(self) -> None:
        """Begins, where the system tells enough."""
        if os.name != "posix" or not memory_of(os.getpid()):
            return
        kinds = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
        self._monitor = self._router.get_monitor_socket(kinds)
        self._monitor.linger = 0
        self._thread.start()

    def heard(self, frame: zmq.Frame) -> None:
        """A whole message has come, of which this is a part. Called by the owner of the router for every message."""
        with contextlib.suppress(zmq.ZMQError, ValueError):
            connection = self._connections.get(int(frame.get(zmq.SRCFD)))
            if connection is not None:
                connection.greeted = True
                connection.looks = 0
                connection.base = 0  # taken anew at the next look

    def close(self) -> None:
        """Ends the thread. Before the router is closed, by its owner."""
        if self._monitor is not None:
            self._ended.set()
            self._thread.join(5.0)
            self._router.disable_monitor()
            self._monitor.close(linger=0)
            self._monitor = None

    # --- in the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        assert self._monitor is not None
        while not self._ended.is_set():
            try:
                if self._monitor.poll(_LOOK_MS if self._connections else _IDLE_MS):
                    self._note(parse_monitor_message(self._monitor.recv_multipart()))
                else:
                    self._look(time.monotonic())
            except zmq.ZMQError:  # the context ends
                return

    def _note(self, event: Mapping[str, Any]) -> None:
        handle = int(event["value"])
        if event["event"] == zmq.EVENT_ACCEPTED:
            with contextlib.suppress(OSError):
                self._connections[handle] = _Connection(handle, _file(handle), 0, _received(handle) is not None)
        else:
            self._connections.pop(handle, None)

    def _look(self, now: float) -> None:
        for stranger in [c for c in self._connections.values() if c.tcp and not c.greeted]:
            if (_received(stranger.handle) or 0) > _FIRST_BYTES:
                self._cut(stranger, "A connection sent %d MiB before any message; it was closed", _FIRST_BYTES)
        memory = memory_of(os.getpid()) - self._explained()
        for connection in self._connections.values():
            connection.base = min(connection.base or memory, memory)
            if _waiting(connection.handle):
                connection.looks += 1
                connection.waiting_at = now
        suspects = [c for c in self._connections.values() if c.looks >= _SEEN_OFTEN]
        if not suspects:
            return
        under_way = sum(now - c.waiting_at < _RECENT for c in suspects)
        worst = max(suspects, key=lambda c: c.looks)
        if memory - worst.base > self._limit * max(under_way, 1):
            said = "A client's message did not end after %d MiB; its connection was closed"
            self._cut(worst, said, memory - worst.base)
            self._ended.wait(_SETTLE)
            return_freed_memory()
            for other in self._connections.values():
                other.base = 0

    def _cut(self, connection: _Connection, said: str, size: int) -> None:
        self._connections.pop(connection.handle, None)
        try:
            with socket.socket(fileno=os.dup(connection.handle)) as end:
                if _file(end.fileno()) != connection.file:
                    return
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # the peer is told at once
                end.shutdown(socket.SHUT_RDWR)  # ZeroMQ sees that its peer has gone, and tidies up
        except OSError:
            return
        log.error(said, size >> 20)


def _file(handle: int) -> tuple[int, int]:
    info = os.fstat(handle)
    return info.st_dev, info.st_ino


def _received(handle: int) -> int | None:
    """Bytes that came over a tcp connection; None of another one, or where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(handle)) as end:
        if end.family in (socket.AF_INET, socket.AF_INET6):
            info = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            if len(info) >= _TCP_INFO_RECEIVED + 8:
                return int.from_bytes(info[_TCP_INFO_RECEIVED:][:8], sys.byteorder)
    return None


def _waiting(handle: int) -> bool:
    """Bytes wait in a socket to be read."""
    try:
        import fcntl
        import termios

        count = array.array("i", [0])
        fcntl.ioctl(handle, termios.FIONREAD, count)
        return count[0] > 0
    except (OSError, ImportError):
        return False
