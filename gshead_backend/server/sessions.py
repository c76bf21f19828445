"""Sessions (leases), what they are owed, and in which order frames are drawn."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import zmq

from ..protocol.messages import CameraSpec, Dtype, InstanceSpec
from .line import Line
from .rings import SessionRings
from .vitals import Rate

UNSENT_BYTES = 256 << 20
"""A client that asks for frames and does not read them is drawn no more of them beyond this."""


@dataclass
class Session:
    """One client's lease.

    Attributes:
        token: secret of the client; every message carries it.
        identity: the routing id of its latest message. user: the CURVE key it came with, empty on ipc.
        codecs: how its frames may be packed. line: how fast they get there.
        open: requests that are still to be answered, by the client's id.
        frames: frames asked for, drawn in this order. streams: by number.
        unsent: large answers under way.
        number: as in the log. client: what it calls itself. since: its ``hello``. rate: of the frames drawn for it.
    """

    token: str
    identity: bytes
    user: str
    label: str
    rings: SessionRings
    codecs: list[str] = field(default_factory=list)
    line: Line = field(default_factory=Line)
    open: dict[int, Waiter] = field(default_factory=dict)
    frames: deque[FrameWish] = field(default_factory=deque)
    streams: dict[int, Stream] = field(default_factory=dict)
    number: int = 0
    client: str = ""
    since: float = field(default_factory=time.monotonic)
    rate: Rate = field(default_factory=Rate)
    unsent: deque[tuple[zmq.MessageTracker, int]] = field(default_factory=deque)
    ended: bool = False

    def note_unsent(self, tracker: zmq.MessageTracker, size: int) -> None:
        """A large answer went out; what has left by now is forgotten."""
        self.unsent_bytes()
        self.unsent.append((tracker, size))

    def unsent_bytes(self) -> int:
        """Of large answers that ZeroMQ still holds because the client does not read."""
        while self.unsent and self.unsent[0][0].done:
            self.unsent.popleft()
        return sum(size for _, size in self.unsent)


@dataclass
class Waiter:
    """A request to be answered once; ``closed`` when it was (or was cancelled, or its session ended).

    ``preview``: it also wants to see what there is before the answer.
    """

    session: Session
    request: int
    preview: bool = False
    closed: bool = False


@dataclass
class FrameWish:
    """What to draw. For a stream ``waiter`` is None and ``token`` comes back with the frame."""

    session: Session
    camera: CameraSpec
    instances: list[InstanceSpec]
    parts: Sequence[memoryview]
    dtype: Dtype
    depth: bool
    ring: bool
    scale: float = 1.0
    splats: int = 0
    lossy: bool = False
    waiter: Waiter | None = None
    stream: Stream | None = None
    token: int = 0

    @property
    def abandoned(self) -> bool:
        """Nobody wants it any more."""
        if self.session.ended:
            return True
        return self.waiter.closed if self.waiter else bool(self.stream and self.stream.closed)


@dataclass
class Stream:
    """A newest-wins stream: one latest wish, and a credit of frames that the client has not taken yet.

    ``owed``: tokens that are being drawn or were sent and not acknowledged, with the ring slot of those sent.
    """

    number: int
    dtype: Dtype
    depth: bool
    ring: bool
    wish: FrameWish | None = None
    owed: dict[int, tuple[str, int, int] | None] = field(default_factory=dict)
    closed: bool = False

    @property
    def credit(self) -> int:
        """Frames that may be owed. On one host the next is drawn while the client takes the last: its way there costs
        nothing. Over a network a second frame would wait in the line and grow old."""
        return 2 if self.ring else 1


class Schedule:
    """Whose frame is next: sessions take turns, and within a session its ordered frames and its streams do."""

    def __init__(self) -> None:
        self._turns: deque[tuple[Session, Stream | None]] = deque()

    def add_session(self, session: Session) -> None:
        """Gives the session's ordered frames a place in the rotation."""
        self._turns.append((session, None))

    def add_stream(self, session: Session, stream: Stream) -> None:
        """Gives the stream a place in the rotation."""
        self._turns.append((session, stream))

    def remove(self, session: Session, stream: Stream | None = None) -> None:
        """Takes a stream, or with ``None`` the session with all its streams, out of the rotation."""
        keep = [(s, t) for s, t in self._turns if s is not session or (stream is not None and t is not stream)]
        self._turns = deque(keep)

    def next(self, only: Session | None = None) -> FrameWish | None:
        """The next wish that can be drawn now, taken out of its queue; ``only``: an ordered one of this session."""
        if only is not None:
            return self._ordered(only)
        for _ in range(len(self._turns)):
            session, stream = self._turns[0]
            self._turns.rotate(-1)
            if stream is None:
                wish = self._ordered(session)
                if wish is not None:
                    return wish
            elif stream.wish is not None and len(stream.owed) < stream.credit:
                wish, stream.wish = stream.wish, None
                stream.owed[wish.token] = None
                return wish
        return None

    def _ordered(self, session: Session) -> FrameWish | None:
        while session.frames and session.frames[0].abandoned:
            session.frames.popleft()
        if not session.frames or session.unsent_bytes() > UNSENT_BYTES:
            return None
        return session.frames.popleft()

    def put_back(self, wish: FrameWish) -> None:
        """Returns a wish that could not be drawn yet to the head of its queue."""
        if wish.stream is None:
            wish.session.frames.appendleft(wish)
        else:
            wish.stream.owed.pop(wish.token, None)
            wish.stream.wish = wish.stream.wish or wish
