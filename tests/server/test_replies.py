"""What the front remembers of the answers it sent: large ones, and only until they have left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from server_harness import wait_until

from gshead_backend.protocol.messages import Done
from gshead_backend.server.replies import TRACKED, Replies
from gshead_backend.server.rings import SessionRings
from gshead_backend.server.sessions import Session


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Large messages are sent without a copy, for which pyzmq keeps a thread."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Replies, Session, zmq.Socket]]:
    context: zmq.Context = zmq.Context()
    router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    try:
        router.bind(f"ipc://{tmp_path}/s")
        dealer.rcvtimeo = 5000
        dealer.connect(f"ipc://{tmp_path}/s")
        dealer.send(b"")
        yield Replies(router), Session("t", router.recv_multipart()[0], "", "c", SessionRings(tmp_path, "x")), dealer
    finally:
        context.destroy(linger=0)


def test_small_answers_are_not_remembered(pair: tuple[Replies, Session, zmq.Socket]) -> None:
    """A client may stream for days."""
    replies, session, dealer = pair
    for _ in range(500):
        replies.send(session, Done())
        dealer.recv_multipart()
    assert len(session.unsent) == 0


def test_a_client_that_streams_only_is_forgotten_too(pair: tuple[Replies, Session, zmq.Socket]) -> None:
    """Nobody asks for its ordered frames, and so for what is unsent."""
    replies, session, dealer = pair
    for _ in range(50):
        replies.send(session, Done(), [bytes(TRACKED)])
        dealer.recv_multipart()
    assert len(session.unsent) < 10
    assert wait_until(lambda: session.unsent_bytes() == 0)
