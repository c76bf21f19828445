"""Who may talk to a backend, over real sockets: keys, allow-lists, versions, hostile messages."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest
import zmq
from server_harness import head, make_camera, serve_command

from gshead_backend.errors import AuthenticationError, BackendError, BackendTimeoutError, GsheadError
from gshead_backend.protocol import Client, Endpoint
from gshead_backend.protocol.curve import new_keypair
from gshead_backend.protocol.fields import PROTOCOL_VERSION
from gshead_backend.protocol.launcher import start_backend

TCP = "tcp://127.0.0.1:0"


class Raw:
    """A bare DEALER on an ipc endpoint, to say what no proper client would."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvtimeo = 3000
        self.socket.connect(endpoint.address)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.destroy(linger=0)

    def say(self, header: object, *parts: bytes) -> dict:
        data = header if isinstance(header, bytes) else json.dumps(header).encode()
        self.socket.send_multipart([data, *parts])
        while True:
            answer = msgspec.json.decode(self.socket.recv_multipart()[0])
            if answer["type"] != "beat":
                return answer

    def hello(self) -> str:
        return self.say({"type": "hello", "v": [1, 0], "id": 1})["session"]


def test_tcp_with_the_connection_files_keys_works_and_frames_travel(start):
    backend = start(endpoint=TCP)
    assert backend.endpoint.address.startswith("tcp://127.0.0.1:")
    with Client(backend.endpoint) as client:
        avatar_id = client.avatar_put(b"GSa")
        assert (client.render(make_camera(300, 300), [head(avatar_id, value=3)]).rgba == 3).all()
    with Client(backend.endpoint.remote(backend.endpoint.address)) as remote:
        avatar_id = remote.avatar_put(b"GSa")
        assert (remote.render(make_camera(300, 300), [head(avatar_id, value=4)]).rgba == 4).all()


def test_tcp_refuses_an_unknown_client_key_and_a_wrong_server_key(start):
    backend = start(endpoint=TCP)
    public, secret = new_keypair()
    with pytest.raises(AuthenticationError, match="does not allow"):
        Client(replace(backend.endpoint, client_public=public, client_secret=secret))
    with pytest.raises(AuthenticationError, match="key exchange"):
        Client(replace(backend.endpoint, server_key=new_keypair()[0]))
    with pytest.raises(AuthenticationError, match="no CURVE keys"):
        Client(replace(backend.endpoint, server_key="", client_public="", client_secret=""))
    with Client(backend.endpoint) as client:
        assert client.hello().boot_id


def test_tcp_does_not_answer_a_client_without_encryption(start):
    backend = start(endpoint=TCP)
    with Raw(backend.endpoint) as raw:
        raw.socket.rcvtimeo = 800
        with pytest.raises(zmq.Again):
            raw.hello()
    with Client(backend.endpoint) as client:
        assert client.hello()


def test_an_allowed_key_may_enter_but_not_use_anothers_session(start):
    public, secret = new_keypair()
    backend = start(endpoint=TCP, allow=(public,))
    with (
        Client(backend.endpoint) as one,
        Client(replace(backend.endpoint, client_public=public, client_secret=secret)) as two,
    ):
        assert two.avatar_put(b"GSa")
        two.threaded._loop._session = one.hello().session
        with pytest.raises(GsheadError, match="session"):
            two.avatar_put(b"GSb")


def test_keys_can_be_kept_over_restarts(start, runtime):
    keys = runtime / "gpu.keys"
    first = start(endpoint=TCP, keys=keys, grace=0.1)
    first.wait(10)
    second = start(endpoint=TCP, keys=keys)
    assert second.endpoint.server_key == first.endpoint.server_key
    with Client(replace(first.endpoint, address=second.endpoint.address)) as client:
        assert client.hello().boot_id == second.endpoint.boot_id


@pytest.mark.parametrize(
    "endpoint", ["ipc:///tmp/somewhere.sock", "tcp://*", "inproc://x", "ws://127.0.0.1:1", "tcp://:5"]
)
def test_any_other_endpoint_refuses_to_start(runtime, endpoint):
    with pytest.raises(BackendError, match="GSH-E505"):
        start_backend(serve_command(endpoint=endpoint), directory=runtime)


def test_versions(backend):
    with Raw(backend.endpoint) as raw:
        answer = raw.say({"type": "hello", "v": [2, 0], "id": 7})
        assert (answer["code"], answer["parent"]) == ("GSH-E501", 7)
        assert "{}.{}".format(*PROTOCOL_VERSION) in answer["message"]
        assert "2.0" in answer["message"]
        assert answer["remedy"]
        answer = raw.say({"type": "hello", "v": [1, 99], "id": 8, "news": {"from": "the future"}})
        assert answer["type"] == "hello.reply"
        answer = raw.say({"type": "teleport", "v": [1, 0], "id": 9, "session": answer["session"]})
        assert (answer["code"], answer["parent"]) == ("GSH-E503", 9)


BAD_HEADERS = [
    (b"", "GSH-E500"),
    (b"\xff\xfe\x00", "GSH-E500"),
    (b"[" * 100_000, "GSH-E500"),
    (b"{" * 3, "GSH-E500"),
    (b'{"type":"hello","v":[1,0],"id":-5}', "GSH-E500"),
    (b'{"type":"hello","v":[1,0],"id":1e300}', "GSH-E500"),
    (b'{"type":"hello","v":[1,0],"client":7}', "GSH-E500"),
    (b'{"type":"goodbye","v":[1,0],"session":"nope"}', "GSH-E504"),
    (b'{"type":"avatar.get","v":[1,0],"avatar_id":"../../etc/passwd"}', "GSH-E500"),
    (b" " * (1 << 20) + b'{"type":"hello","v":[1,0]}', "GSH-E502"),
]


def test_a_bad_header_is_answered_by_name_and_the_next_message_works(backend):
    with Raw(backend.endpoint) as raw:
        for header, code in BAD_HEADERS:
            assert raw.say(header)["code"] == code, header[:80]
        assert raw.hello()


UNIT = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
CAMERA = {"width": 8, "height": 8, "K": [9, 0, 4, 0, 9, 4, 0, 0, 1], "viewmat": UNIT}


def _render(session: str, instances: object = (), **camera: object) -> dict:
    return {
        "type": "frame.render", "v": [1, 0], "id": 5, "session": session, "camera": {**CAMERA, **camera},
        "instances": list(instances),
    }  # fmt: skip


def _instance(**changes: object) -> list[dict]:
    return [{"avatar_id": "a" * 64, "matrix": UNIT, **changes}]


BAD_FRAMES = [
    ({"width": 0}, "GSH-E500"),
    ({"width": -3}, "GSH-E500"),
    ({"width": 10**20}, "GSH-E500"),
    ({"width": 16384, "height": 16384}, "GSH-E502"),
    ({"K": [0, 0, 4, 0, 9, 4, 0, 0, 1]}, "GSH-E500"),
    ({"K": [1e300, 0, 4, 0, 9, 4, 0, 0, 1]}, "GSH-E500"),
    ({"K": [9] * 8}, "GSH-E500"),
    ({"viewmat": [float("nan")] * 16}, "GSH-E500"),
    ({"near": 5, "far": 1}, "GSH-E500"),
    ({"instances": _instance(matrix=[0] * 16)}, "GSH-E500"),
    ({"instances": _instance()}, "GSH-E500"),
    ({"instances": _instance(vertices=3)}, "GSH-E500"),
    ({"instances": _instance(pose=[1e12] * 22)}, "GSH-E500"),
    ({"instances": _instance(pose=[0] * 22)}, "GSH-E504"),
    ({"instances": _instance(pose=[0] * 22) * 17}, "GSH-E502"),
]


def test_bad_numbers_are_named_errors(backend):
    with Raw(backend.endpoint) as raw:
        session = raw.hello()
        for changes, code in BAD_FRAMES:
            assert raw.say(_render(session, **changes))["code"] == code, changes
        assert raw.say(_render(session))["type"] == "frame"


def test_too_many_parts_and_unexpected_payloads_are_refused(backend):
    with Raw(backend.endpoint) as raw:
        session = raw.hello()
        assert raw.say(_render(session), *[b"x"] * 5000)["code"] == "GSH-E502"
        assert raw.say(_render(session), b"x" * 12)["code"] == "GSH-E500"
        assert raw.say({"type": "avatar.put", "v": [1, 0], "id": 3, "session": session})["code"] == "GSH-E500"
        assert raw.say(_render(session))["type"] == "frame"


def test_an_oversized_part_costs_the_sender_its_connection_and_nobody_else(start):
    from gshead_backend.protocol.messages import LimitsInfo

    backend = start(limits=LimitsInfo(part_bytes=1 << 20, avatar_bytes=1 << 20))
    with Client(backend.endpoint) as other:
        with Raw(backend.endpoint) as raw:
            session = raw.hello()
            raw.socket.rcvtimeo = 500
            with pytest.raises(zmq.Again):
                raw.say({"type": "avatar.put", "v": [1, 0], "id": 3, "session": session}, bytes(2 << 20))
        assert other.avatar_put(b"GSa")


def test_a_reused_request_id_is_refused_without_harm(backend):
    with Raw(backend.endpoint) as raw:
        session = raw.hello()
        avatar = {"type": "avatar.put", "v": [1, 0], "id": 3, "session": session}
        stored = raw.say(avatar, b"GSa")["avatar"]["avatar_id"]
        job = {"type": "reconstruct", "v": [1, 0], "id": 4, "session": session}
        assert raw.say(job, b"medium")["type"] == "progress"
        answers = []
        raw.socket.send_multipart([json.dumps({**job, "type": "avatar.get", "avatar_id": stored}).encode()])
        while not answers or answers[-1]["type"] != "reconstructed":
            answer = msgspec.json.decode(raw.socket.recv_multipart()[0])
            if answer["type"] in ("error", "reconstructed"):
                answers.append(answer)
        assert [a["type"] for a in answers] == ["error", "reconstructed"]


def test_a_backend_that_does_not_answer_times_out(runtime):
    context = zmq.Context()
    silent = context.socket(zmq.ROUTER)
    silent.bind(f"ipc://{runtime}/silent.sock")
    try:
        with pytest.raises(BackendTimeoutError):
            Client(Endpoint(f"ipc://{runtime}/silent.sock", runtime_dir=str(runtime)), timeout=0.5)
    finally:
        context.destroy(linger=0)
        (runtime / "silent.sock").unlink(missing_ok=True)
