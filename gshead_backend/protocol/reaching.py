"""A client of this user's backend, whatever state that is in: running, absent, dying, or frozen."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import BackendDiedError, BackendTimeoutError
from .client import Client
from .endpoint import Endpoint
from .launcher import Backend, connect_or_start, live_endpoint, lock_path
from .locks import FileLock

DYING_SECONDS = 5.0
"""A backend that was killed a moment ago may still hold its lock for so long."""
_TRIES = 2
"""So often a backend must leave ``hello`` without an answer before it counts as frozen."""


def reach(
    command: Sequence[str], *, name: str = "client", timeout: float = 10.0, start_timeout: float = 30.0,
    directory: Path | None = None,
) -> tuple[Client, Backend]:  # fmt: skip
    """Connect to the backend that runs on this machine, or to a new one that ``command`` starts.

    The front of a backend does nothing but answer: one that leaves two ``hello`` unanswered, ``timeout`` seconds each,
    is frozen (stopped by a signal, or by a bug). It serves nobody and keeps the lock, so it is killed and replaced.

    Raises:
        BackendError: it cannot be started or reached.
    """
    dying_until = time.monotonic() + DYING_SECONDS
    silent: list[str] = []
    while True:
        backend = connect_or_start(command, directory=directory, timeout=start_timeout)
        try:
            return Client(backend.endpoint, name=name, timeout=timeout), backend
        except BackendDiedError:
            backend.release()
            if time.monotonic() > dying_until:
                raise
            time.sleep(0.1)
        except BackendTimeoutError:
            backend.release()
            silent.append(backend.endpoint.boot_id)
            if silent.count(backend.endpoint.boot_id) < _TRIES:
                continue
            if len(silent) > _TRIES or not end_frozen(backend.endpoint):
                raise
            dying_until = time.monotonic() + DYING_SECONDS
        except BaseException:
            backend.release()
            raise


def end_frozen(endpoint: Endpoint, *, patience: float = 5.0) -> bool:
    """Kill the user's backend at ``endpoint``, unless another one has taken its place; whether it has ended."""
    directory = Path(endpoint.runtime_dir)
    now = live_endpoint(directory=directory)
    if now is None:
        return True
    if (now.boot_id, now.pid) != (endpoint.boot_id, endpoint.pid) or endpoint.pid <= 0:
        return False
    with contextlib.suppress(OSError):  # it ended in this moment
        os.kill(endpoint.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    lock, deadline = FileLock(lock_path(directory, "default")), time.monotonic() + patience
    while lock.held_elsewhere():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
