"""Client and backend of different versions: they work together within a major one, else say who has to update."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from gshead_backend.errors import VersionError
from gshead_backend.protocol import Client, Endpoint
from gshead_backend.protocol import messages as m
from gshead_backend.protocol.fields import PROTOCOL_VERSION
from gshead_backend.protocol.launcher import Backend

OURS = f"{PROTOCOL_VERSION[0]}.{PROTOCOL_VERSION[1]}"


class OtherBackend:
    """Answers ``hello`` as a backend of another version would, and everything else with ``done``."""

    def __init__(self, folder: Path, version: list[int] | None, **news: object) -> None:
        self.endpoint = Endpoint(f"ipc://{folder}/other.sock", runtime_dir=str(folder))
        self._version, self._news = version, news
        self._context: zmq.Context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind(self.endpoint.address)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def _run(self) -> None:
        while not self._ended.is_set():
            if not self._socket.poll(50):
                continue
            identity, header = self._socket.recv_multipart()[:2]
            asked = msgspec.json.decode(header)
            reply = {"type": "done", "parent": asked["id"], "id": 1, "session": "s" * 32, **self._news}
            if asked["type"] == "hello":
                proper = m.HelloReply("boot", "9.9.9", 1, m.LimitsInfo(), ["uvfit"], [], [])
                reply = {**msgspec.to_builtins(proper), **reply, "type": "hello.reply"}
            reply.pop("v", None)
            if self._version is not None:
                reply["v"] = self._version
            self._socket.send_multipart([identity, json.dumps(reply).encode()])
            if asked["type"] == "hello":  # news that this client cannot know
                unknown = {"type": "weather", "v": self._version or [1, 0], "id": 2, "sun": True}
                self._socket.send_multipart([identity, json.dumps(unknown).encode()])


@pytest.fixture
def other(runtime: Path, request: pytest.FixtureRequest) -> Iterator[OtherBackend]:
    backend = OtherBackend(runtime, request.param, added={"field": [1]})
    yield backend
    backend.close()
    (runtime / "other.sock").unlink(missing_ok=True)


@pytest.mark.parametrize("other", [[1, 0], [1, 7]], indirect=True)
def test_a_backend_with_a_newer_minor_version_is_used(other: OtherBackend) -> None:
    with Client(other.endpoint, timeout=5) as client:
        assert client.hello().package == "9.9.9"
        client.threaded.shutdown().wait(5)


@pytest.mark.parametrize(
    ("other", "who"),
    [([2, 0], "client is older"), ([0, 9], "backend is older"), (None, "backend is older")],
    indirect=["other"],
)
def test_a_backend_of_another_major_version_is_refused_with_what_to_update(other: OtherBackend, who: str) -> None:
    with pytest.raises(VersionError, match=rf"backend speaks protocol \d\.\d, the client {OURS}\.") as caught:
        Client(other.endpoint, timeout=5)
    assert who in caught.value.remedy


@pytest.mark.parametrize(("version", "who"), [([2, 0], "backend is older"), ([0, 3], "client is older")])
def test_a_client_of_another_major_version_is_told_what_to_update(
    backend: Backend, version: list[int], who: str
) -> None:
    answer = _say(backend, {"type": "hello", "v": version, "id": 4, "whatever": {}})
    assert (answer["type"], answer["code"], answer["parent"]) == ("error", "GSH-E501", 4)
    assert who in answer["remedy"]
    assert OURS in answer["message"]
    assert f"{version[0]}.{version[1]}" in answer["message"]


def test_a_client_without_a_version_and_one_of_the_future(backend: Backend) -> None:
    assert _say(backend, {"type": "hello", "id": 4})["code"] == "GSH-E501"
    assert _say(backend, {"type": "hello", "id": 4, "v": [1, 99], "later": True})["type"] == "hello.reply"


def _say(backend: Backend, header: dict) -> dict:
    context: zmq.Context = zmq.Context()
    try:
        socket = context.socket(zmq.DEALER)
        socket.linger, socket.rcvtimeo = 0, 5000
        socket.connect(backend.endpoint.address)
        socket.send(json.dumps(header).encode())
        while (answer := msgspec.json.decode(socket.recv_multipart()[0]))["type"] == "beat":
            pass
        return answer
    finally:
        context.destroy(linger=0)
