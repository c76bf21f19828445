"""Tracking a clip in the backend: a job like a reconstruction, and the one message that may carry a path."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from server_harness import wait_until

from gshead_backend.errors import (
    ArgumentError,
    Cancelled,
    FileFormatError,
    LimitError,
    NoFaceError,
    ProtocolError,
    UnsupportedError,
)
from gshead_backend.protocol import Client, ThreadedClient
from gshead_backend.protocol import messages as m
from gshead_backend.protocol.messages import LimitsInfo


def test_a_backend_of_the_same_user_opens_the_clip_itself(client: Client, tmp_path: Path) -> None:
    assert {"track", "track.path"} <= set(client.hello().features)
    steps: list[tuple[float, str]] = []
    made = client.track(
        tmp_path / "clip.mp4", name="anna", fps=30, smooth=2, motion="head", center=True,
        on_progress=lambda f, t: steps.append((f, t)),
    )  # fmt: skip
    assert made.text == f"{tmp_path}/clip.mp4||anna|30|2|head|True"
    assert made.warnings == ("2 frames show no face",)
    assert steps[0][0] == 0
    assert client.track(b"some video").text == "|some video|take|0|1|neck|False"


def test_tracking_is_cancelled_and_takes_turns_with_reconstructions(backend) -> None:
    with ThreadedClient(backend.endpoint) as client:
        first = client.track(b"long clip")
        assert wait_until(lambda: first.progress[0] > 0)
        second = client.reconstruct(b"photo")
        third = client.track("/anywhere")
        time.sleep(0.3)
        assert not second.done()
        first.cancel()
        with pytest.raises(Cancelled):
            first.wait(5)
        assert second.wait(10).splats > 0
        assert third.wait(10).text.startswith("/anywhere|")


def test_the_blocking_client_cancels_by_an_event(client: Client) -> None:
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    with pytest.raises(Cancelled):
        client.track(b"long clip", cancel=cancel)
    with pytest.raises(NoFaceError):
        client.track(b"noface")


def test_equal_clips_are_tracked_anew(client: Client) -> None:
    """A path may name another clip the next time: nothing is remembered, nothing shared."""
    assert client.track("/clip").seconds == client.track("/clip").seconds == 0.5
    with ThreadedClient(client.threaded.endpoint) as other:
        one = client.threaded.track("/long")
        assert wait_until(lambda: one.progress[0] > 0)
        two = other.track("/long")
        time.sleep(0.2)
        assert two.progress[0] == 0
        two.cancel()
        one.cancel()


def test_a_backend_for_other_machines_opens_no_path(start, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"video")
    backend = start(endpoint="tcp://127.0.0.1:0", limits=LimitsInfo(clip_bytes=1000))
    with Client(backend.endpoint) as client:
        assert "track.path" not in client.hello().features
        assert client.track(clip).text.startswith("|video|"), "the bytes are sent instead"
        with pytest.raises(UnsupportedError, match="opens no files"):
            client.threaded._ask(m.Track(path="/etc/passwd"), (), lambda message, parts: None).wait(10)
        with pytest.raises(ArgumentError, match="folder"):
            client.track(tmp_path)
        with pytest.raises(FileFormatError, match=r"none\.mp4"):
            client.track(tmp_path / "none.mp4")
        (tmp_path / "big.mp4").write_bytes(bytes(1001))
        with pytest.raises(LimitError, match="1001 bytes"):
            client.track(tmp_path / "big.mp4")


@pytest.mark.parametrize(
    ("message", "parts", "what"),
    [
        (m.Track(path="clip.mp4"), (), "absolute"),
        (m.Track(path="http://example.org/clip.mp4"), (), "absolute"),
        (m.Track(path="/a\0b"), (), "absolute"),
        (m.Track(path="/clip.mp4"), (b"and bytes",), "path or one"),
        (m.Track(), (), "path or one"),
        (m.Track(), (b"",), "empty"),
        (m.Track(path="/clip.mp4", fps=0.5), (), "frames per second"),
    ],
)  # fmt: skip
def test_malformed_requests_are_refused(client: Client, message: m.Track, parts: tuple[bytes, ...], what: str) -> None:
    with pytest.raises(ProtocolError, match=what):
        client.threaded._ask(message, parts, lambda message, parts: None).wait(10)
    assert client.alive
