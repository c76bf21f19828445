"""New mutants for a while (``GSHEAD_FUZZ_SECONDS``), seeds from the clock; a find is printed with its seed."""

from __future__ import annotations

import json
import os
import time

import pytest
from mutate import mutants
from proper import requests
from test_headers import digest
from test_hostile_files import avatar_from_bytes, mutated_avatars, survive
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.file import avatar_to_bytes
from gshead_backend.avatar.live_link import read_live_link
from gshead_backend.avatar.take import demo_take, take_from_json, take_to_json
from gshead_backend.head import HeadModel

SECONDS = float(os.environ.get("GSHEAD_FUZZ_SECONDS", "8"))


@pytest.mark.timeout(SECONDS * 2 + 120)
def test_new_mutants_find_nothing(tiny_head: HeadModel) -> None:
    avatar = avatar_to_bytes(make_tiny_avatar(tiny_head, 60, dynamic=True))
    take = json.loads(take_to_json(demo_take()))
    take["channels"] = dict(list(take["channels"].items())[:6])
    end, seed, tried = time.monotonic() + SECONDS, time.time_ns() % 2**40, 0
    while time.monotonic() < end:
        seed += 1
        print(f"seed {seed}")  # pytest shows it when the test fails
        for header in mutants(requests(), 3000, seed):
            digest(header)
        survive(avatar_from_bytes, mutated_avatars(avatar, 60, seed))
        survive(take_from_json, (data.decode("utf-8", "replace") for data in mutants([take], 200, seed)))
        survive(read_live_link, mutants([["Timecode,BlendShapeCount,JawOpen", "00:00:00:01,1,0.5"]], 200, seed))
        tried += 3460
    assert tried > 0
