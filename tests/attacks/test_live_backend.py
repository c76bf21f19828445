"""What a running backend does with nonsense: an error or silence, the next ``hello`` answered, nothing piling up."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest
import zmq
from mutate import mutants
from proper import CAMERA, UNIT, requests
from server_harness import head, make_camera, wait_until

from gshead_backend.protocol import Client
from gshead_backend.protocol.endpoint import Endpoint
from gshead_backend.protocol.launcher import Backend

CALM = "fake_engine:CalmEngine"
TCP = "tcp://127.0.0.1:0"
MESSAGES = 4000


class Stranger:
    """A bare DEALER that says whatever it likes and reads what comes back."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.context: zmq.Context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger, self.socket.rcvtimeo = 0, 5000
        self.socket.connect(endpoint.address)

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.destroy(linger=0)

    def say(self, header: bytes, *parts: bytes) -> None:
        self.socket.send_multipart([header, *parts])

    def ask(self, header: object, *parts: bytes) -> dict:
        """The next answer that is no beat."""
        self.say(header if isinstance(header, bytes) else json.dumps(header).encode(), *parts)
        while True:
            answer = msgspec.json.decode(self.socket.recv_multipart()[0])
            if answer["type"] != "beat":
                return answer

    def hello(self) -> str:
        return self.ask({"type": "hello", "v": [1, 0], "id": 1})["session"]

    def drain(self, seconds: float = 0.0) -> list[dict]:
        """Every answer there is now."""
        found = []
        while self.socket.poll(int(1000 * seconds)):
            found.append(msgspec.json.decode(self.socket.recv_multipart()[0]))
        return found


def answers(endpoint: Endpoint, within: float = 2.0) -> None:
    """A proper client is served in time."""
    began = time.monotonic()
    with Client(endpoint, name="proper", timeout=10) as client:
        avatar = client.avatar_put(b"GSproper")
        assert (client.render(make_camera(), [head(avatar)]).rgba[..., 0] == int(avatar[:2], 16)).all()
    assert time.monotonic() - began < within + 3  # a machine that does much else


class Size:
    """Memory and descriptors of a process."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def memory(self) -> int:
        return self._process.memory_info().rss

    def handles(self) -> int:
        return self._process.num_fds()

    def threads(self) -> int:
        return self._process.num_threads()


@pytest.fixture
def calm(start: Callable[..., Backend]) -> Backend:
    return start(engine=CALM)


def _storm(endpoint: Endpoint, count: int, seed: int) -> int:
    """Mutated messages with random payloads on sessions that come and go; returns how many were answered by errors."""
    rng, errors = random.Random(seed), 0
    for number in range(0, count, 200):
        with Stranger(endpoint) as stranger:
            session = stranger.hello()
            stored = stranger.ask({"type": "avatar.put", "v": [1, 0], "id": 2, "session": session}, b"GSx")
            proper = requests(session, stored["avatar"]["avatar_id"])
            for header in mutants(proper, 200, seed + number):
                parts = [
                    rng.randbytes(rng.choice((0, 1, 12, 120, 5000))) for _ in range(rng.choice((0, 0, 1, 1, 2, 17)))
                ]
                stranger.say(header, *parts)
            errors += sum(answer["type"] == "error" for answer in stranger.drain(0.3))
    return errors


def test_thousands_of_mutated_messages_change_nothing_for_others(calm: Backend) -> None:
    assert calm.process is not None
    _storm(calm.endpoint, 600, seed=0)  # warm: allocators have grown to what a storm needs
    answers(calm.endpoint)
    with Client(calm.endpoint) as client:
        client.reconstruct(b"photo")  # the jobs worker runs, as some mutants will want it to
    size = Size(calm.process.pid)
    before = size.memory(), size.handles(), size.threads()
    errors = _storm(calm.endpoint, MESSAGES, seed=100)
    answers(calm.endpoint)
    assert errors > MESSAGES // 4
    assert wait_until(lambda: size.handles() <= before[1] + 2, 5), (before, size.handles())
    assert size.threads() <= before[2] + 1
    assert size.memory() <= before[0] + (24 << 20), (before[0], size.memory())


@pytest.mark.parametrize("count", [0, 1, 3, 17, 100_000])
def test_wrong_part_counts(calm: Backend, count: int) -> None:
    with Stranger(calm.endpoint) as stranger:
        session = stranger.hello()
        for header in requests(session):
            if header["type"] in ("hello", "goodbye") or "stream" in header["type"] or header["type"] == "ring.release":
                continue
            if header["type"] in ("cancel", "status") and not count:  # proper as they are
                continue
            answer = stranger.ask({**header, "id": 9}, *[b""] * count)
            assert answer["type"] == "error", header["type"]
            assert answer["code"] in ("GSH-E500", "GSH-E502", "GSH-E504"), header["type"]
            if count > 2:
                assert answer["code"] != "GSH-E504", header["type"]
            if count == 100_000 and header["type"] == "reconstruct":
                break  # once is enough of the slow one
        answers(calm.endpoint)


def test_an_empty_message_and_an_empty_header_are_answered(calm: Backend) -> None:
    with Stranger(calm.endpoint) as stranger:
        assert stranger.ask(b"")["code"] == "GSH-E500"
        assert stranger.ask(b"", b"", b"")["code"] == "GSH-E500"
    answers(calm.endpoint)


HTTP = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n"
GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01CURVE".ljust(23, b"\0") + b"\0" * 32  # ZMTP 3.1
NULL_GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01NULL".ljust(23, b"\0") + b"\0" * 32
RAW = {
    "http": HTTP, "garbage": random.Random(4).randbytes(70_000), "zeros": bytes(1000), "half greeting": GREETING[:20],
    "silent": b"", "greeting then garbage": GREETING + random.Random(5).randbytes(500),
    "null then a huge frame": NULL_GREETING + b"\x04\x29\x05READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\0"
    + b"\x02" + (2**62).to_bytes(8, "big"),
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), "zmtp 1": b"\x01\x00" * 50,
}  # fmt: skip


def _raw(endpoint: Endpoint) -> socket.socket:
    scheme, _, rest = endpoint.address.partition("://")
    if scheme == "ipc":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.connect(rest)
        return made
    host, _, port = rest.rpartition(":")
    return socket.create_connection((host, int(port)))


@pytest.mark.parametrize("address", ["auto", TCP])
def test_raw_bytes_on_the_socket_are_dropped(start: Callable[..., Backend], address: str) -> None:
    backend = start(engine=CALM, endpoint=address)
    assert backend.process is not None
    with Client(backend.endpoint) as keeper:
        size = Size(backend.process.pid)
        handles = size.handles()
        opened = []
        for data in RAW.values():
            for _ in range(3):
                connection = _raw(backend.endpoint)
                opened.append(connection)
                with contextlib.suppress(OSError):
                    connection.sendall(data)
        answers(backend.endpoint)
        for connection in opened:
            connection.close()
        assert wait_until(lambda: size.handles() <= handles + 2, 8), "connections are closed"
        assert keeper.hello().boot_id


def test_silent_connections_are_hung_up_on(start: Callable[..., Backend]) -> None:
    """Half a greeting and then nothing: after five seconds the backend closes, while others are served."""
    backend = start(engine=CALM, endpoint=TCP)
    with Client(backend.endpoint):
        opened = [_raw(backend.endpoint) for _ in range(100)]
        for connection in opened:
            connection.sendall(GREETING[:12])
            connection.settimeout(12)
        answers(backend.endpoint)
        began = time.monotonic()
        for connection in opened:
            while connection.recv(4096):  # the backend's own greeting, then the end
                pass
            connection.close()
        assert time.monotonic() - began < 10


def test_more_silent_connections_than_descriptors(start: Callable[..., Backend]) -> None:
    """The soft limit of descriptors is raised to the hard one, so that strangers cannot use them up at once."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    try:
        backend = start(engine=CALM, endpoint=TCP)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert backend.process is not None
    limits = Path(f"/proc/{backend.process.pid}/limits").read_text().splitlines()
    (row,) = [line.split() for line in limits if line.startswith("Max open files")]
    assert row[3] == row[4] or int(row[3]) >= 4096
    with Client(backend.endpoint):
        pass


UNKNOWN = "cd" * 32
LIES = {
    "no session": ({"type": "stream.open", "session": ""}, (), "GSH-E504"),
    "a guessed session": ({"type": "stream.open", "session": "0" * 32}, (), "GSH-E504"),
    "an unknown avatar": ({"type": "avatar.get", "avatar_id": UNKNOWN}, (), "GSH-E504"),
    "an unknown stream": ({"type": "stream.close", "stream": 9}, (), "GSH-E504"),
    "an update of an unknown stream": (
        {"type": "stream.update", "stream": 2**53, "token": 1, "camera": CAMERA, "instances": []}, (), "GSH-E504"),
    "an avatar to draw that nobody has": (
        {"type": "frame.render", "camera": CAMERA, "instances": [
            {"avatar_id": UNKNOWN, "matrix": UNIT, "pose": [0.0] * 22}]}, (), "GSH-E504"),
    "vertices that are not there": (
        {"type": "frame.render", "camera": CAMERA, "instances": [
            {"avatar_id": UNKNOWN, "matrix": UNIT, "vertices": 0}]}, (), "GSH-E500"),
    "vertices of a broken size": (
        {"type": "frame.render", "camera": CAMERA, "instances": [
            {"avatar_id": UNKNOWN, "matrix": UNIT, "vertices": 0}]}, (b"x" * 13,), "GSH-E500"),
    "one part for two heads": (
        {"type": "frame.render", "camera": CAMERA, "instances": [
            {"avatar_id": UNKNOWN, "matrix": UNIT, "vertices": 0}] * 2}, (b"x" * 12,), "GSH-E500"),
    "a negative near": (
        {"type": "frame.render", "camera": {**CAMERA, "near": -1.0}, "instances": []}, (), "GSH-E500"),
    "a camera beyond numbers": (
        {"type": "frame.render", "camera": {**CAMERA, "viewmat": [1e300, *UNIT[1:]]}, "instances": []}, (), "GSH-E500"),
    "width times height beyond the limit": (
        {"type": "frame.render", "camera": {**CAMERA, "width": 16384, "height": 16384}, "instances": []}, (),
        "GSH-E502"),
    "an empty avatar": ({"type": "avatar.put"}, (b"",), "GSH-E500"),
    "a foreign method": ({"type": "reconstruct", "method": "os.system"}, (b"x",), "GSH-E500"),
    "an empty portrait": ({"type": "reconstruct"}, (b"",), "GSH-E500"),
    "a relative clip": ({"type": "track", "path": "../../etc/passwd"}, (), "GSH-E500"),
    "a clip with a zero byte": ({"type": "track", "path": "/tmp/a\0b"}, (), "GSH-E500"),
    "huge counts": ({"type": "stream.close", "stream": 2**53 + 1}, (), "GSH-E500"),
    "no such quality": ({"type": "reconstruct", "quality": "max"}, (b"x",), "GSH-E500"),
    "a worker that is none": ({"type": "worker.restart", "role": "front"}, (), "GSH-E500"),
}  # fmt: skip


def test_lies_are_named_errors(calm: Backend) -> None:
    with Stranger(calm.endpoint) as stranger:
        session = stranger.hello()
        for name, (header, parts, code) in LIES.items():
            answer = stranger.ask({"v": [1, 0], "id": 5, "session": session, **header}, *parts)
            assert (answer["type"], answer.get("code")) == ("error", code), (name, answer)
            assert answer["message"], name
            assert "Traceback" not in answer["message"], name
        not_numbers = json.dumps({"type": "frame.render", "v": [1, 0], "id": 5, "session": session, "instances": [],
                                  "camera": {**CAMERA, "near": float("nan")}}).encode()  # fmt: skip
        for text in (b"NaN", b"Infinity", b"-Infinity", b"1e999"):
            assert stranger.ask(not_numbers.replace(b"NaN", text))["code"] == "GSH-E500", text
    answers(calm.endpoint)


def test_a_pose_of_another_head_is_an_error_of_its_frame(calm: Backend) -> None:
    with Stranger(calm.endpoint) as stranger:
        session = stranger.hello()
        put = {"type": "avatar.put", "v": [1, 0], "id": 2, "session": session}
        avatar = stranger.ask(put, b"GSx")["avatar"]["avatar_id"]
        for pose in ([], [0.0], [0.0] * 17, [0.0] * 4096):
            instance = {"avatar_id": avatar, "matrix": UNIT, "pose": pose}
            answer = stranger.ask({"type": "frame.render", "v": [1, 0], "id": 3, "session": session, "camera": CAMERA,
                                   "instances": [instance], "dtype": "uint8"})  # fmt: skip
            assert answer["type"] in ("error", "frame"), pose[:3]
            if answer["type"] == "error":
                assert answer["code"] in ("GSH-E100", "GSH-E500"), answer
    answers(calm.endpoint)


def test_what_another_client_holds_is_out_of_reach(calm: Backend) -> None:
    with Stranger(calm.endpoint) as one, Stranger(calm.endpoint) as two:
        mine, theirs = one.hello(), two.hello()
        avatar = one.ask({"type": "avatar.put", "v": [1, 0], "id": 2, "session": mine}, b"GSmine")["avatar"][
            "avatar_id"
        ]
        stream = one.ask({"type": "stream.open", "v": [1, 0], "id": 3, "session": mine})["stream"]
        for header in (
            {"type": "avatar.get", "avatar_id": avatar}, {"type": "avatar.drop", "avatar_id": avatar},
            {"type": "stream.close", "stream": stream},
            {"type": "stream.update", "stream": stream, "token": 1, "camera": CAMERA, "instances": []},
        ):  # fmt: skip
            assert two.ask({**header, "v": [1, 0], "id": 4, "session": theirs})["code"] == "GSH-E504", header["type"]
        got = one.ask({"type": "avatar.get", "v": [1, 0], "id": 5, "session": mine, "avatar_id": avatar})
        assert got["type"] == "avatar.data"


def test_replayed_and_reordered_messages_do_no_harm(calm: Backend) -> None:
    with Stranger(calm.endpoint) as stranger:
        session = stranger.hello()
        put = {"type": "avatar.put", "v": [1, 0], "id": 2, "session": session}
        avatar = stranger.ask(put, b"GSx")["avatar"]["avatar_id"]
        assert stranger.ask(put, b"GSx")["avatar"]["avatar_id"] == avatar
        stream = stranger.ask({"type": "stream.open", "v": [1, 0], "id": 3, "session": session})["stream"]
        instance = {"avatar_id": avatar, "matrix": UNIT, "pose": [0.0] * 22}
        update = {"type": "stream.update", "v": [1, 0], "id": 0, "session": session, "stream": stream, "token": 7,
                  "camera": CAMERA, "instances": [instance]}  # fmt: skip
        ack = {"type": "stream.ack", "v": [1, 0], "id": 0, "session": session, "stream": stream, "token": 7}
        for message in (ack, update, update, ack, ack, update):
            stranger.say(json.dumps(message).encode())
        kinds = [answer["type"] for answer in stranger.drain(0.5)]
        assert kinds.count("stream.frame") >= 1
        close = {"type": "stream.close", "v": [1, 0], "id": 4, "session": session, "stream": stream}
        assert stranger.ask(close)["type"] == "done"
        stranger.say(json.dumps({"type": "goodbye", "v": [1, 0], "id": 5, "session": session}).encode())
        assert wait_until(lambda: any(a["type"] == "done" for a in stranger.drain(0.1)))
        assert stranger.ask(put, b"GSx")["code"] == "GSH-E504", "a session that ended cannot be replayed"
    answers(calm.endpoint)


def test_refused_avatars_do_not_pile_up(calm: Backend) -> None:
    """Thousands of different files that are no avatars: each an error, and nothing of them stays."""
    assert calm.process is not None
    with Stranger(calm.endpoint) as stranger:
        session, size = stranger.hello(), Size(calm.process.pid)
        head_ = {"type": "avatar.put", "v": [1, 0], "session": session}

        def put(count: int) -> None:
            for number in range(count):
                answer = stranger.ask({**head_, "id": number}, b"no" + os.urandom(16) + b"x" * 20_000)
                assert answer["code"] == "GSH-E101"

        put(300)
        before = size.memory()
        put(1500)
        assert size.memory() < before + (8 << 20), "30 MB of refused files are gone"
    answers(calm.endpoint)
