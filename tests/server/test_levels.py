"""Which level of detail is drawn, and what happens when one cannot be made."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from tiny_avatar import make_tiny_avatar

from gshead_backend import detail
from gshead_backend.server import levels
from gshead_backend.server.levels import Levels


@pytest.fixture
def avatar(tiny_head, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(levels, "SIZES", (100, 300))
    return make_tiny_avatar(tiny_head, 600)


def _settled(held: Levels) -> None:
    deadline = time.monotonic() + 30
    while any(t.name == "gshead-levels" for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.02)


def test_the_largest_level_within_the_limit_is_drawn(avatar) -> None:
    held = Levels(avatar, lambda a: a)
    assert held.pick(0) is avatar
    assert held.pick(600) is avatar
    assert held.pick(100) is avatar, "nothing waits for a level that is still being made"
    _settled(held)
    assert [len(held.pick(limit)) for limit in (50, 100, 299, 300, 599, 600, 0)] == [100, 100, 100, 300, 300, 600, 600]


def test_an_avatar_hardly_larger_than_a_level_has_no_such_level(avatar, tiny_head) -> None:
    small = make_tiny_avatar(tiny_head, 120)
    held = Levels(small, lambda a: a)
    assert held.pick(100) is small
    _settled(held)
    assert held.pick(100) is small


def test_a_level_that_cannot_be_made_is_logged_and_the_whole_avatar_is_drawn(avatar, monkeypatch, caplog) -> None:
    def broken(avatar, count):
        raise MemoryError("no room")

    monkeypatch.setattr(detail, "reduced", broken)
    held = Levels(avatar, lambda a: a)
    with caplog.at_level(logging.ERROR, "gshead.worker"):
        held.pick(100)
        _settled(held)
    assert held.pick(100) is avatar
    assert "no room" in caplog.text
