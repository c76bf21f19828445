"""A GPU that fails in the middle of a frame, as CUDA says it; injected, so that no GPU is needed."""

from __future__ import annotations

import time

import psutil
import pytest
from server_harness import head, make_camera, wait_until

from gshead_backend.errors import BackendDiedError, OutOfMemoryError, RenderError
from gshead_backend.protocol import ThreadedClient
from gshead_backend.protocol.launcher import Backend
from gshead_backend.server.devices import as_gshead_error

FAILURES = {"an illegal access": 9, "a device that is gone": 10}


def render_pid(client: ThreadedClient) -> int:
    assert wait_until(
        lambda: client.beat is not None and any(w.role == "render" and w.pid for w in client.beat.workers)
    )
    assert client.beat is not None
    return next(w.pid for w in client.beat.workers if w.role == "render")


@pytest.mark.parametrize("what", FAILURES)
def test_a_cuda_error_costs_its_frame_and_the_worker_restarts_itself(backend: Backend, what: str) -> None:
    with ThreadedClient(backend.endpoint) as client, ThreadedClient(backend.endpoint) as other:
        mine = client.avatar_put(b"GSmine").wait(10).avatar_id
        theirs = other.avatar_put(b"GStheirs").wait(10).avatar_id
        stream = other.stream_open().wait(10)
        pid = render_pid(client)
        client.render(make_camera(), [head(mine, 1)])  # holds the device while the others queue
        doomed = client.render(make_camera(), [head(mine, FAILURES[what])])
        queued = [other.render(make_camera(), [head(theirs, value=7)]) for _ in range(5)]
        began = time.monotonic()
        with pytest.raises(RenderError, match="The CUDA device failed") as caught:
            doomed.wait(10)
        assert caught.value.code == "GSH-E400"
        assert "its worker is restarted" in caught.value.message
        assert "Traceback" not in str(caught.value)
        assert time.monotonic() - began < 2
        assert all((frame.wait(20).rgba == 7).all() for frame in queued), "other avatars go on"
        token = other.stream_update(stream, make_camera(), [head(theirs, value=8)])
        frame = other.stream_latest(stream, newer_than=token - 1, timeout=10)
        assert frame is not None
        assert (frame.rgba == 8).all()
        assert (client.render(make_camera(), [head(mine, value=6)]).wait(10).rgba == 6).all(), (
            "avatars were given again"
        )
        assert time.monotonic() - began < 12
        assert wait_until(lambda: not psutil.pid_exists(pid), 5), "a process whose device is lost can only end"
        assert wait_until(lambda: render_pid(client) != pid, 3)


def test_a_cuda_error_in_a_stream_is_told_and_the_stream_goes_on(backend: Backend) -> None:
    with ThreadedClient(backend.endpoint) as client:
        avatar = client.avatar_put(b"GSa").wait(10).avatar_id
        stream = client.stream_open().wait(10)
        client.stream_update(stream, make_camera(), [head(avatar, 9)])
        with pytest.raises(RenderError, match="CUDA device failed"):
            client.stream_latest(stream, timeout=10)
        token = client.stream_update(stream, make_camera(), [head(avatar, value=5)])
        assert client.stream_latest(stream, newer_than=token - 1, timeout=20) is not None


def test_a_device_that_fails_again_and_again_is_given_up_with_the_reason(backend: Backend) -> None:
    with ThreadedClient(backend.endpoint) as client:
        avatar = client.avatar_put(b"GSa").wait(10).avatar_id
        for _ in range(6):
            with pytest.raises((RenderError, BackendDiedError)):
                client.render(make_camera(), [head(avatar, 10)]).wait(20)
        with pytest.raises(Exception, match="GSH-E600: The render worker is down") as caught:
            client.render(make_camera(), [head(avatar)]).wait(20)
        assert "tried again in a minute" in str(caught.value)
        assert client.status().wait(5).sessions, "the backend itself answers on"


@pytest.mark.parametrize(
    ("said", "code", "lost"),
    [
        ("CUDA error: device-side assert triggered", "GSH-E400", True),
        ("CUDA error: unspecified launch failure", "GSH-E400", True),
        ("Triton Error [CUDA]: an illegal memory access was encountered", "GSH-E400", True),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`", "GSH-E400", True),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", "GSH-E400", True),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "GSH-E401", False),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "GSH-E401", False),
        ("Triton Error [CUDA]: out of memory", "GSH-E401", False),
        ("shape mismatch", "GSH-E400", False),
    ],
)
def test_what_devices_say_is_told_apart(said: str, code: str, lost: bool) -> None:
    error, ends = as_gshead_error(RuntimeError(said))
    assert (error.code, ends) == (code, lost)
    assert isinstance(error, OutOfMemoryError) == (code == "GSH-E401")
