"""The process beside the front that talks to a Ray cluster: lines of JSON in, lines of JSON out.

In: ``{"start": n, "config": {…}}``, ``{"go": n}``, ``{"kill": n}``; the end of the input ends everything. Out:
``{"room": workers, "host": address}`` once, ``{"joined": n, "key": …, "node": …}``, ``{"ended": n, "why": …}``, and
``{"trouble": why}`` before an early end.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import socket
import sys
import threading
from typing import Any

from .. import __version__
from .ray_actor import PoolActor

_TURN = 0.2
_LOCAL = "127.0.0.1"
_REACH = 20.0


class Bridge:
    """Owns the actors. ``ray`` is the module, given so that this file can be read without it."""

    def __init__(self, ray: Any, out: Any) -> None:
        self._ray, self._out = ray, out
        self._resources: dict[str, float] = {}
        self._actors: dict[int, Any] = {}
        self._configs: dict[int, dict[str, Any]] = {}
        self._waiting: dict[Any, tuple[int, str]] = {}

    def say(self, **event: Any) -> None:
        self._out.write(json.dumps(event).encode() + b"\n")
        self._out.flush()

    def open(self, address: str, count: int) -> None:
        """Joins the cluster, or starts one on the loopback interface."""
        if ":" in address:  # Ray itself would try for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), _REACH).close()
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
        if address == "local":
            options |= {"address": "local", "include_dashboard": False}
        else:
            options |= {"address": address}
        self._ray.init(**options)
        nodes = [node for node in self._ray.nodes() if node.get("Alive")]
        cpus = [node["Resources"].get("CPU", 0.0) for node in nodes if node["Resources"].get("CPU", 0.0) >= 1]
        gpus = int(sum(node["Resources"].get("GPU", 0.0) for node in nodes))
        room = count or gpus or max(1, len(cpus))
        share = sum(cpus) / room if gpus or count else min(cpus, default=1)
        # Ray gives a process as many threads as it was promised cores.
        self._resources = {"num_cpus": max(1, int(min(share, *(cpus or [1])))), "num_gpus": 1 if gpus else 0}
        self.say(room=room, host=_LOCAL if address == "local" else self._ray.util.get_node_ip_address())

    def hear(self, message: dict[str, Any]) -> None:
        """One line of the front."""
        if "start" in message:
            self._place(int(message["start"]), message["config"])
        elif "go" in message and (actor := self._actors.get(int(message["go"]))) is not None:
            number = int(message["go"])
            self._waiting[actor.work.remote(self._configs[number])] = (number, "work")
        elif "kill" in message and (actor := self._actors.get(int(message["kill"]))) is not None:
            self._ray.kill(actor, no_restart=True)
            self._gone(int(message["kill"]), "")

    def _place(self, number: int, config: dict[str, Any]) -> None:
        kind = self._ray.remote(max_restarts=0, scheduling_strategy="SPREAD", **self._resources)(PoolActor)
        actor = kind.remote()
        self._actors[number], self._configs[number] = actor, config
        self._waiting[actor.introduce.remote()] = (number, "introduce")

    def look(self) -> None:
        """What the actors answered: who they are, or that they ended."""
        if not self._waiting:
            return
        ready, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=0)
        for answer in ready:
            number, what = self._waiting.pop(answer)
            try:
                value = self._ray.get(answer)
            except Exception as error:  # Ray wraps whatever ended the actor
                self._gone(number, f"The worker on the Ray cluster ended: {str(error).splitlines()[0][:300]}")
                continue
            if what == "work":
                self._gone(number, str(value))
            elif value["version"] != __version__:
                self._ray.kill(self._actors[number], no_restart=True)
                self._gone(number, f"{value['node']} has gshead {value['version']}, this backend is {__version__}.")
            else:
                self.say(joined=number, key=value["key"], node=value["node"])

    def _gone(self, number: int, why: str) -> None:
        if self._actors.pop(number, None) is not None:
            self._configs.pop(number, None)
            self._waiting = {ref: entry for ref, entry in self._waiting.items() if entry[0] != number}
            self.say(ended=number, why=why)


def main(config: dict[str, Any]) -> None:
    """Entry of the process; its first line of input was ``config``."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever Ray prints goes to the log
    lines: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def read() -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin.buffer:
                lines.put(json.loads(line))
        lines.put(None)

    threading.Thread(target=read, name="gshead-front-watch", daemon=True).start()
    ray = importlib.import_module("ray")
    bridge = Bridge(ray, out)
    try:
        bridge.open(config["address"], config["count"])
        while True:
            try:
                message = lines.get(timeout=_TURN)
            except queue.Empty:
                bridge.look()
                continue
            if message is None:
                break
            bridge.hear(message)
            bridge.look()
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        with contextlib.suppress(OSError):
            bridge.say(trouble=f"the Ray cluster at {config['address']} cannot be used: {first[:300]}")
    finally:
        threading.Timer(5.0, os._exit, args=(1,)).start()  # Ray may wait for a cluster that is gone
        with contextlib.suppress(Exception):
            ray.shutdown()
        os._exit(0)
