"""Seeded mutations of bytes and of JSON: what a bug, a bad disk or somebody hostile makes of a proper message."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

NUMBERS = (
    "0", "-1", "-0", "1e400", "-1e400", "1e-400", "NaN", "Infinity", "-Infinity", "2147483648", "4294967296",
    "9007199254740993", "9223372036854775808", "1e309", "0.1e1", "00", "1.", ".5", "0x10", "1" * 400, "true", "null",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 16384, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, -(2**63), 1e308, -1e308, 1e-320, 0.5,
    "", "x", "\0", "../../etc/passwd", "a" * 9000, "\ud7ff", "é" * 60, [], {}, [[]], [0] * 1000, {"": {}}, "NaN", "1",
)  # fmt: skip
CHUNKS = (
    b"[" * 3000,
    b'{"a":' * 1500,
    b"\xff\xfe",
    b"\x00",
    b"\\u0000",
    b"\\ud800",
    b'"',
    b",",
    b"{}",
    b"\xf0\x9f\x98\x80",
)


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut out, doubled, inserted or swapped in one to four places."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(found) + 1)
        kind = rng.randrange(7)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(found):
            found[at] = rng.randrange(256)
        elif kind == 2:
            del found[at : at + rng.randint(1, 16)]
        elif kind == 3:
            found[at:at] = rng.choice(CHUNKS)
        elif kind == 4:
            found[at:at] = found[at : at + rng.randint(1, 64)]
        elif kind == 5:
            found[at:at] = rng.choice(NUMBERS).encode()
        else:
            del found[at:]
    return bytes(found)


def rearranged(document: Any, rng: random.Random) -> Any:
    """A JSON document with one to three of its values replaced, removed, doubled or moved."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        holders = list(_holders(document))
        if not holders:
            return _value(rng)
        holder, key = rng.choice(holders)
        kind = rng.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            other, there = rng.choice(holders)
            holder[key] = copy.deepcopy(other[there])
        elif kind == 2:
            holder[key] = [copy.deepcopy(holder[key]) for _ in range(rng.choice((1, 2, 40)))]
        elif kind == 3 and isinstance(holder, dict):
            holder[str(rng.choice(VALUES))[:50]] = _value(rng)
        else:
            holder[key] = _value(rng)
    return document


def _value(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(VALUES))


def _holders(value: Any) -> Iterator[tuple[Any, Any]]:
    keys: Sequence[Any] = (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from _holders(value[key])


def mutants(documents: Sequence[Any], count: int, seed: int) -> Iterator[bytes]:
    """``count`` mutants of JSON documents: by value, by byte, or both."""
    rng = random.Random(seed)
    for _ in range(count):
        document = rng.choice(documents)
        kind = rng.randrange(3)
        if kind:
            document = rearranged(document, rng)
        data = json.dumps(document, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        yield flipped(data, rng) if kind != 1 else data


def damaged(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """``count`` mutants of a file."""
    rng = random.Random(seed)
    for _ in range(count):
        yield flipped(data, rng)
