"""The client's I/O thread: the one owner of its ZeroMQ context and sockets. Everybody else posts to its queue."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from ..errors import (
    AuthenticationError,
    BackendDiedError,
    BackendError,
    BackendTimeoutError,
    GsheadError,
    UnsupportedError,
)  # fmt: skip
from .curve import connect_with_curve
from .endpoint import Endpoint
from .framing import decode_reply, encode, receive
from .messages import Goodbye, LimitsInfo, Message

SILENCE_LIMIT = 30.0
"""Seconds without any message (the backend beats once a second) after which a connection counts as dead."""
REPLY_LIMITS = LimitsInfo(part_bytes=768 << 20, parts=8, message_bytes=1 << 30)
"""What a client accepts from a backend."""
_FAREWELL = 0.3

OnMessage = Callable[[Message, list[memoryview]], None]
OnDeath = Callable[[GsheadError], None]


class ClientLoop:
    """Runs the sockets of one client in a daemon thread.

    Args:
        on_message: called in the I/O thread for each message, with its payload.
        on_death: called once in the I/O thread when the connection is over; the error says why.
    """

    def __init__(self, endpoint: Endpoint, on_message: OnMessage, on_death: OnDeath) -> None:
        self._endpoint = endpoint
        self._on_message, self._on_death = on_message, on_death
        self._posts: queue.SimpleQueue[tuple[Message, Sequence[Any]] | None] = queue.SimpleQueue()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._outbox: deque[list[Any]] = deque()
        self._connected = False
        self._closing = False
        self._post_lock = threading.Lock()
        self._gone = False
        self._session = ""
        self._thread = threading.Thread(target=self._run, name="gshead-client", daemon=True)
        self._thread.start()

    def post(self, message: Message, parts: Sequence[Any] = ()) -> None:
        """Sends a message; from any thread, without waiting. Silently nothing after death (``on_death`` told)."""
        if threading.current_thread() is self._thread and not self._gone:  # awake, and it sends at the end of its turn
            self._accept_posts()
            self._accept(message, parts)
            return
        with self._post_lock:
            if not self._gone:
                self._posts.put((message, parts))
                self._wake()

    def close(self) -> None:
        """Says goodbye, frees the sockets and ends the thread. From any thread, also the I/O thread itself."""
        with self._post_lock:
            if not self._gone:
                self._posts.put(None)
                self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(5.0)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the buffer is full of wake-ups already
            self._wake_in.send(b"\0")

    # --- in the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        error: GsheadError = BackendError("This client is closed.")
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            dealer = self._connect(context)
            monitor = dealer.get_monitor_socket()
            monitor.linger = 0
            try:
                self._turn(dealer, monitor)
            finally:
                dealer.disable_monitor()
                dealer.close(linger=0)
        except GsheadError as caught:
            error = caught
        except zmq.ZMQError as caught:
            error = BackendError(f"The connection to the backend failed: {caught}.")
        except Exception as caught:  # a bug here must not leave callers waiting forever
            error = BackendError(f"The client's I/O thread failed: {type(caught).__name__}: {caught}.")
        finally:
            context.destroy(linger=0)
            with self._post_lock:
                self._gone = True
                self._wake_in.close()
                self._wake_out.close()
            self._on_death(error)

    def _connect(self, context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
        dealer = context.socket(zmq.DEALER)
        dealer.linger = 0
        dealer.setsockopt(zmq.IMMEDIATE, 1)
        dealer.setsockopt(zmq.MAXMSGSIZE, REPLY_LIMITS.part_bytes)
        if not self._endpoint.local:
            dealer.setsockopt(zmq.HEARTBEAT_IVL, 2000)
            dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10000)
        if self._endpoint.server_key:
            e = self._endpoint
            connect_with_curve(dealer, e.server_key, e.client_public, e.client_secret)
        dealer.connect(self._endpoint.address)
        return dealer

    def _turn(self, dealer: zmq.Socket[bytes], monitor: Any) -> None:
        poller = zmq.Poller()
        poller.register(dealer, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        poller.register(self._wake_out, zmq.POLLIN)
        seen = time.monotonic()
        farewell = 0.0
        while True:
            poller.modify(dealer, zmq.POLLIN | (zmq.POLLOUT if self._outbox and self._connected else 0))
            ready = dict(poller.poll(50 if self._closing else 1000))
            # Messages first: an answer that arrived before the connection broke still counts.
            if self._read(dealer):
                seen = time.monotonic()
            while monitor in ready and monitor.poll(0):
                self._judge(parse_monitor_message(monitor.recv_multipart()))
            if self._wake_out.fileno() in ready:
                self._take_posts()
                if self._closing and not farewell:
                    farewell = time.monotonic() + _FAREWELL
                    self._outbox.append([encode(Goodbye(session=self._session))])
            self._flush(dealer)
            if self._closing and (not self._outbox or not self._connected or time.monotonic() > farewell):
                self._drain_farewell(dealer, farewell)
                return
            if time.monotonic() - seen > SILENCE_LIMIT and self._connected:
                raise BackendTimeoutError(
                    f"The backend has been silent for {SILENCE_LIMIT:g} seconds.", remedy="Restart the backend."
                )

    def _drain_farewell(self, dealer: zmq.Socket[bytes], deadline: float) -> None:
        # With LINGER 0 a close right after a send loses the message: wait for the answer, but not for long.
        while self._connected and self._session and time.monotonic() < deadline:
            if dealer.poll(20):
                frames, _ = receive(dealer, REPLY_LIMITS, routed=False)
                if b'"done"' in bytes(frames[0].buffer[:200]):
                    return

    def _take_posts(self) -> None:
        try:
            while self._wake_out.recv(4096):
                pass
        except BlockingIOError:
            pass
        self._accept_posts()

    def _accept_posts(self) -> None:
        while True:
            try:
                post = self._posts.get_nowait()
            except queue.Empty:
                return
            if post is None:
                self._closing = True
            else:
                self._accept(*post)

    def _accept(self, message: Message, parts: Sequence[Any]) -> None:
        if not self._closing:
            message.session = self._session
            self._outbox.append([encode(message), *parts])

    def _flush(self, dealer: zmq.Socket[bytes]) -> None:
        while self._outbox:
            try:
                dealer.send_multipart(self._outbox[0], zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._outbox.popleft()

    def _read(self, dealer: zmq.Socket[bytes]) -> bool:
        read = False
        while True:
            try:
                frames, error = receive(dealer, REPLY_LIMITS, routed=False)
            except zmq.Again:
                return read
            read = True
            if error is not None:
                raise error
            try:
                message = decode_reply(frames[0].buffer)
            except UnsupportedError:
                continue  # a newer minor version may send news that this client does not know
            if message.session and not self._session:
                self._session = message.session
            self._on_message(message, [frame.buffer for frame in frames[1:]])

    def _judge(self, event: Mapping[str, Any]) -> None:
        """Turns what the socket monitor saw into a connection state, or raises when the connection is over."""
        kind, where = event["event"], self._endpoint.address
        if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._connected = True
        elif kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            raise AuthenticationError(
                f"The backend at {where} does not allow this client's key.",
                remedy="Use the backend's current connection file, or add the key to its allow-list.",
            )
        elif kind in (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL):
            raise self._handshake_error()
        elif kind == zmq.EVENT_DISCONNECTED:
            if not self._connected:
                raise self._handshake_error()
            raise BackendDiedError(
                f"The backend (process {self._endpoint.pid}) has ended." if self._endpoint.local
                else f"The connection to the backend at {where} was lost.",
                remedy="Start it again; avatars are sent again by themselves.",
            )  # fmt: skip
        elif kind == zmq.EVENT_CONNECT_RETRIED and self._endpoint.local and not self._connected:
            raise BackendDiedError(f"Nobody listens at {where}.", remedy="Start the backend.")

    def _handshake_error(self) -> GsheadError:
        if not self._endpoint.server_key:
            return BackendDiedError(f"The backend at {self._endpoint.address} closed the connection at once.")
        return AuthenticationError(
            f"The key exchange with {self._endpoint.address} failed: its key is not the one expected, "
            "or it is no gshead backend.",
            remedy="Use the backend's current connection file.",
        )
