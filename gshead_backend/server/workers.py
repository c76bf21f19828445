"""The front's side of a worker process: starting it, talking to it, noticing its end, starting it again."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import zmq

from ..protocol.curve import new_keypair, serve_with_curve
from ..protocol.endpoint import ipc_address
from ..protocol.messages import WorkerInfo, WorkerState
from . import link
from .processes import Elsewhere, Process, WorkerSetup, spawn_here, wait_for

log = logging.getLogger("gshead.server")
HUNG_AFTER = 5.0
"""Seconds without a pulse, while at work and not warming, after which a worker is reported as hung."""
WARMING_LIMIT = 300.0
"""Seconds without a pulse after which one that starts or warms is given up: compilers may stop all threads for long."""
RESTARTS, RESTART_WINDOW = 5, 60.0
"""A worker that dies more often than this many times within the window stays down for as long, or until asked for."""
WORKER_DOMAIN = "worker"


class Worker:
    """One worker process at a time under one role. All methods are for the front's main thread.

    ``role``: ``render`` draws frames, ``jobs`` reconstructs, and so do ``pool-1``, ``pool-2`` and on. ``generation``
    counts the processes started. ``environment``: additions for the process. ``elsewhere``: who starts it, when it is
    not to be a child of this process. ``ending``: it has said what it failed with, and
    that it ends of it.
    """

    def __init__(
        self, role: str, setup: WorkerSetup, *, environment: Mapping[str, str] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:  # fmt: skip
        self.role = role
        self.reason = ""
        self._environment, self._elsewhere = dict(environment or {}), elsewhere
        self.socket: zmq.Socket[bytes] | None = None
        self.generation = 0
        self.message = ""
        self.start_error = ""
        self.device = ""
        self.batch = 1
        self._gave_up = 0.0
        self._lost_device = False
        self.ending = False
        self._setup = setup
        self._process: Process | None = None
        self._address = ""
        self._phase: Literal["stopped", "starting", "warming", "ready", "failed"] = "stopped"
        self._pulse = 0.0
        self._starts: deque[float] = deque(maxlen=RESTARTS + 1)
        self.task = 0
        self.task_since = 0.0

    @property
    def running(self) -> bool:
        """A process is there (it may still be warming)."""
        return self._process is not None

    @property
    def ready(self) -> bool:
        """It is warm."""
        return self._phase == "ready"

    @property
    def listening(self) -> bool:
        """It takes avatars: it is warm or warming."""
        return self._phase in ("warming", "ready")

    @property
    def failed(self) -> bool:
        """It died too often and stays down."""
        return self._phase == "failed"

    @property
    def pid(self) -> int:
        """Process id, 0 when there is none."""
        return self._process.pid if self._process else 0

    def give_up(self, why: str) -> None:
        """It stays down until somebody asks for it, or ``revive``; ``why`` is shown."""
        self._phase, self.message = "failed", why
        self._gave_up = time.monotonic()

    def revive(self) -> bool:
        """One that stays down is tried again after ``RESTART_WINDOW`` seconds; whether it was started."""
        if not self.failed or time.monotonic() - self._gave_up < RESTART_WINDOW:
            return False
        return self.start(forgive=True)

    def silent_for(self) -> float:
        """Seconds since the last sign of life of a process that should give some; 0 while warming or stopped."""
        if self._process is None or self._phase != "ready":
            return 0.0
        return time.monotonic() - self._pulse

    def stuck(self, limit: float) -> float:
        """Seconds of silence when they are more than ``limit`` at work, or ``WARMING_LIMIT`` before it, else 0."""
        if self._process is None:
            return 0.0
        silent = time.monotonic() - self._pulse
        if self.ending:
            return silent if silent > HUNG_AFTER else 0.0
        if self._phase in ("starting", "warming"):
            return silent if silent > WARMING_LIMIT else 0.0
        return silent if self.task and silent > limit else 0.0

    def info(self) -> WorkerInfo:
        """For ``hello.reply`` and ``beat``."""
        silent = self.silent_for()
        state: WorkerState = self._phase
        if self._phase == "ready" and self.task:
            state = "hung" if silent > HUNG_AFTER else "busy"
        return WorkerInfo(
            self.role, state, self.device, self.pid, round(silent, 2), max(0, self.generation - 1), self.message
        )

    def start(self, *, forgive: bool = False) -> bool:
        """Starts a process unless one runs. False when it died too often (``forgive`` wipes that slate)."""
        if self._process is not None:
            return True
        now = time.monotonic()
        if forgive:
            self._starts.clear()
        if len(self._starts) > RESTARTS and now - self._starts[0] < RESTART_WINDOW:
            self._phase = "failed"
            return False
        self._starts.append(now)
        self.generation += 1
        self.message, self.device, self.ending = "", "", False
        keys = self._bind()
        self._process = self._spawn(keys)
        self._phase, self._pulse = "starting", now
        threading.Thread(
            target=wait_for, args=(self._process, self._setup.wake), name=f"gshead-watch-{self.role}", daemon=True
        ).start()
        return True

    def _bind(self) -> tuple[str, str, str]:
        setup = self._setup
        socket = setup.context.socket(zmq.PAIR)
        socket.linger = 0
        keys = ("", "", "")
        if self._elsewhere is not None:
            assert setup.guard is not None
            server_key, server_secret = new_keypair()
            serve_with_curve(socket, server_secret, self._domain)  # nobody is let in before its key is known
            socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10000)
            host = self._elsewhere.host
            socket.setsockopt(zmq.IPV6, int(":" in host))
            self._address = f"tcp://{host}:{socket.bind_to_random_port(f'tcp://{host}')}"
            keys = (server_key, "", "")
        elif setup.ipc:
            self._address = ipc_address(setup.directory, f"{setup.prefix}.{self.role}-{self.generation}.sock")
            socket.bind(self._address)
        else:
            assert setup.guard is not None
            server_key, server_secret = new_keypair()
            public, secret = new_keypair()
            setup.guard.allow(self._domain, [public])
            serve_with_curve(socket, server_secret, self._domain)
            self._address = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
            keys = (server_key, public, secret)
        self.socket = socket
        return keys

    @property
    def _domain(self) -> str:
        return f"{WORKER_DOMAIN}-{self.role}"

    def _spawn(self, keys: tuple[str, str, str]) -> Process:
        root = str(Path(__file__).resolve().parents[2])
        config = {
            "role": self.role,
            "boot": self._setup.boot,
            "engine": self._setup.engine,
            "device": self._setup.device,
            "splats": self._setup.splats,
            "address": self._address,
            "server_key": keys[0],
            "client_public": keys[1],
            "client_secret": keys[2],
            "sys_path": [p for p in sys.path if p] + ([] if root in sys.path else [root]),
        }
        if self._elsewhere is not None:
            return self._elsewhere.spawn(self._domain, config)
        environment = {**os.environ, **self._environment}
        if self._lost_device:  # perhaps by one of the faster kernels: the next process leaves them out
            environment["GSHEAD_DRIVE"] = "torch"
        return spawn_here(config, environment)

    def send(self, message: link.LinkMessage, parts: Sequence[Any] = ()) -> None:
        """Hands a message over without waiting."""
        assert self.socket is not None
        link.send(self.socket, message, parts)

    def begin(self, task: int) -> None:
        """The worker now owes an answer to ``task``."""
        self.task, self.task_since = task, time.monotonic()
        self._pulse = max(self._pulse, self.task_since)

    def end(self, task: int) -> None:
        """The answer came."""
        if self.task == task:
            self.task = 0

    def heard(self, message: link.ToFront) -> None:
        """Any message is a sign of life; a pulse also says the state."""
        self._pulse = time.monotonic()
        if isinstance(message, link.Failed) and message.fatal:
            self._lost_device = self.ending = True
            self._phase = "starting"  # it takes nothing any more
        if isinstance(message, link.Pulse):
            self._phase = "ready" if message.state == "ready" else "warming"
            where = getattr(self._process, "node", "")
            self.device = f"{message.device} on {where}" if where else message.device
            self.message = message.message
            self.batch = message.batch

    def ended(self) -> int | None:
        """The exit code when the process has ended since the last look, else None. Cleans up after it."""
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        self.reason = getattr(self._process, "reason", "")
        self._discard()
        return code

    def kill(self) -> None:
        """Ends the process at once; ``ended`` then reports it."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """Ends the process by closing its pipe, by force after two seconds."""
        if self._process is None:
            return
        process = self._process
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._discard()

    def _discard(self) -> None:
        assert self._process is not None
        assert self.socket is not None
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self.socket.close(linger=0)
        self._process, self.socket = None, None
        self._phase, self.task = "stopped", 0
        if self._address.startswith("ipc://"):
            with contextlib.suppress(OSError):
                Path(self._address.removeprefix("ipc://")).unlink()
