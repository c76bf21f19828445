"""A client that never ends its message: cut off before it fills the memory, while all others are served."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import pytest
from endless import EMPTY, LARGE, MIB, READY, Encrypted, Endless, Highest, greeting
from server_harness import head, make_camera, wait_until

from gshead_backend.protocol import Client
from gshead_backend.protocol.launcher import Backend
from gshead_backend.protocol.messages import LimitsInfo

pytestmark = pytest.mark.alone
NULL = greeting(b"NULL") + READY
CURVE = greeting(b"CURVE")
STRANGERS = {
    "no encryption": (NULL, EMPTY),
    "messages before the keys": (CURVE, EMPTY),
    "large messages before the keys": (CURVE, LARGE),
    "one large command before the keys": (CURVE + b"\x06" + (48 * MIB).to_bytes(8, "big"), bytes(MIB)),
    "hellos of zeros": (CURVE, b"\x04\xc8\x05HELLO\x01\x00" + bytes(192)),
    "no greeting": (b"", b"\xff" * 65536),
    "an old protocol": (b"\x01\x00", b"\xff" + MIB.to_bytes(8, "big") + b"\x01" + bytes(MIB - 1)),
}


@pytest.fixture
def bounded(start: Callable[..., Backend], request: pytest.FixtureRequest) -> Iterator[tuple[Backend, Client]]:
    """A backend whose messages may have 64 MiB, and a proper client of it; over tcp where a test asks for it."""
    limits = LimitsInfo(part_bytes=48 * MIB, message_bytes=64 * MIB, avatar_bytes=48 * MIB)
    place = {"endpoint": "tcp://127.0.0.1:0"} if getattr(request, "param", "") == "tcp" else {}
    backend = start(engine="fake_engine:CalmEngine", limits=limits, **place)
    with Client(backend.endpoint, name="proper") as client:
        yield backend, client


over_tcp = pytest.mark.parametrize("bounded", ["tcp"], indirect=True)


@dataclass
class Seen:
    """What an attack did. ``grown``, ``left``: bytes of the front, at most and afterwards; ``longest``: seconds that a
    proper client waited for a frame."""

    cut: bool
    grown: int
    left: int
    longest: float


def attack(bounded: tuple[Backend, Client], attacker: Endless | Encrypted, most: Callable[[], bool]) -> Seen:
    """Let ``attacker`` go on until it is cut off, ``most`` says that it has sent enough, or half a minute is over; a
    proper client draws meanwhile, and afterwards in the same session."""
    backend, client = bounded
    assert backend.process is not None
    avatar, rss = client.avatar_put(b"GSx"), psutil.Process(backend.process.pid).memory_info
    before, longest = rss().rss, 0.0
    with Highest(backend.process.pid) as highest, attacker:
        end = time.monotonic() + 30
        while not (cut := attacker.cut) and not most() and time.monotonic() < end:
            asked = time.monotonic()
            client.render(make_camera(), [head(avatar)])
            longest = max(longest, time.monotonic() - asked)
    wait_until(lambda: rss().rss < before + 48 * MIB, 5)
    left = rss().rss - before
    assert client.render(make_camera(), [head(avatar)]).rgba.any(), "the session of the other one stands"
    return Seen(cut, highest.bytes - before, left, longest)


def assert_cut_off(backend: Backend, seen: Seen) -> None:
    assert seen.cut, "the message was taken"
    assert seen.grown < 700 * MIB, f"{seen.grown >> 20} MiB were held"
    assert seen.longest < 2.0, f"a proper client waited for {seen.longest:.1f} s"
    assert seen.left < 48 * MIB, f"{seen.left >> 20} MiB stay"
    log = backend.log
    assert log is not None
    assert wait_until(lambda: "A client's message did not end after" in log.read_text())


@pytest.mark.parametrize(("parts", "at_most"), [(EMPTY, 80 * MIB), (LARGE, 2000 * MIB)], ids=["empty", "large"])
def test_an_endless_message_is_cut_off_and_its_memory_comes_back(
    bounded: tuple[Backend, Client], parts: bytes, at_most: int
) -> None:
    endless = Endless(bounded[0].endpoint, NULL, parts, at_most)
    assert_cut_off(bounded[0], attack(bounded, endless, lambda: endless.sent >= at_most))


@over_tcp
@pytest.mark.parametrize(("size", "count"), [(16 << 10, 60_000), (MIB, 4000)], ids=["small", "large"])
def test_who_has_a_key_is_cut_off_too(bounded: tuple[Backend, Client], size: int, count: int) -> None:
    """Over tcp, encrypted, by a client that is let in."""
    encrypted = Encrypted(bounded[0].endpoint, bytes(size), count)
    assert_cut_off(bounded[0], attack(bounded, encrypted, lambda: False))


@over_tcp
@pytest.mark.parametrize(("first", "parts"), STRANGERS.values(), ids=STRANGERS)
def test_who_has_no_key_is_cut_off_before_a_message_begins(
    bounded: tuple[Backend, Client], first: bytes, parts: bytes
) -> None:
    """A stranger's bytes are a handshake or nothing: at most one part of the size that is allowed is ever held."""
    endless = Endless(bounded[0].endpoint, first, parts, 2000 * MIB)
    seen = attack(bounded, endless, lambda: endless.sent >= 2000 * MIB)
    assert seen.cut
    assert seen.grown < 64 * MIB, f"{seen.grown >> 20} MiB were held"
    assert seen.left < 32 * MIB, f"{seen.left >> 20} MiB stay"
    assert seen.longest < 2.0, f"a proper client waited for {seen.longest:.1f} s"


@over_tcp
def test_many_strangers_hold_no_more_than_one(bounded: tuple[Backend, Client]) -> None:
    """Each announces a command as large as a part may be, and sends it."""
    backend, client = bounded
    assert backend.process is not None
    avatar, before = client.avatar_put(b"GSx"), psutil.Process(backend.process.pid).memory_info().rss
    first, parts = STRANGERS["one large command before the keys"]
    with Highest(backend.process.pid) as highest, contextlib.ExitStack() as crowd:
        strangers = [crowd.enter_context(Endless(backend.endpoint, first, parts, 2000 * MIB)) for _ in range(10)]
        assert wait_until(lambda: all(s.cut for s in strangers), 30)
        assert client.render(make_camera(), [head(avatar)]).rgba.any()
    assert highest.bytes - before < 200 * MIB, f"{highest.bytes - before >> 20} MiB were held"


def test_large_messages_that_end_are_nobodys_endless_ones(bounded: tuple[Backend, Client]) -> None:
    """Several clients with as much as they may send, again and again, beside one who rests."""
    backend, resting = bounded
    failures: list[Exception] = []

    def put(number: int) -> None:
        try:
            with Client(backend.endpoint, name=f"client {number}") as client:
                for turn in range(6):
                    client.avatar_drop(client.avatar_put(b"GS%d%d" % (number, turn) + bytes(40 * MIB)))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert resting.status().seconds > 0
    assert backend.log is not None
    assert "did not end" not in backend.log.read_text()
