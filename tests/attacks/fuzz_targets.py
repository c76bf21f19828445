"""What is fuzzed: every reader of a stranger's bytes that runs without a file, with proper inputs to start from.

``run_fuzzer.py`` runs them under atheris (libFuzzer); ``test_fuzz_corpus.py`` replays what that found worth keeping.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from proper import replies, requests

from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes, describe_avatar
from gshead_backend.avatar.live_link import read_live_link
from gshead_backend.avatar.live_link_angles import live_link_csv
from gshead_backend.avatar.take import demo_take, take_from_json, take_to_json
from gshead_backend.errors import FileFormatError, GsheadError
from gshead_backend.export.usd_nesting import nesting
from gshead_backend.protocol import messages as m
from gshead_backend.protocol.framing import decode_reply, decode_request
from gshead_backend.protocol.limits import camera_bytes, check_camera, check_instances, check_track, frame_sizes

LIMITS = m.LimitsInfo()
CORPUS = Path(__file__).parent / "corpus" / "fuzz"


@dataclass(frozen=True)
class Target:
    """``read`` gets the bytes; anything but a ``GsheadError`` out of it is a find. ``seeds`` makes proper inputs."""

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    longest: int


def _request(data: bytes) -> None:
    message = decode_request(data)
    if isinstance(message, m.RenderFrame | m.StreamUpdate):
        check_camera(message.camera, LIMITS)
        check_instances(message.instances, (120,), LIMITS)
        camera_bytes(message.camera, "float32", True)
    if isinstance(message, m.Track):
        check_track(message, (120,), LIMITS)


def _reply(data: bytes) -> None:
    message = decode_reply(data)
    if isinstance(message, m.FrameReply | m.StreamFrame):
        frame_sizes(message.frame)


@lru_cache(maxsize=1)
def _avatar() -> bytes:
    from tiny import make_tiny_head
    from tiny_avatar import make_tiny_avatar

    return avatar_to_bytes(make_tiny_avatar(make_tiny_head(), 20, dynamic=True))


def _split(data: bytes) -> tuple[bytes, bytes]:
    end = 8 + struct.unpack("<Q", data[:8])[0]
    return data[8:end], data[end:]


def _avatar_with_header(header: bytes) -> None:
    """A header before tensors that stay what they are: the fuzzer need not learn the container."""
    data = struct.pack("<Q", len(header)) + header + _split(_avatar())[1]
    describe_avatar(data)
    avatar_from_bytes(data)


def _avatar_with_document(document: bytes) -> None:
    """A document inside a proper table of tensors."""
    try:
        text = document.decode()
    except UnicodeDecodeError as error:
        raise FileFormatError("not a text") from error
    header = json.loads(_split(_avatar())[0])
    header["__metadata__"]["gshead"] = text
    _avatar_with_header(json.dumps(header).encode())


def _document() -> bytes:
    return json.loads(_split(_avatar())[0])["__metadata__"]["gshead"].encode()


def _take() -> bytes:
    document: dict[str, Any] = json.loads(take_to_json(demo_take()))
    document["channels"] = dict(list(document["channels"].items())[:3])
    return json.dumps(document).encode()


def _recording() -> bytes:
    return b"\n".join(live_link_csv(demo_take()).encode().splitlines()[:5]) + b"\n"


def _encoded(documents: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(document).encode() for document in documents]


TARGETS = {
    "request": Target(_request, lambda: _encoded(requests()), 4096),
    "reply": Target(_reply, lambda: _encoded(replies()), 4096),
    "avatar": Target(avatar_from_bytes, lambda: [_avatar()[:6000]], 1 << 15),
    "avatar_header": Target(_avatar_with_header, lambda: [_split(_avatar())[0]], 1 << 14),
    "avatar_document": Target(_avatar_with_document, lambda: [_document()], 1 << 13),
    "take": Target(lambda data: take_from_json(data.decode("utf-8", "replace")), lambda: [_take()], 1 << 13),
    "live_link": Target(read_live_link, lambda: [_recording()], 1 << 13),
    "usd_nesting": Target(nesting, lambda: [b'#usda 1.0\ndef "a" (doc = """{""") {\n # (\n asset x = @a[@ }\n'], 4096),
}


def survives(target: Target, data: bytes) -> str:
    """``read`` or the code of the error; every other exception passes through."""
    try:
        target.read(data)
    except GsheadError as error:
        if len(str(error)) > 5000:
            raise AssertionError("an error quotes little of what a stranger sent") from error
        return error.code
    return "read"
