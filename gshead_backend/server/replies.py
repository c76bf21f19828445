"""Sending to clients: never waits, and notices who is gone."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import zmq

from ..errors import Cancelled, GsheadError
from ..protocol.framing import encode
from ..protocol.messages import Beat, Error, Message
from .sessions import Session, Waiter

log = logging.getLogger("gshead.server")
TRACKED = 1 << 20
"""Bytes of a payload from which on it is noted until ZeroMQ has sent it."""


class Replies:
    """The outgoing side of the ROUTER. ``lost`` collects sessions whose client cannot be reached any more."""

    def __init__(self, router: zmq.Socket[bytes]) -> None:
        self._router = router
        self._ids = itertools.count(1)
        self.lost: list[Session] = []

    def send(self, session: Session, message: Message, parts: Sequence[Any] = ()) -> None:
        """To a session; a client that is gone, or that has stopped reading, becomes ``lost``."""
        if session.ended or session in self.lost:
            return
        size = sum(len(part) for part in parts)
        try:
            tracker = self.send_to(session.identity, message, parts, track=size >= TRACKED)
            if size >= TRACKED and tracker is not None:
                session.note_unsent(tracker, size)
        except zmq.Again:
            if not isinstance(message, Beat):  # news may be skipped, answers may not
                log.warning("%s does not read its answers; its lease ends", session.label)
                self.lost.append(session)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.lost.append(session)

    def send_to(
        self, identity: bytes, message: Message, parts: Sequence[Any] = (), *, track: bool = False
    ) -> zmq.MessageTracker | None:
        """To a routing id; raises ``zmq.ZMQError`` when it cannot be reached now. ``track``: tells when it has left."""
        message.id = next(self._ids)
        return self._router.send_multipart(
            [identity, encode(message), *parts], zmq.NOBLOCK, copy=False, track=track
        )  # fmt: skip

    def answer(self, waiter: Waiter, message: Message, parts: Sequence[Any] = ()) -> bool:
        """Answers a request, once. False when it was closed before."""
        if waiter.closed:
            return False
        waiter.closed = True
        waiter.session.open.pop(waiter.request, None)
        message.parent = waiter.request
        self.send(waiter.session, message, parts)
        return True

    def fail(self, waiter: Waiter, error: GsheadError) -> bool:
        """Answers a request with an error, once."""
        return self.answer(waiter, error_message(error))

    def cancel(self, waiter: Waiter) -> bool:
        """Answers a request with ``Cancelled``, once."""
        return self.fail(waiter, Cancelled("The request was stopped."))

    def fail_stream(self, session: Session, stream: int, token: int, error: GsheadError) -> None:
        """Tells a client why a stream has no new frame."""
        message = error_message(error)
        message.stream, message.token = stream, token
        self.send(session, message)


def error_message(error: GsheadError) -> Error:
    """The wire form of an error: code and text, never a traceback."""
    return Error(code=error.code, message=error.message[:2000], remedy=error.remedy[:500])
