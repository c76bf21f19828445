"""CURVE keys and the ZAP handler: which client keys may talk to a socket.

CURVE without a ZAP handler accepts any client key, so the handler is started before the socket is bound.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import zmq
from zmq.utils import z85

from ..errors import AuthenticationError

Context = zmq.Context[zmq.Socket[bytes]]
ZAP_ADDRESS = "inproc://zeromq.zap.01"


def new_keypair() -> tuple[str, str]:
    """(public, secret) as 40-character Z85 text. Raises ``AuthenticationError`` when libzmq lacks CURVE."""
    if not zmq.has("curve"):
        raise AuthenticationError(
            "This pyzmq has no CURVE encryption, so no tcp endpoint can be used.",
            remedy="Install pyzmq from PyPI, which includes it.",
        )
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def public_of(secret: str) -> str:
    """The public key of a secret one."""
    return zmq.curve_public(secret.encode()).decode()


def check_key(key: str, what: str) -> None:
    """Raises ``AuthenticationError`` unless ``key`` is 40 characters of Z85 (the key itself is never shown)."""
    try:
        valid = len(key) == 40 and len(z85.decode(key.encode())) == 32
    except (ValueError, KeyError):
        valid = False
    if not valid:
        raise AuthenticationError(f"{what} is not a CURVE key of 40 Z85 characters.")


def serve_with_curve(socket: zmq.Socket[Any], secret: str, domain: str) -> None:
    """Makes ``socket`` a CURVE server whose clients the ZAP handler judges under ``domain``."""
    socket.curve_server = True
    socket.curve_secretkey = secret.encode()
    socket.setsockopt(zmq.ZAP_DOMAIN, domain.encode())
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def connect_with_curve(socket: zmq.Socket[Any], server_key: str, public: str, secret: str) -> None:
    """Makes ``socket`` a CURVE client of the server that owns ``server_key``."""
    socket.curve_serverkey = server_key.encode()
    socket.curve_publickey = public.encode()
    socket.curve_secretkey = secret.encode()


class KeyGuard:
    """A ZAP 1.0 handler (RFC 27) in its own thread. A key passes only when its domain's allow-list has it.

    The public key becomes the ``User-Id`` of every message, so that a session can be tied to the key that opened it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._allowed: dict[str, frozenset[str]] = {}
        self._lock = threading.Lock()
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(ZAP_ADDRESS)
        self._stop = context.socket(zmq.PAIR)
        self._stop.linger = 0
        port = f"inproc://gshead-zap-stop-{id(self)}"
        self._stop.bind(port)
        self._thread = threading.Thread(target=self._run, args=(port,), name="gshead-zap", daemon=True)
        self._thread.start()

    def allow(self, domain: str, keys: Iterable[str]) -> None:
        """Replaces the allow-list of ``domain``."""
        checked = frozenset(keys)
        for key in checked:
            check_key(key, "An allowed client key")
        with self._lock:
            self._allowed[domain] = checked

    def close(self) -> None:
        """Stops the thread and frees the sockets."""
        if self._thread.is_alive():
            self._stop.send(b"")
            self._thread.join(5)
        self._stop.close()

    def _run(self, port: str) -> None:
        stop = self._context.socket(zmq.PAIR)
        stop.linger = 0
        stop.connect(port)
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(stop, zmq.POLLIN)
        try:
            while stop not in dict(poller.poll()):
                self._answer(self._socket.recv_multipart())
        except zmq.ContextTerminated:
            pass
        finally:
            stop.close()
            self._socket.close()

    def _answer(self, request: list[bytes]) -> None:
        # ZAP: version, request id, domain, address, identity, mechanism, credentials…
        version = request[0] if request else b"1.0"
        request_id = request[1] if len(request) > 1 else b""
        user, status, text = b"", b"400", b"Not allowed"
        if len(request) == 7 and version == b"1.0" and request[5] == b"CURVE" and len(request[6]) == 32:
            key = z85.encode(request[6]).decode()
            with self._lock:
                known = key in self._allowed.get(request[2].decode("utf-8", "replace"), frozenset())
            if known:
                user, status, text = key.encode(), b"200", b"OK"
        self._socket.send_multipart([b"1.0", request_id, status, text, user, b""])
