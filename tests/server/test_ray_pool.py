"""A pool of Ray actors, on the loopback interface of this machine; only where Ray is installed."""

from __future__ import annotations

import importlib.util
import os
import signal

import psutil
import pytest
from server_harness import wait_until

from gshead_backend.errors import BackendError
from gshead_backend.protocol import Client

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason='Ray is not installed (extra "ray")'),
    pytest.mark.timeout(600),
]
STARTED = 240
"""Seconds within which Ray starts its processes and actors: 20 to 45 on two cores, several times that on busy ones."""


def _ray_pool(start):
    return start(pool="ray://local", pool_workers=2, render_on_demand=True)


def _states(client: Client) -> dict[str, str]:
    return {w.role: w.state for w in client.status().workers if w.role.startswith("pool")}


def _family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def _actors(pid: int) -> list[psutil.Process]:
    return [p for p in _family(pid) if "ray::PoolActor" in " ".join(p.cmdline())]


def test_a_killed_actor_costs_no_portrait_and_none_is_made_twice(start):
    backend = _ray_pool(start)
    with Client(backend.endpoint) as client:
        requests = [client.threaded.batch_make(b"medium %d" % i, name=f"n{i}") for i in range(6)]
        assert wait_until(lambda: list(_states(client).values()) == ["busy", "busy"], STARTED), _states(client)
        assert all(" on " in w.device for w in client.status().workers if w.state == "busy")
        family = _family(backend.process.pid)
        actors = _actors(backend.process.pid)
        assert len(actors) == 2
        listening = {c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, "Ray has no authentication"
        actors[0].send_signal(signal.SIGKILL)
        made = [request.wait(90) for request in requests]
        assert sorted(one.tries for one in made) == [1, 1, 1, 1, 1, 2]
        assert sorted(one.data for one in made) == [b"GSmedium %dstandardn%d" % (i, i) for i in range(6)]
        assert requests[0].progress[0] > 0
        long = client.threaded.batch_make(b"long")
        assert wait_until(lambda: long.progress[0] > 0, 60)
        long.cancel()
        assert client.threaded.batch_make(b"photo").wait(60).tries == 1
    backend.wait(30)
    assert wait_until(lambda: not any(p.is_running() and p.status() != "zombie" for p in family), 10)


def test_sigkill_of_the_backend_leaves_no_process_of_ray(start):
    backend = _ray_pool(start)
    with Client(backend.endpoint) as client:
        long = client.threaded.batch_make(b"long")
        assert wait_until(lambda: long.progress[0] > 0, STARTED)
        family = _family(backend.process.pid)
        assert any("raylet" in p.name() for p in family)
        os.kill(backend.process.pid, signal.SIGKILL)
    backend.process.wait(5)
    alive = lambda: [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]  # noqa: E731
    assert wait_until(lambda: not alive(), 10), alive()
    for path in backend.log.parent.iterdir():
        if path.suffix not in (".lock", ".log"):
            path.unlink()


def test_a_cluster_that_is_not_there_is_named(start):
    backend = start(pool="ray://127.0.0.1:1", render_on_demand=True)
    with Client(backend.endpoint) as client, pytest.raises(BackendError, match=r"at 127\.0\.0\.1:1 cannot be used"):
        client.threaded.batch_make(b"photo").wait(100)
