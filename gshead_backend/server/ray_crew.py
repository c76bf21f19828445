"""A pool on a Ray cluster, seen from the front: who is placed where, and what has ended.

Ray only finds a machine and a GPU for each worker and starts it. Portraits and avatars do not pass through Ray, which
encrypts nothing by default: each worker connects to this process over tcp with CURVE, with a key pair that it made
itself. Of Ray's own work a process beside the front takes care (``ray_bridge``), so that nothing here waits for it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import GsheadError
from .pool import PoolSpec
from .processes import WorkerSetup
from .workers import Worker

log = logging.getLogger("gshead.server")
_END_WITHIN = 8.0
_BOOT = (
    "import sys, json; config = json.loads(sys.stdin.buffer.readline()); "
    "sys.path[:] = config['sys_path']; from gshead_backend.server.ray_bridge import main; main(config)"
)


class RayProcess:
    """A worker somewhere in the cluster, as ``workers.Process`` wants it. ``pid`` is 0: it is not of this machine.

    ``node``: where it was placed. ``reason``: why it ended, when Ray told.
    """

    pid = 0

    def __init__(self, number: int, crew: RayCrew) -> None:
        self.number = number
        self.node = self.reason = self.domain = ""
        self.stdin = self
        self._crew = crew
        self._code: int | None = None
        self._ended = threading.Event()

    @property
    def returncode(self) -> int | None:
        return self._code

    def poll(self) -> int | None:
        return self._code

    def close(self) -> None:
        """As the end of a child's standard input: asks it to end."""
        self.kill()

    def kill(self) -> None:
        if self._code is None:
            self._crew.tell({"kill": self.number})

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("a Ray worker", timeout or 0.0)
        return self._code or 0

    def end(self, reason: str) -> None:
        """It is gone."""
        self.reason, self._code = reason, 1
        self._ended.set()


class RayCrew:
    """Workers on a Ray cluster. ``trouble`` says why there are none."""

    def __init__(self, spec: PoolSpec, setup: WorkerSetup) -> None:
        self.host = ""
        self.trouble = ""
        self._spec, self._setup = spec, setup
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._processes: dict[int, RayProcess] = {}
        self._new: list[Worker] = []
        self._recruited = False
        self._bridge: subprocess.Popen[bytes] | None = None
        self._start()

    def recruit(self) -> list[Worker]:
        """Workers to be, once the cluster has said how many there is room for."""
        with self._lock:
            new, self._new = self._new, []
        return new

    def spawn(self, domain: str, config: Mapping[str, Any]) -> RayProcess:
        """Asks for one more worker; it may take a while until the cluster has room for it."""
        process = RayProcess(next(self._numbers), self)
        process.domain = domain
        self.again()
        with self._lock:
            self._processes[process.number] = process
        given = {key: value for key, value in config.items() if key != "sys_path"}
        self.tell({"start": process.number, "config": given})
        return process

    def again(self) -> None:
        """Starts the bridge unless it runs: the cluster may be back."""
        with self._lock:
            alive = self._bridge is not None and self._bridge.poll() is None
        if not alive:
            self._start()

    def tell(self, message: Mapping[str, Any]) -> None:
        """Says something to the bridge; when it is gone, its end is noticed elsewhere."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            assert self._bridge is not None
            assert self._bridge.stdin is not None
            self._bridge.stdin.write(json.dumps(message).encode() + b"\n")
            self._bridge.stdin.flush()

    def close(self) -> None:
        """Gives the cluster its machines back."""
        with self._lock:
            bridge, self._bridge = self._bridge, None
        if bridge is None or bridge.stdin is None:
            return
        with contextlib.suppress(OSError):
            bridge.stdin.close()
        try:
            bridge.wait(_END_WITHIN)
        except subprocess.TimeoutExpired:
            bridge.kill()
            bridge.wait()
        self._all_ended("the pool was closed")

    # --- the bridge ---------------------------------------------------------------------------------------------

    def _start(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        config = {
            "address": self._spec.address, "count": self._spec.count, "boot": self._setup.boot,
            "sys_path": [p for p in sys.path if p] + ([] if root in sys.path else [root]),
        }  # fmt: skip
        # Ray counts who uses it and sends that home unless it is told not to.
        environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
        if self._spec.address == "local":
            environment |= {
                "PYTHONPATH": os.pathsep.join(config["sys_path"]),  # its workers import what this process does
                # Ray listens on every interface unless it takes this machine for one that has no cluster.
                "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": secrets.token_hex(32),  # else it writes one into the home folder
            }
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self.trouble = ""
        with self._lock:
            self._bridge = process
        self.tell(config)
        threading.Thread(target=self._listen, args=(process,), name="gshead-ray", daemon=True).start()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            try:
                event = json.loads(line)
                last = str(event.get("trouble", "")) or last
                self._heard(event)
            except (ValueError, KeyError, TypeError, GsheadError):
                log.exception("Not understood from the Ray cluster: %.200r", line)
        process.stdout.close()
        code = process.wait()
        with self._lock:
            mine = self._bridge is process
        if mine:
            why = last or f"the connection to the Ray cluster was lost (exit code {code})."
            log.error("Ray: %s", why)
            self.trouble = why
            self._all_ended(why)
        self._setup.wake()

    def _heard(self, event: Mapping[str, Any]) -> None:
        if "room" in event:
            self.host, count = str(event["host"]), int(event["room"])
            log.info("The Ray cluster has room for %d workers; they connect to %s", count, self.host)
            with self._lock:
                if not self._recruited:
                    self._new = [Worker(f"pool-{i + 1}", self._setup, elsewhere=self) for i in range(count)]
                    self._recruited = True
        elif "joined" in event:
            process = self._processes.get(int(event["joined"]))
            if process is not None:
                process.node = str(event["node"])[:60]
                assert self._setup.guard is not None
                self._setup.guard.allow(process.domain, [str(event["key"])])
                self.tell({"go": process.number})
        elif "ended" in event:
            process = self._processes.pop(int(event["ended"]), None)
            if process is not None:
                process.end(str(event["why"])[:500])
        self._setup.wake()

    def _all_ended(self, why: str) -> None:
        with self._lock:
            processes, self._processes = list(self._processes.values()), {}
        for process in processes:
            process.end(why)
