"""The everyday life of a backend: hello, avatars, frames, streams, reconstructions, leases."""

from __future__ import annotations

import hashlib
import os
import threading
import time

import numpy as np
import pytest
from server_harness import head, make_camera, run_python, wait_until

from gshead_backend.errors import (
    ArgumentError,
    Cancelled,
    FileFormatError,
    GsheadError,
    HeadError,
    LimitError,
    NoFaceError,
    OutOfMemoryError,
    ProtocolError,
    RenderError,
    UnknownIdError,
    UnsupportedError,
)
from gshead_backend.protocol import Client, Instance, ThreadedClient
from gshead_backend.protocol.launcher import live_endpoint
from gshead_backend.protocol.messages import LimitsInfo


def test_hello_says_who_and_what(client, backend):
    hello = client.hello()
    assert hello.v[0] == 1
    assert hello.boot_id == backend.endpoint.boot_id
    assert hello.pid == backend.process.pid
    assert "uvfit" in hello.methods
    assert hello.limits.instances > 0
    assert {w.role for w in hello.workers} == {"render", "jobs"}


def test_front_process_never_imports_the_heavy_packages():
    code = (
        "import gshead_backend.server.backend\n"
        "heavy = {'torch', 'numba', 'cv2', 'scipy', 'gsplat'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    assert run_python(code).stdout.strip() == "[]"


def test_avatar_round_trip_and_id_is_the_content_hash(client):
    data = b"GS some avatar"
    avatar_id = client.avatar_put(data)
    assert avatar_id == hashlib.sha256(data).hexdigest()
    assert client.avatar_get(avatar_id) == data
    client.avatar_drop(avatar_id)
    with pytest.raises(UnknownIdError):
        client.avatar_get(avatar_id)
    with pytest.raises(UnknownIdError):
        client.render(make_camera(), [head(avatar_id)])


def test_a_broken_avatar_is_refused_and_the_backend_lives(client):
    with pytest.raises(FileFormatError, match="not an avatar"):
        client.avatar_put(b"something else")
    with pytest.raises(ProtocolError, match="0 bytes"):
        client.avatar_put(b"")
    assert client.avatar_put(b"GSok")


def test_avatars_of_another_client_cannot_be_used(client, backend):
    avatar_id = client.avatar_put(b"GS private")
    with Client(backend.endpoint) as other:
        with pytest.raises(UnknownIdError):
            other.avatar_get(avatar_id)
        with pytest.raises(UnknownIdError):
            other.render(make_camera(), [head(avatar_id)])
        with pytest.raises(UnknownIdError):
            other.avatar_drop(avatar_id)
        assert other.avatar_put(b"GS private") == avatar_id
        other.avatar_drop(avatar_id)
    assert client.avatar_get(avatar_id) == b"GS private"


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("size", [(16, 12), (640, 400)])
def test_frame_has_the_promised_shape_by_socket_and_by_ring(client, dtype, size):
    avatar_id = client.avatar_put(b"GSa")
    frame = client.render(make_camera(*size), [head(avatar_id, value=7)], dtype=dtype)
    assert frame.rgba.shape == (size[1], size[0], 4)
    assert frame.rgba.dtype == np.dtype(dtype)
    assert (frame.rgba == 7).all()
    assert frame.depth.dtype == np.float32
    assert (frame.depth == 2.5).all()
    assert (frame.origin, frame.alpha) == ("top-left", "premultiplied")
    assert frame.colorspace == ("srgb" if dtype == "uint8" else "linear-rec709")
    assert frame.rgba.flags.writeable


def test_frame_without_depth_and_without_heads(client):
    frame = client.render(make_camera(), [], depth=False)
    assert frame.depth is None
    assert not frame.rgba.any()


def test_vertices_travel_as_payload(client):
    avatar_id = client.avatar_put(b"GSa")
    heads = [
        Instance(avatar_id, np.eye(4), vertices=np.full((10, 3), 3.0)),
        head(avatar_id, value=9),
        Instance(avatar_id, np.eye(4), pose=np.zeros(22), vertices=np.full((10, 3), 42.0)),
    ]
    assert (client.render(make_camera(), heads).rgba == 42).all()


def test_ordered_frames_are_all_answered_in_order(backend):
    with ThreadedClient(backend.endpoint) as client:
        avatar_id = client.avatar_put(b"GSa").wait(10).avatar_id
        done: list[int] = []
        requests = [client.render(make_camera(300, 200), [head(avatar_id, value=i)]) for i in range(1, 41)]
        for request in requests:
            request.on_done(lambda r: done.append(r.id))
        frames = [request.wait(20) for request in requests]
        assert [int(f.rgba[0, 0, 0]) for f in frames] == list(range(1, 41))
        assert all((f.rgba == i).all() for i, f in enumerate(frames, 1))
        assert done == [r.id for r in requests]


def test_two_clients_never_get_each_others_frames(backend):
    wrong: list[str] = []

    def work(value: int) -> None:
        with Client(backend.endpoint, name=f"client {value}") as client:
            avatar_id = client.avatar_put(b"GSshared")
            for i in range(30):
                frame = client.render(make_camera(200 + value, 150), [head(avatar_id, value=value + i)])
                if frame.rgba.shape[1] != 200 + value or not (frame.rgba == value + i).all():
                    wrong.append(f"client {value} frame {i}")

    threads = [threading.Thread(target=work, args=(value,)) for value in (10, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


def test_every_call_may_come_from_a_new_thread(client):
    avatar_id = client.avatar_put(b"GSa")
    seen: list[int] = []
    for i in range(1, 21):
        thread = threading.Thread(
            target=lambda i=i: seen.append(int(client.render(make_camera(), [head(avatar_id, value=i)]).rgba[0, 0, 0]))
        )
        thread.start()
        thread.join(10)
    assert seen == list(range(1, 21))


def test_reconstruct_reports_progress_and_is_idempotent(client):
    steps: list[tuple[float, str]] = []
    first = client.reconstruct(b"photo", quality="draft", name="anna", on_progress=lambda f, t: steps.append((f, t)))
    assert first.warnings == ("a warning",)
    assert not first.reused
    assert steps[0][0] == 0.0
    assert [f for f, _ in steps] == sorted(f for f, _ in steps)
    assert hashlib.sha256(client.avatar_get(first.avatar_id)).hexdigest() == first.avatar_id
    again = client.reconstruct(b"photo", quality="draft", name="anna")
    assert again.reused
    assert again.avatar_id == first.avatar_id
    assert client.reconstruct(b"photo", quality="high", name="anna").avatar_id != first.avatar_id
    assert client.render(make_camera(), [head(first.avatar_id)]).rgba.any()


def test_an_unfinished_head_is_shown_to_those_who_asked_once(backend):
    with ThreadedClient(backend.endpoint) as one, ThreadedClient(backend.endpoint) as two:
        first = one.reconstruct(b"medium, shows", preview=True)
        blind = two.reconstruct(b"medium, shows")
        assert wait_until(lambda: bool(first.preview))
        assert first.preview == b"GSpreview"
        assert not first.done(), "it comes before the answer"
        late = two.reconstruct(b"medium, shows", preview=True)
        seen: list[bytes] = []
        late.wait(30, on_preview=seen.append)
        assert seen == [b"GSpreview"], "who joins later sees it as well"
        assert first.wait(30).splats == blind.wait(30).splats
        assert blind.preview == b""
        again = one.reconstruct(b"medium, shows", preview=True)
        assert again.wait(10).reused
        assert again.preview == b"", "a known result needs none"


def test_equal_reconstructions_of_two_clients_run_once_and_one_may_leave(backend):
    with ThreadedClient(backend.endpoint) as one, ThreadedClient(backend.endpoint) as two:
        first = one.reconstruct(b"medium, once")
        assert wait_until(lambda: first.progress[0] > 0)
        second = two.reconstruct(b"medium, once")
        first.cancel()
        with pytest.raises(Cancelled):
            first.wait(5)
        assert two.avatar_get(second.wait(30).avatar_id).wait(5).startswith(b"GSmedium")
        with pytest.raises(UnknownIdError):
            one.avatar_get(second.wait().avatar_id).wait(5)


def test_reconstruct_answers_with_the_methods_error(client):
    with pytest.raises(NoFaceError):
        client.reconstruct(b"noface")
    with pytest.raises(ProtocolError, match="no method"):
        client.reconstruct(b"photo", method="nerf")
    assert client.reconstruct(b"photo").splats > 0


@pytest.mark.alone
def test_a_head_model_is_one_that_the_backend_has(start, tmp_path):
    (tmp_path / "heads").mkdir()
    (tmp_path / "heads" / "other.safetensors").write_bytes(b"the engine would read it")
    backend = start(env={**os.environ, "GSHEAD_DATA_DIR": str(tmp_path)})
    with Client(backend.endpoint) as client:
        assert client.hello().heads == ["gshead-default", "other"]
        own = client.reconstruct(b"photo")
        other = client.reconstruct(b"photo", head="other")
        assert client.avatar_get(own.avatar_id).endswith(b"head")
        assert client.avatar_get(other.avatar_id).endswith(b"headother")
        with pytest.raises(HeadError, match="no head model 'nobody'; installed are: gshead-default, other"):
            client.reconstruct(b"photo", head="nobody")
        with pytest.raises(ProtocolError, match="head"):  # never a path on the backend's machine
            client.reconstruct(b"photo", head="../heads/other")
        client.hello().features.remove("heads")  # an older backend would make it on its own head and say nothing
        with pytest.raises(UnsupportedError, match="too old"):
            client.reconstruct(b"photo", head="other")
        assert client.reconstruct(b"photo").avatar_id == own.avatar_id


def test_cancel_stops_a_reconstruction_and_the_next_one_runs(client):
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        client.reconstruct(b"long", cancel=cancel)
    assert time.monotonic() - began < 2.0
    began = time.monotonic()
    client.reconstruct(b"photo")
    assert time.monotonic() - began < 3.0


@pytest.mark.alone
def test_a_long_job_delays_neither_hello_nor_frames_nor_another_client(backend):
    with ThreadedClient(backend.endpoint) as busy:
        job = busy.reconstruct(b"long job")
        assert wait_until(lambda: job.progress[0] > 0)
        began = time.monotonic()
        with Client(backend.endpoint) as other:
            hello = time.monotonic() - began
            avatar_id = other.avatar_put(b"GSa")
            for _ in range(20):
                other.render(make_camera(), [head(avatar_id)])
        assert hello < 1.0
        assert time.monotonic() - began < 3.0
        assert not job.done()
        job.cancel()


def test_out_of_memory_is_an_answer_and_the_worker_lives(client):
    avatar_id = client.avatar_put(b"GSa")
    pid = _render_pid(client)
    with pytest.raises(OutOfMemoryError):
        client.render(make_camera(), [head(avatar_id, 3)])
    assert client.render(make_camera(), [head(avatar_id)]).rgba.any()
    assert _render_pid(client) == pid


def test_an_unexpected_failure_shows_no_traceback(client):
    avatar_id = client.avatar_put(b"GSa")
    with pytest.raises(RenderError) as caught:
        client.render(make_camera(), [head(avatar_id, 5)])
    assert "Traceback" not in str(caught.value)
    assert "ZeroDivisionError" in str(caught.value)


def _render_pid(client: Client) -> int:
    assert wait_until(lambda: client.threaded.beat is not None)
    beat = client.threaded.beat
    assert beat is not None
    return next(w.pid for w in beat.workers if w.role == "render")


def test_limits_and_bad_numbers_are_refused_before_any_work(start):
    backend = start()
    with Client(backend.endpoint) as client:
        avatar_id = client.avatar_put(b"GSa")
        with pytest.raises(LimitError):
            client.render(make_camera(16384, 16384), [head(avatar_id)])
        with pytest.raises(LimitError):
            client.render(make_camera(), [head(avatar_id)] * 17)
        with pytest.raises(ArgumentError, match="NaN"):
            client.render(make_camera(), [Instance(avatar_id, np.eye(4), np.full(22, np.nan))])
        with pytest.raises(ArgumentError, match="neither"):
            client.render(make_camera(), [Instance(avatar_id, np.eye(4))])
        with pytest.raises(ProtocolError, match="determinant"):
            client.render(make_camera(), [Instance(avatar_id, np.diag([0.0, 0, 0, 1]), np.zeros(22))])
        with pytest.raises(GsheadError, match="at least 18"):
            client.render(make_camera(), [Instance(avatar_id, np.eye(4), np.zeros(5))])
        assert client.render(make_camera(), [head(avatar_id)]).rgba.any()


def test_what_clients_hold_is_bounded_and_dropping_makes_room(start):
    backend = start(limits=LimitsInfo(avatar_bytes=1000, avatars_bytes=2000, sessions=2, jobs=1))
    with Client(backend.endpoint) as client:
        with pytest.raises(LimitError):
            client.avatar_put(b"GS" + bytes(1000))
        first = client.avatar_put(b"GS1" + bytes(900))
        client.avatar_put(b"GS2" + bytes(900))
        with pytest.raises(LimitError, match="already hold"):
            client.avatar_put(b"GS3" + bytes(900))
        client.avatar_drop(first)
        client.avatar_put(b"GS3" + bytes(900))
        job = client.threaded.reconstruct(b"long")
        with pytest.raises(LimitError, match="already waits"):
            client.reconstruct(b"photo")
        job.cancel()
        with Client(backend.endpoint), pytest.raises(LimitError, match="already serves 2"):
            Client(backend.endpoint)


def test_leases_decide_how_long_a_backend_lives(start, runtime):
    backend = start(grace=0.2)
    one, two = Client(backend.endpoint), Client(backend.endpoint)
    one.close()
    time.sleep(0.8)
    assert backend.process.poll() is None
    assert two.render(make_camera(), []).rgba.shape == (48, 64, 4)
    two.close()
    assert backend.process.wait(5) == 0
    assert live_endpoint(directory=runtime) is None


def test_a_backend_outlives_its_starter_while_others_hold_leases(start):
    backend = start(grace=100.0)
    with Client(backend.endpoint) as client:
        backend.release()
        time.sleep(0.6)
        assert client.render(make_camera(), []).rgba.size
        assert backend.process.poll() is None
    assert backend.process.wait(5) == 0


def test_a_client_that_vanishes_frees_what_it_held(backend, runtime):
    code = (
        "import numpy as np, os\n"
        "from gshead_backend.protocol import Client, Endpoint, camera_spec\n"
        f"c = Client(Endpoint.read({str(runtime / 'default.json')!r}))\n"
        "c.avatar_put(b'GSx')\n"
        "c.render(camera_spec(512, 512, np.diag([9.0, 9, 1]), np.eye(4)), [])\n"
        "c.threaded.reconstruct(b'long vanished')\n"
        "os._exit(1)"
    )
    run_python(code)
    with ThreadedClient(backend.endpoint) as client:
        assert wait_until(lambda: client.beat is not None and client.beat.sessions == 1, 5)
        assert wait_until(lambda: client.beat is not None and client.beat.jobs == 0, 5)
    assert not list(runtime.glob("default.ring.*"))


def test_ring_and_socket_files_are_private(client, runtime):
    client.avatar_put(b"GSa")
    client.render(make_camera(400, 300), [])
    rings = list(runtime.glob("default.ring.*"))
    assert rings
    for path in [*rings, runtime / "default.json", runtime / "default.log"]:
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(runtime).st_mode & 0o777 == 0o700


def test_shutdown_is_refused_while_others_work_unless_forced(backend):
    with Client(backend.endpoint) as one, Client(backend.endpoint) as two:
        with pytest.raises(LimitError, match="1 other client uses"):
            one.shutdown()
        assert two.alive
        one.shutdown(force=True)
        assert backend.process.wait(5) == 0
        assert wait_until(lambda: not two.alive, 1.0)
