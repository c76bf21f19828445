"""``serve``: takes the lock, opens the endpoint, writes the connection file and runs the front until it ends."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import zmq

from ..errors import AuthenticationError, BackendError
from ..logs import identify
from ..protocol.curve import KeyGuard, check_key, new_keypair, public_of, serve_with_curve
from ..protocol.endpoint import Endpoint, ipc_address, read_private, runtime_dir, short_dir, write_private
from ..protocol.launcher import STARTER_VARIABLE, connection_path, lock_path
from ..protocol.locks import FileLock
from .front import Front
from .options import ServeOptions
from .pool import PoolSpec, crew_of, parse_pool
from .processes import WorkerSetup

log = logging.getLogger("gshead.server")
ENGINE = "gshead_backend.server.engine:Engine"
CLIENT_DOMAIN = "client"
_LOCK_PATIENCE = 1.0
_DESCRIPTORS = 1 << 16


@dataclass(frozen=True)
class _Keys:
    server_secret: str
    client_public: str
    client_secret: str


def serve(options: ServeOptions, *, engine: str = ENGINE) -> None:
    """Runs one backend in this thread (the main one, for signals) until no lease remains or it is told to stop.

    Args:
        engine: ``module:Class`` made inside the workers; tests give their own.

    Raises:
        BackendError: another backend with this name runs, or the endpoint cannot be opened.
        ArgumentError, MissingAssetError: there cannot be such a pool.
        AuthenticationError: the endpoint or the runtime directory is not private.
    """
    pool = parse_pool(options.pool, options.pool_workers)
    _raise_descriptor_limit()
    directory = runtime_dir(options.runtime_dir)
    lock = FileLock(lock_path(directory, options.name))
    if not _acquire(lock):
        raise BackendError(
            f"A backend named '{options.name}' already runs in {directory}.",
            remedy="Use it, stop it, or give this one another --name.",
        )
    try:
        _remove_leftovers(directory, options.name)
        _serve_locked(options, engine, directory, pool)
    finally:
        lock.release()


def _raise_descriptor_limit() -> None:
    """Strangers may hold connections open without a word for five seconds each: do not run out of descriptors."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _acquire(lock: FileLock) -> bool:
    # A client that looks whether a backend lives holds the lock for an instant: do not give up at once.
    deadline = time.monotonic() + _LOCK_PATIENCE
    while not lock.acquire():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _remove_leftovers(directory: Path, name: str) -> None:
    """What a killed predecessor left: with the lock in hand nobody uses it."""
    for pattern in (f"{name}.json", f"{name}.sock", f"{name}.*.sock", f"{name}.ring.*"):
        for path in directory.glob(pattern):
            with contextlib.suppress(OSError):
                path.unlink()
    short = short_dir(directory)
    if os.name == "posix" and short.is_dir():  # sockets lie there when the directory's own path is too long
        for path in (*short.glob(f"{name}.sock"), *short.glob(f"{name}.*.sock")):
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(OSError):  # sockets of another name, or somebody else's directory
            short.rmdir()


def _serve_locked(options: ServeOptions, engine: str, directory: Path, pool: PoolSpec | None) -> None:
    boot_id = secrets.token_hex(8)
    identify(boot=boot_id)
    connection = connection_path(directory, options.name)
    wake_in, wake_out = socket.socketpair()
    for end in (wake_in, wake_out):
        end.setblocking(False)

    def wake() -> None:
        with contextlib.suppress(OSError):  # full: awake already; closed: ended
            wake_in.send(b"\0")

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    guard: KeyGuard | None = None
    router = context.socket(zmq.ROUTER)
    try:
        tcp = options.endpoint != "auto" or os.name != "posix"
        if tcp or (pool is not None and pool.kind == "ray"):
            guard = KeyGuard(context)
        endpoint = _open(router, options, directory, guard if tcp else None, boot_id)
        setup = WorkerSetup(
            directory, options.name, engine, options.device, options.limits.splats, context, guard, wake, boot=boot_id
        )
        withdraw = functools.partial(connection.unlink, missing_ok=True)
        front = Front(options, router, setup, boot_id, os.getpid(), wake_out, withdraw, crew_of(pool, setup))
        with _signals(front, wake):
            if options.watch_stdin:
                _watch_starter(front, wake)
            replace(endpoint, starter=os.environ.get(STARTER_VARIABLE, "")).write(connection)
            log.info("gshead backend %s listens at %s", boot_id, endpoint.address)
            front.run()
    finally:
        connection.unlink(missing_ok=True)
        router.close(linger=300)
        if guard is not None:
            guard.close()
        context.term()
        wake_in.close()
        wake_out.close()
        _remove_leftovers(directory, options.name)


def _open(
    router: zmq.Socket[bytes], options: ServeOptions, directory: Path, guard: KeyGuard | None, boot_id: str
) -> Endpoint:
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.MAXMSGSIZE, options.limits.part_bytes)
    router.setsockopt(zmq.HANDSHAKE_IVL, 5000)
    router.linger = 300
    if guard is None:
        address = ipc_address(directory, f"{options.name}.sock")
        _bind(router, address)
        return Endpoint(address, pid=os.getpid(), boot_id=boot_id, runtime_dir=str(directory))
    address = "tcp://127.0.0.1:0" if options.endpoint == "auto" else options.endpoint
    _check_tcp(address)
    keys = _keys(options.keys)
    for key in options.allow:
        check_key(key, "A key given with --allow")
    guard.allow(CLIENT_DOMAIN, [keys.client_public, *options.allow])
    serve_with_curve(router, keys.server_secret, CLIENT_DOMAIN)
    router.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    router.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10000)
    _bind(router, address)
    bound = router.getsockopt_string(zmq.LAST_ENDPOINT)
    return Endpoint(
        options.advertise or bound.replace("tcp://0.0.0.0:", "tcp://127.0.0.1:"), public_of(keys.server_secret),
        keys.client_public, keys.client_secret, os.getpid(), boot_id, str(directory),
    )  # fmt: skip


def _bind(router: zmq.Socket[bytes], address: str) -> None:
    try:
        router.bind(address)
    except zmq.ZMQError as error:
        raise BackendError(f"The endpoint {address} cannot be opened: {error.strerror}.") from None


def _check_tcp(address: str) -> None:
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not port.isdecimal() or int(port) > 65535:
        raise AuthenticationError(
            f"The endpoint {address!r} is refused.",
            remedy="Leave it at 'auto', or use tcp://HOST:PORT (always with CURVE keys).",
        )


def _keys(path: Path | None) -> _Keys:
    if path is not None and path.exists():
        try:
            loaded: Any = json.loads(read_private(path))
            keys = _Keys(**{k: str(loaded[k]) for k in _Keys.__dataclass_fields__})
        except (ValueError, TypeError, KeyError):
            raise AuthenticationError(f"The key file {path} cannot be read.") from None
        for key in (keys.server_secret, keys.client_public, keys.client_secret):
            check_key(key, f"An entry of {path}")
        return keys
    _, server_secret = new_keypair()
    client_public, client_secret = new_keypair()
    keys = _Keys(server_secret, client_public, client_secret)
    if path is not None:
        write_private(path, json.dumps(keys.__dict__, indent=1).encode())
    return keys


def _watch_starter(front: Front, wake: Callable[[], None]) -> None:
    """A thread that waits for the end of standard input: pipes cannot be polled on every system."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        front.starter_gone = True
        wake()

    threading.Thread(target=watch, name="gshead-starter-watch", daemon=True).start()


@contextlib.contextmanager
def _signals(front: Front, wake: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM end the loop; only the main thread may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        front.stopping = f"signal {number}"
        wake()

    kinds = [signal.SIGINT, signal.SIGTERM] + ([signal.SIGBREAK] if sys.platform == "win32" else [])
    before = {kind: signal.signal(kind, stop) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
