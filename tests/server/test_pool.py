"""A backend with a pool: portraits of batches go to its workers, each once, whoever dies; frames go their own way."""

from __future__ import annotations

import os
import signal
import time

import pytest
from server_harness import head, make_camera, wait_until

from gshead_backend.errors import (
    ArgumentError,
    BackendDiedError,
    BackendError,
    Cancelled,
    HeadError,
    LimitError,
    MissingAssetError,
    NoFaceError,
    UnsupportedError,
)
from gshead_backend.protocol import Client, ThreadedClient
from gshead_backend.protocol import messages as m
from gshead_backend.server.pool import PoolSpec, parse_pool


def _pool(client: Client) -> dict[str, m.WorkerInfo]:
    return {w.role: w for w in client.status().workers if w.role.startswith("pool")}


def test_portraits_are_spread_over_the_workers(start):
    backend = start(pool="local:2")
    with Client(backend.endpoint) as client:
        assert "pool" in client.hello().features
        requests = [client.threaded.batch_make(b"medium %d" % i, name=f"n{i}") for i in range(6)]
        assert wait_until(lambda: [w.state for w in _pool(client).values()] == ["busy", "busy"], 20)
        assert {job.kind for job in client.status().jobs} == {"batch"}
        made = [request.wait(60) for request in requests]
        assert [one.data for one in made] == [b"GSmedium %dstandardn%d" % (i, i) for i in range(6)]
        assert {one.worker for one in made} == {"pool-1", "pool-2"}
        assert [one.tries for one in made] == [1] * 6
        assert requests[0].progress[1].startswith("step")
        assert not client.status().memory["avatars"], "nothing of a batch is kept"


def test_a_killed_worker_costs_no_portrait_and_none_is_made_twice(start):
    backend = start(pool="local:2")
    with Client(backend.endpoint) as client:
        requests = [client.threaded.batch_make(b"medium %d" % i) for i in range(5)]
        assert wait_until(lambda: all(w.state == "busy" for w in _pool(client).values()), 20)
        os.kill(_pool(client)["pool-1"].pid, signal.SIGKILL)
        made = [request.wait(60) for request in requests]
        assert sorted(one.tries for one in made) == [1, 1, 1, 1, 2]
        (again,) = [one for one in made if one.tries == 2]
        assert again.worker == "pool-2", "another worker takes it up"
        assert len({one.data for one in made}) == 5


def test_a_portrait_that_ends_every_worker_is_given_up_and_the_others_are_made(start):
    backend = start(pool="local:2")
    with Client(backend.endpoint) as client:
        poison = client.threaded.batch_make(b"die")
        others = [client.threaded.batch_make(b"photo %d" % i) for i in range(4)]
        assert all(request.wait(60).data for request in others)
        with pytest.raises(BackendDiedError, match="tried 3 times"):
            poison.wait(60)


def test_bad_photos_and_unknown_methods_are_named(start):
    backend = start(pool="local:1")
    with Client(backend.endpoint) as client:
        with pytest.raises(NoFaceError):
            client.threaded.batch_make(b"noface").wait(30)
        with pytest.raises(Exception, match="There is no method 'magic'"):
            client.threaded.batch_make(b"photo", method="magic").wait(30)
        with pytest.raises(HeadError, match="no head model 'nobody'"):
            client.threaded.batch_make(b"photo", head="nobody").wait(30)


def test_cancel_and_the_end_of_a_session_free_the_workers(start):
    backend = start(pool="local:1")
    with Client(backend.endpoint) as client:
        long = client.threaded.batch_make(b"long 1")
        assert wait_until(lambda: long.progress[0] > 0, 20)
        long.cancel()
        with pytest.raises(Cancelled):
            long.wait(10)
        assert client.threaded.batch_make(b"photo").wait(10).data
        with Client(backend.endpoint) as other:
            left = other.threaded.batch_make(b"long 2")
            assert wait_until(lambda: left.progress[0] > 0, 20)
        assert client.threaded.batch_make(b"photo 2").wait(10).data


def test_a_worker_that_hangs_is_killed_and_its_portrait_made_by_another(start):
    """It gives no sign of life: stopped, as by a debugger or a device that does not answer."""
    backend = start(pool="local:2", job_hang_limit=2.0)
    with Client(backend.endpoint) as client:
        request = client.threaded.batch_make(b"medium")
        assert wait_until(lambda: request.progress[0] > 0, 20)
        (busy,) = [w for w in _pool(client).values() if w.state == "busy"]
        os.kill(busy.pid, signal.SIGSTOP)
        made = request.wait(30)
        assert (made.tries, made.worker != busy.role) == (2, True)


def test_frames_and_single_jobs_do_not_wait_for_the_pool(start):
    backend = start(pool="local:1")
    with Client(backend.endpoint) as client:
        avatar = client.avatar_put(b"GSa")
        client.render(make_camera(), [head(avatar)])
        batch = [client.threaded.batch_make(b"long %d" % i) for i in range(3)]
        assert wait_until(lambda: batch[0].progress[0] > 0, 20)
        began = time.monotonic()
        client.render(make_camera(), [head(avatar)])
        assert client.reconstruct(b"photo", timeout=9).splats
        assert time.monotonic() - began < 9
        assert not batch[0].done()


def test_equal_portraits_are_made_once(start):
    backend = start(pool="local:2")
    with Client(backend.endpoint) as client:
        first, second = (client.threaded.batch_make(b"medium") for _ in range(2))
        assert wait_until(lambda: first.progress[0] > 0, 20)
        assert len(client.status().jobs) == 1
        assert first.wait(30) == second.wait(30)


def test_a_client_has_a_limit(start):
    backend = start(pool="local:1", limits=m.LimitsInfo(batch=2))
    with Client(backend.endpoint) as client:
        under_way = [client.threaded.batch_make(b"long %d" % i) for i in range(2)]
        with pytest.raises(LimitError, match="already waits for 2"):
            client.threaded.batch_make(b"photo").wait(10)
        for request in under_way:
            request.cancel()


def test_a_pool_that_cannot_start_says_so(start):
    backend = start(pool="local:2", device="broken", render_on_demand=True)
    with Client(backend.endpoint) as client, pytest.raises(BackendError, match="no such device"):
        client.threaded.batch_make(b"photo").wait(30)


def test_idle_workers_rest_and_come_back(start):
    backend = start(pool="local:1", job_idle=0.5)
    with Client(backend.endpoint) as client:
        client.threaded.batch_make(b"photo").wait(30)
        assert wait_until(lambda: _pool(client)["pool-1"].state == "stopped", 10)
        assert client.threaded.batch_make(b"photo 2").wait(30).tries == 1


def test_the_render_worker_may_start_on_demand(start):
    backend = start(pool="local:1", render_on_demand=True)
    with Client(backend.endpoint) as client:
        client.threaded.batch_make(b"photo").wait(30)
        assert {w.role: w.state for w in client.status().workers}["render"] == "stopped"
        avatar = client.avatar_put(b"GSa")
        assert client.render(make_camera(), [head(avatar)], timeout=20).rgba.any()


def test_without_a_pool_the_request_is_refused_on_both_sides(backend):
    with ThreadedClient(backend.endpoint) as client:
        with pytest.raises(UnsupportedError, match="no pool"):
            client.batch_make(b"photo")
        client.hello.features.append("pool")  # a client that asks all the same
        with pytest.raises(UnsupportedError, match="no pool"):
            client.batch_make(b"photo").wait(10)


def test_what_names_a_pool(monkeypatch):
    assert parse_pool("") is None
    assert parse_pool("local:3") == PoolSpec("local", "", 3)
    assert parse_pool("local", 2) == PoolSpec("local", "", 2)
    for text in (
        "local:0",
        "local:9999",
        "gpu",
        "ray://",
        "ray://host",
        "ray://host:1;rm",
        "ray://ho st:1",
        "local:-1",
    ):
        with pytest.raises(ArgumentError):
            parse_pool(text)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingAssetError, match="Ray is not installed"):
        parse_pool("ray://auto")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert parse_pool("ray://10.0.0.1:6379", 4) == PoolSpec("ray", "10.0.0.1:6379", 4)
    assert parse_pool("ray://[fe80::1]:6379") == PoolSpec("ray", "[fe80::1]:6379", 0)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("0,2", ["0", "2"]), ("GPU-1a,MIG-2b", ["GPU-1a", "MIG-2b"]), ("", []), ("-1", []), ("1,-1,2", ["1"])],
)
def test_one_gpu_a_worker(monkeypatch, variable, expected):
    from gshead_backend.gpus import visible_gpus
    from gshead_backend.server.pool import _environment

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus() == expected
    given = [_environment(i, 3, expected, "auto").get("CUDA_VISIBLE_DEVICES") for i in range(3)]
    assert given == ([expected[i % len(expected)] for i in range(3)] if expected else [None] * 3)
