"""What happens when a process is killed: whoever waits learns it within a second, and the next try works."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from server_harness import children, head, make_camera, serve_command, wait_until

from gshead_backend.errors import BackendDiedError, BackendError, BackendTimeoutError
from gshead_backend.protocol import Client, ThreadedClient
from gshead_backend.protocol.launcher import connect_or_start, start_backend


def _kill_later(pid: int, seconds: float) -> list[float]:
    when: list[float] = []

    def kill() -> None:
        when.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)

    threading.Timer(seconds, kill).start()
    return when


def _pid(client: ThreadedClient, role: str) -> int:
    assert wait_until(lambda: any(w.role == role and w.pid for w in (client.beat.workers if client.beat else [])))
    assert client.beat is not None
    return next(w.pid for w in client.beat.workers if w.role == role)


def _work(client: Client, work: str, avatar_id: str) -> None:
    if work == "reconstruct":
        client.reconstruct(b"long")
    while True:
        client.render(make_camera(), [head(avatar_id, 1)])


@pytest.mark.alone
@pytest.mark.parametrize("work", ["reconstruct", "render"])
def test_sigkill_of_the_backend_is_reported_within_a_second(start, runtime, work):
    others = children()  # other tests' helpers, such as multiprocessing's resource tracker
    backend = start()
    before = children() - others
    with Client(backend.endpoint) as client:
        avatar_id = client.avatar_put(b"GSa")
        killed = _kill_later(backend.process.pid, 0.7)
        with pytest.raises(BackendDiedError):
            _work(client, work, avatar_id)
        assert time.monotonic() - killed[0] < 1.0
        assert not client.alive
        with pytest.raises(BackendDiedError):
            client.render(make_camera(), [head(avatar_id)])
    backend.process.wait(5)
    assert wait_until(lambda: not (children() & before), 3.0), "workers outlived the front"
    again = connect_or_start(serve_command(), directory=runtime)
    with Client(again.endpoint) as client:
        assert client.hello().boot_id != backend.endpoint.boot_id
        assert client.reconstruct(b"photo").splats
    again.wait(10)


@pytest.mark.alone
def test_sigkill_of_the_render_worker_fails_its_frame_only(backend):
    with ThreadedClient(backend.endpoint) as client:
        avatar_id = client.avatar_put(b"GSa").wait(10).avatar_id
        pid = _pid(client, "render")
        doomed = client.render(make_camera(), [head(avatar_id, 4)])
        queued = client.render(make_camera(), [head(avatar_id, value=9)])
        time.sleep(0.3)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BackendDiedError, match="signal 9"):
            doomed.wait(10)
        assert time.monotonic() - began < 1.0
        assert (queued.wait(20).rgba == 9).all(), "the avatar was uploaded again by the front"
        assert client.alive
        assert _pid(client, "render") != pid


def test_sigkill_of_the_jobs_worker_fails_its_job_and_frames_go_on(backend):
    with ThreadedClient(backend.endpoint) as client:
        avatar_id = client.avatar_put(b"GSa").wait(10).avatar_id
        with pytest.raises(BackendDiedError):
            client.reconstruct(b"die").wait(10)
        client.render(make_camera(), [head(avatar_id)]).wait(5)
        assert client.reconstruct(b"photo").wait(20).splats


def test_an_avatar_that_kills_the_worker_does_not_kill_it_again(backend):
    with ThreadedClient(backend.endpoint) as client:
        good = client.avatar_put(b"GSgood").wait(10).avatar_id
        with pytest.raises(BackendDiedError):
            client.avatar_put(b"GSKILL").wait(10)
        assert client.render(make_camera(), [head(good, value=3)]).wait(20).rgba.any()


def wear_out(client: ThreadedClient, times: int, told: str) -> str:
    """Have an avatar kill the render worker until it stays down, as a frame is ``told``; returns the avatar's id."""
    avatar_id = client.avatar_put(b"GSa").wait(10).avatar_id
    for _ in range(times):
        with pytest.raises(BackendDiedError):
            client.render(make_camera(), [head(avatar_id, 2)]).wait(20)
    with pytest.raises(BackendError, match=told):
        client.render(make_camera(), [head(avatar_id)]).wait(20)
    return avatar_id


def test_a_worker_that_always_dies_stays_down_and_says_so(backend):
    with ThreadedClient(backend.endpoint) as client:
        avatar_id = wear_out(client, 6, "down")
        client.restart_worker("render").wait(5)
        assert client.render(make_camera(), [head(avatar_id, value=8)]).wait(20).rgba.any()


def test_a_worker_that_stays_down_is_tried_again_by_itself(runtime):
    """Nobody is there at night to restart it."""
    python, flag, code = serve_command()
    sooner = "import gshead_backend.server.workers as w; w.RESTARTS, w.RESTART_WINDOW = 1, 8.0; serve("
    backend = start_backend([python, flag, code.replace("serve(", sooner, 1)], directory=runtime)
    with ThreadedClient(backend.endpoint) as client:
        avatar_id = wear_out(client, 2, "tried again in a minute")
        time.sleep(8.2)
        assert client.render(make_camera(), [head(avatar_id, value=8)]).wait(20).rgba.any()
    backend.wait(10)


def test_a_device_that_does_not_exist_is_named(start):
    backend = start(device="broken")
    with Client(backend.endpoint) as client, pytest.raises(BackendError, match="no such device"):
        client.avatar_put(b"GSa")


def test_a_hanging_worker_is_reported_and_restarted_at_its_limit(start):
    backend = start(render_hang_limit=6.5)
    with ThreadedClient(backend.endpoint) as client:
        avatar_id = client.avatar_put(b"GSa").wait(10).avatar_id
        request = client.render(make_camera(), [head(avatar_id, 4)])

        def state() -> str:
            return next(w.state for w in client.beat.workers if w.role == "render") if client.beat else ""

        assert wait_until(lambda: state() == "busy", 3)
        assert wait_until(lambda: state() == "hung", 7)
        with pytest.raises(BackendDiedError):
            request.wait(5)
        assert client.render(make_camera(), [head(avatar_id)]).wait(20).rgba.any()


@pytest.mark.alone
def test_a_job_that_ignores_cancel_is_killed(start):
    backend = start()
    with ThreadedClient(backend.endpoint) as client:
        job = client.reconstruct(b"stubborn")
        first = _pid(client, "jobs")
        assert wait_until(lambda: job.progress[1] == "Starting", 10)
        time.sleep(0.2)
        job.cancel()
        assert job.done() or wait_until(job.done, 1.0), "the client does not wait for the worker"
        assert client.reconstruct(b"photo").wait(25).splats
        assert _pid(client, "jobs") != first


@pytest.mark.alone
def test_while_the_worker_warms_up_only_frames_wait(start):
    backend = start(env={"GSHEAD_FAKE_WARMING": "3"})
    began = time.monotonic()
    with ThreadedClient(backend.endpoint) as client:
        assert time.monotonic() - began < 1.0
        avatar_id = client.avatar_put(b"GSa").wait(2.5).avatar_id
        assert client.beat is None or client.beat.workers[0].state in ("starting", "warming")
        assert client.render(make_camera(), [head(avatar_id, value=2)]).wait(20).rgba.any()
        assert time.monotonic() - began > 2.5


def test_a_timeout_is_an_error_and_the_client_goes_on(client):
    avatar_id = client.avatar_put(b"GSa")
    with pytest.raises(BackendTimeoutError, match=r"0\.1 seconds"):
        client.render(make_camera(), [head(avatar_id, 1)], timeout=0.1)
    assert client.render(make_camera(), [head(avatar_id, value=4)]).rgba[0, 0, 0] == 4


def test_a_closed_client_answers_waiting_threads(backend):
    client = ThreadedClient(backend.endpoint)
    job = client.reconstruct(b"long")
    client.close()
    client.close()
    with pytest.raises(BackendError):
        job.wait(2)
    with pytest.raises(BackendError, match="closed"):
        client.avatar_put(b"GSa")


def test_sigterm_ends_a_backend_cleanly(start):
    backend = start(persistent=True)
    with Client(backend.endpoint) as client:
        client.avatar_put(b"GSa")
        backend.process.send_signal(signal.SIGTERM)
        assert backend.process.wait(5) == 0
        assert wait_until(lambda: not client.alive, 1.0)


def test_a_second_backend_of_the_same_name_joins_the_first(start, runtime):
    first = start()
    second = start_backend(serve_command(), directory=runtime)
    assert second.endpoint.boot_id == first.endpoint.boot_id
    assert not second.started_here
    other = start(name="other")
    assert other.endpoint.boot_id != first.endpoint.boot_id


def test_many_starters_at_once_get_one_backend(runtime):
    found: list = []

    def go() -> None:
        found.append(connect_or_start(serve_command(), directory=runtime))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert len({b.endpoint.boot_id for b in found}) == 1
    for backend in found:
        if backend.started_here:
            backend.wait(10)


def test_a_command_that_fails_shows_its_last_words(runtime):
    with pytest.raises(BackendError, match="gone wrong"):
        start_backend(["sh", "-c", "echo something has gone wrong >&2; exit 7"], directory=runtime)
    with pytest.raises(BackendError, match="cannot be run"):
        start_backend(["/no/such/program"], directory=runtime)
    with pytest.raises(BackendTimeoutError):
        start_backend(["sh", "-c", "sleep 30"], directory=runtime, timeout=0.3)
