"""Processes that live but do nothing: stopped, asleep, or computing for ever. Who waits is told, and work goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from server_harness import children, head, make_camera, serve_command, wait_until

from gshead_backend.errors import BackendDiedError, BackendTimeoutError
from gshead_backend.protocol import Client, ThreadedClient
from gshead_backend.protocol.launcher import Backend, start_backend
from gshead_backend.protocol.loop import SILENCE_LIMIT
from gshead_backend.protocol.reaching import reach

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
HANG_LIMIT = 6.5
FREEZES = {
    "stopped": signal.SIGSTOP,
    "computes": signal.SIGUSR1,  # a loop in C that lets no other Python thread run
    "sleeps": signal.SIGUSR2,
}


def fragile_command() -> list[str]:
    """A backend whose front computes or sleeps for ever when it is told to by a signal."""
    python, flag, code = serve_command()
    traps = (
        "import signal, time; signal.signal(signal.SIGUSR1, lambda *a: sum(range(10**13))); "
        "signal.signal(signal.SIGUSR2, lambda *a: time.sleep(3600)); "
    )
    return [python, flag, traps + code]


def freeze(backend: Backend, how: str) -> None:
    assert backend.process is not None
    os.kill(backend.process.pid, FREEZES[how])


def end(backend: Backend) -> None:
    assert backend.process is not None
    backend.process.kill()
    backend.process.wait(5)
    backend.release()


def worker_pid(client: ThreadedClient, role: str) -> int:
    def pids() -> list[int]:
        return [w.pid for w in (client.beat.workers if client.beat else []) if w.role == role and w.pid]

    assert wait_until(lambda: bool(pids()), 10)
    return pids()[0]


def state(client: ThreadedClient, role: str) -> str:
    return next((w.state for w in (client.beat.workers if client.beat else []) if w.role == role), "")


def test_calls_to_a_frozen_front_end_by_name_after_half_a_minute(tmp_path: Path) -> None:
    """A frame, a job and a stream that were asked for without any time limit, by each way to freeze the front."""
    told: dict[str, list[tuple[str, float]]] = {}

    def ask(how: str) -> None:
        folder = tmp_path / how
        folder.mkdir(mode=0o700)
        backend = start_backend(fragile_command(), directory=folder)
        try:
            with ThreadedClient(backend.endpoint) as client:
                avatar = client.avatar_put(b"GSa").wait(10).avatar_id
                stream = client.stream_open().wait(10)
                freeze(backend, how)
                began, found = time.monotonic(), told.setdefault(how, [])
                waiting = [client.render(make_camera(), [head(avatar)]), client.reconstruct(b"long")]
                for request in waiting:
                    try:
                        request.wait()
                    except BackendTimeoutError as error:
                        found.append((str(error), time.monotonic() - began))
                try:
                    client.stream_latest(stream, timeout=60)
                except BackendTimeoutError as error:
                    found.append((str(error), time.monotonic() - began))
                closing = time.monotonic()
            found.append(("closed", time.monotonic() - closing))
            try:
                Client(backend.endpoint, timeout=2)
            except BackendTimeoutError as error:
                found.append((str(error), time.monotonic() - closing))
        finally:
            end(backend)

    threads = [threading.Thread(target=ask, args=(how,)) for how in FREEZES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    for how in FREEZES:
        *calls, closed, hello = told[how]
        assert len(calls) == 3, (how, calls)
        for text, seconds in calls:
            assert "GSH-E602: The backend has been silent for 30 seconds. Restart the backend." in text, how
            assert seconds < SILENCE_LIMIT + 4, how
        assert closed[1] < 2, f"{how}: the client lets go at once"
        assert "GSH-E602" in hello[0], how
        assert hello[1] < 4, how


def test_a_front_that_wakes_up_in_time_has_lost_nothing(start: Callable[..., Backend]) -> None:
    backend = start()
    with ThreadedClient(backend.endpoint) as client:
        avatar = client.avatar_put(b"GSa").wait(10).avatar_id
        job = client.reconstruct(b"medium")
        assert wait_until(lambda: job.progress[0] > 0)
        freeze(backend, "stopped")
        frame = client.render(make_camera(), [head(avatar, value=5)])
        with pytest.raises(BackendTimeoutError, match="within 1 seconds"):
            client.status().wait(1)
        assert not frame.done()
        assert backend.process is not None
        os.kill(backend.process.pid, signal.SIGCONT)
        assert (frame.wait(2).rgba == 5).all()
        assert job.wait(20).splats


@pytest.mark.parametrize("how", FREEZES)
def test_a_frozen_backend_is_replaced_by_the_next_who_needs_one(runtime: Path, how: str) -> None:
    """It leaves two ``hello`` unanswered, keeps the lock and would stand in everybody's way for ever."""
    backend = start_backend(fragile_command(), directory=runtime)
    with Client(backend.endpoint) as client:
        worker = worker_pid(client.threaded, "render")
        freeze(backend, how)
        began = time.monotonic()
        fresh, successor = reach(serve_command(), directory=runtime, timeout=2)
        took = time.monotonic() - began
        with fresh:
            assert fresh.hello().boot_id != backend.endpoint.boot_id
            assert fresh.render(make_camera(), []).rgba.size
        assert took < 12
    assert wait_until(lambda: not psutil.pid_exists(worker), 3), "its worker has gone with it"
    successor.wait(10)
    end(backend)


def test_a_backend_that_answers_late_is_not_replaced(start: Callable[..., Backend], runtime: Path) -> None:
    backend = start()
    freeze(backend, "stopped")
    assert backend.process is not None
    threading.Timer(3.0, os.kill, (backend.process.pid, signal.SIGCONT)).start()
    client, found = reach(serve_command(), directory=runtime, timeout=2)
    with client:
        assert client.hello().boot_id == backend.endpoint.boot_id == found.endpoint.boot_id


@pytest.mark.parametrize("how", ["stopped", "computes"])  # asleep: tests/server/test_death.py
def test_a_frozen_render_worker_is_called_hung_and_replaced(start: Callable[..., Backend], how: str) -> None:
    backend = start(render_hang_limit=HANG_LIMIT)
    with ThreadedClient(backend.endpoint) as client, ThreadedClient(backend.endpoint) as other:
        avatar = client.avatar_put(b"GSa").wait(10).avatar_id
        theirs = other.avatar_put(b"GSb").wait(10).avatar_id
        pid = worker_pid(client, "render")
        if how == "stopped":
            assert wait_until(lambda: state(client, "render") == "ready", 10)
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        doomed = client.render(make_camera(), [head(avatar, 8 if how == "computes" else 0)])
        time.sleep(0.2)
        queued = other.render(make_camera(), [head(theirs, value=9)])
        assert wait_until(lambda: state(client, "render") == "hung", 8)
        with pytest.raises(BackendDiedError, match="signal 9"):
            doomed.wait(10)
        assert time.monotonic() - began < HANG_LIMIT + 3
        assert (queued.wait(15).rgba == 9).all(), "what others asked for is drawn by the next worker"
        assert client.render(make_camera(), [head(avatar, value=3)]).wait(10).rgba.any()
        assert worker_pid(client, "render") != pid
    assert wait_until(lambda: not psutil.pid_exists(pid), 3)


def test_a_worker_that_stops_while_it_warms_is_replaced_too(runtime: Path) -> None:
    python, flag, code = serve_command()
    sooner = "import gshead_backend.server.workers as w; w.WARMING_LIMIT = 4.0; serve("
    backend = start_backend([python, flag, code.replace("serve(", sooner, 1)], directory=runtime,
                            env={"GSHEAD_FAKE_WARMING": "1.5"})  # fmt: skip
    with ThreadedClient(backend.endpoint) as client:
        pid = worker_pid(client, "render")
        assert wait_until(lambda: state(client, "render") == "warming", 5)
        os.kill(pid, signal.SIGSTOP)
        frame = client.render(make_camera(), [])
        assert frame.wait(20).rgba.size
        assert worker_pid(client, "render") != pid
    backend.wait(10)


@pytest.mark.parametrize("how", ["stopped", "computes", "sleeps"])
def test_a_frozen_jobs_worker_is_called_hung_and_replaced(start: Callable[..., Backend], how: str) -> None:
    backend = start(job_hang_limit=HANG_LIMIT)
    with ThreadedClient(backend.endpoint) as client:
        avatar = client.avatar_put(b"GSa").wait(10).avatar_id
        job = client.reconstruct({"stopped": b"long", "computes": b"computes", "sleeps": b"stubborn"}[how])
        pid = worker_pid(client, "jobs")
        assert wait_until(lambda: bool(job.progress[1]), 10)
        if how == "stopped":
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        assert wait_until(lambda: state(client, "jobs") == "hung", 8)
        assert client.render(make_camera(), [head(avatar)]).wait(5).rgba.any(), "frames go on"
        with pytest.raises(BackendDiedError):
            job.wait(10)
        assert time.monotonic() - began < HANG_LIMIT + 3
        assert client.reconstruct(b"photo").wait(20).splats
    assert wait_until(lambda: not psutil.pid_exists(pid), 3)


@pytest.mark.parametrize("how", ["stopped", "computes"])
def test_a_frozen_worker_does_not_outlive_a_killed_front(runtime: Path, how: str) -> None:
    before = children()
    backend = start_backend(serve_command(), directory=runtime)
    with ThreadedClient(backend.endpoint) as client:
        avatar = client.avatar_put(b"GSa").wait(10).avatar_id
        pid = worker_pid(client, "render")
        client.render(make_camera(), [head(avatar, 8 if how == "computes" else 4)])
        time.sleep(0.3)
        if how == "stopped":
            os.kill(pid, signal.SIGSTOP)
        end(backend)
    assert wait_until(lambda: not psutil.pid_exists(pid), 3), "no orphan"
    assert wait_until(lambda: children() <= before, 3)
    start_backend(serve_command(), directory=runtime).wait(10)  # clears up what the killed one left
