"""A hundred thousand mutated headers through the decoder and the checks behind it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from mutate import mutants
from proper import replies, requests

from gshead_backend.errors import GsheadError, ProtocolError
from gshead_backend.protocol import messages as m
from gshead_backend.protocol.framing import decode_reply, decode_request
from gshead_backend.protocol.limits import camera_bytes, check_camera, check_instances, check_track, frame_sizes

CORPUS = Path(__file__).parent / "corpus" / "headers"
LIMITS = m.LimitsInfo()
MUTANTS = 120_000


def digest(header: bytes, sizes: tuple[int, ...] = (120,)) -> str:
    """What becomes of a client's header: the type it decodes to and passes as, or the code of its error."""
    try:
        message = decode_request(header)
        if isinstance(message, m.RenderFrame | m.StreamUpdate):
            check_camera(message.camera, LIMITS)
            check_instances(message.instances, sizes, LIMITS)
            camera_bytes(message.camera, "float32", True)
        if isinstance(message, m.Track):
            check_track(message, sizes, LIMITS)
    except ProtocolError as error:
        answer = error
    else:
        return type(message).__name__
    assert 0 <= answer.sender_id <= 2**53
    assert len(answer.message) < 1000, "a message quotes little of what a stranger sent"
    return answer.code


def test_mutated_requests_are_messages_or_named_errors() -> None:
    seen: dict[str, int] = {}
    for header in mutants(requests(), MUTANTS, seed=1):
        kind = digest(header)
        seen[kind] = seen.get(kind, 0) + 1
    assert sum(seen.values()) == MUTANTS
    assert {"GSH-E500", "GSH-E501", "GSH-E503"} <= seen.keys()
    assert seen["GSH-E500"] > MUTANTS // 4
    assert sum(count for kind, count in seen.items() if kind.startswith("GSH")) < MUTANTS, "some pass, as they should"
    assert len(seen) >= 3 + len({r["type"] for r in requests()}) - 1


def test_mutated_replies_are_messages_or_named_errors() -> None:
    """A client reads what a backend sends, which may be somebody else's program."""
    passed = 0
    for header in mutants(replies(), MUTANTS // 4, seed=2):
        with contextlib.suppress(ProtocolError):
            message = decode_reply(header)
            if isinstance(message, m.FrameReply | m.StreamFrame):
                frame_sizes(message.frame)
            passed += 1
    assert passed > 100


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*")), ids=lambda path: path.name)
def test_the_corpus_is_answered_as_it_was(path: Path) -> None:
    """Each file's name begins with what must become of it."""
    assert digest(path.read_bytes()) == path.name.split(".")[0]


def test_the_corpus_is_there() -> None:
    assert len(list(CORPUS.glob("*"))) >= 20


def test_declared_sizes_never_allocate() -> None:
    """The largest picture that any header can name is refused by arithmetic alone."""
    for width, height in ((16384, 16384), (16384, 2026), (1, 16385), (2**31, 2**31), (2**53, 1)):
        header = next(r for r in requests() if r["type"] == "frame.render")
        header["camera"] = {**header["camera"], "width": width, "height": height}
        header["instances"] = []
        assert digest(json.dumps(header).encode(), ()) in ("GSH-E500", "GSH-E502"), (width, height)


def test_from_code_takes_any_code() -> None:
    from gshead_backend.errors import from_code

    for code in ("", "GSH-E999", "x" * 10_000, "GSH-E501"):
        assert isinstance(from_code(code, "m"), GsheadError)
