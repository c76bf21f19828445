"""The clients of a backend: who has a session, and what becomes of a message of theirs."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from pathlib import Path

import zmq

from .. import __version__
from ..errors import AuthenticationError, GsheadError, LimitError, ProtocolError, UnknownIdError
from ..head.catalog import installed_heads
from ..methods import METHODS
from ..protocol import messages as m
from ..protocol.framing import check_parts, decode_request
from .options import ServeOptions
from .replies import error_message
from .requests import House, Requests
from .rings import SessionRings
from .sessions import Session

log = logging.getLogger("gshead.server")
BEAT_SECONDS = 1.0
FEATURES = (
    "reconstruct",
    "preview",
    "track",
    "avatar",
    "frame.render",
    "stream",
    "ring",
    "vertices",
    "light",
    "codecs",
    "status",
    "heads",
)
PATHS = "track.path"
POOL = "pool"


class Clients:
    """Sessions by their token. ``directory`` is where their rings lie; ``workers`` tells how the workers are."""

    def __init__(
        self, options: ServeOptions, house: House, directory: Path, boot_id: str, pid: int,
        workers: Callable[[], list[m.WorkerInfo]],
    ) -> None:  # fmt: skip
        self.sessions: dict[str, Session] = {}
        self._options, self._limits, self._house = options, options.limits, house
        self._requests = Requests(house)
        self._directory, self._boot_id, self._pid, self._workers = directory, boot_id, pid, workers
        self._count = 0

    def handle(self, identity: bytes, frames: list[zmq.Frame], error: LimitError | None) -> None:
        """A message: carried out, or refused with an answer."""
        message: m.Message | None = None
        try:
            message = self._decode(frames, error)
            parts = [frame.buffer for frame in frames[2:]]
            user = _user(frames[1])
            if isinstance(message, m.Hello):
                check_parts(parts, 0, "hello")
                self._hello(identity, user, message)
            else:
                self._requests.handle(self._session(message.session, identity, user), message, parts)
        except GsheadError as caught:
            self._refuse(identity, message, caught)
        except zmq.ZMQError:
            raise
        except Exception as caught:  # one request that meets a bug must not end everybody's backend
            log.exception("A '%s' request met a bug", type(message).__name__)
            self._refuse(
                identity, message, ProtocolError(f"The backend failed on this request ({type(caught).__name__}).")
            )

    def _decode(self, frames: list[zmq.Frame], error: LimitError | None) -> m.Message:
        if len(frames) < 2:
            raise ProtocolError("A message has no header.")
        if error is not None and len(frames[1].buffer) > self._limits.header_bytes:
            raise error
        message = decode_request(frames[1].buffer)
        if error is not None:
            error.sender_id = message.id
            raise error
        return message

    def _refuse(self, identity: bytes, message: m.Message | None, error: GsheadError) -> None:
        answer = error_message(error)
        answer.parent = error.sender_id if isinstance(error, ProtocolError) else 0
        if message is not None:
            answer.parent = message.id
        if isinstance(message, m.StreamUpdate):
            answer.stream, answer.token = message.stream, message.token
        self._house.replies.send_to(identity, answer)

    def _session(self, token: str, identity: bytes, user: str) -> Session:
        session = self.sessions.get(token)
        if session is None or session.user != user:
            raise UnknownIdError("This session is not known to the backend.", remedy="Connect again.")
        session.identity = identity
        return session

    def _hello(self, identity: bytes, user: str, message: m.Hello) -> None:
        if len(self.sessions) >= self._limits.sessions:
            raise LimitError(f"The backend already serves {self._limits.sessions} clients.")
        token = secrets.token_hex(16)
        self._count += 1
        rings = SessionRings(self._directory, f"{self._options.name}.ring.{self._boot_id[:8]}-{self._count}")
        label = f"client {self._count} ({message.client[:40]!r})"
        session = Session(token, identity, user, label, rings, message.codecs)
        session.number, session.client = self._count, message.client[:40]
        self.sessions[token] = session
        self._house.schedule.add_session(session)
        log.info("%s opened a session", label, extra={"session": self._count})
        reply = m.HelloReply(
            parent=message.id, session=token, boot_id=self._boot_id, package=__version__, pid=self._pid,
            limits=self._limits, methods=list(METHODS), features=self._features(), workers=self._workers(),
            beat_seconds=BEAT_SECONDS, heads=list(installed_heads()),
        )  # fmt: skip
        self._house.replies.send(session, reply)

    def _features(self) -> list[str]:
        return [*FEATURES, *([PATHS] if self._house.reads_paths else []), *([POOL] if self._house.pool else [])]

    def end(self, session: Session, why: str) -> None:
        """The lease is over: everything that was kept for it goes."""
        if session.ended:
            return
        session.ended = True
        self.sessions.pop(session.token, None)
        for waiter in session.open.values():
            waiter.closed = True
        session.open.clear()
        session.frames.clear()
        self._house.schedule.remove(session)
        session.rings.close()
        self._house.forget(self._house.store.drop_all(session.token))
        self._house.review()
        log.info("%s ended: %s", session.label, why, extra={"session": session.number})


def _user(frame: zmq.Frame) -> str:
    try:
        user = frame.get("User-Id")
    except zmq.ZMQError:  # ipc has none
        return ""
    if not isinstance(user, str):
        raise AuthenticationError("A message has an unreadable user id.")
    return user
