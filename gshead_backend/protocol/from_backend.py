"""Messages of the backend to a client."""

from __future__ import annotations

from msgspec import field

from .fields import (
    AvatarId,
    AvatarInfo,
    Count,
    FrameInfo,
    JobInfo,
    LimitsInfo,
    Message,
    RingRef,
    SessionInfo,
    WorkerInfo,
)


class HelloReply(Message, tag="hello.reply"):
    """Answer to ``hello``. ``session`` (in the header) is the token to use from now on.

    ``boot_id`` changes with every start of the backend: a client that sees a new one puts its avatars again. ``heads``
    are the head models that were installed when the client connected, the default one first.
    """

    boot_id: str
    package: str
    pid: int
    limits: LimitsInfo
    methods: list[str]
    features: list[str]
    workers: list[WorkerInfo]
    beat_seconds: float = 1.0
    heads: list[str] = field(default_factory=list)


class Done(Message, tag="done"):
    """The request was carried out and has nothing to say."""


class Error(Message, tag="error"):
    """The request failed. ``code`` is in docs/errors.md. With ``stream`` >= 0 it belongs to that stream's update."""

    code: str
    message: str
    remedy: str = ""
    stream: int = -1
    token: Count = 0


class Progress(Message, tag="progress"):
    """A running job is at ``fraction`` (0..1) and does what ``text`` says."""

    fraction: float
    text: str


class Preview(Message, tag="preview"):
    """A running reconstruction's head so far. Payload: one part, ``.gshead`` bytes of the final head's shape."""


class Reconstructed(Message, tag="reconstructed"):
    """Answer to ``reconstruct``. ``seconds`` is the computing time; ``reused`` says that the result was known."""

    avatar: AvatarInfo
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    reused: bool = False


class BatchMade(Message, tag="batch.made"):
    """Answer to ``batch.make``. Payload: one part, ``.gshead`` bytes. ``tries``: workers that were needed for it.

    ``seconds`` is the computing time on ``worker``.
    """

    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    worker: str = ""
    tries: Count = 1


class Tracked(Message, tag="tracked"):
    """Answer to ``track``. Payload: one part, the take as JSON. ``seconds`` is the computing time."""

    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0


class AvatarStored(Message, tag="avatar.stored"):
    """Answer to ``avatar.put``."""

    avatar: AvatarInfo


class AvatarData(Message, tag="avatar.data"):
    """Answer to ``avatar.get``. Payload: one part, the ``.gshead`` bytes."""

    avatar_id: AvatarId


class FrameReply(Message, tag="frame"):
    """Answer to ``frame.render``. Payload: ``frame.parts``, or nothing when ``ring`` says where they lie."""

    frame: FrameInfo
    ring: RingRef | None = None


class StreamOpened(Message, tag="stream.opened"):
    """Answer to ``stream.open``."""

    stream: Count


class StreamFrame(Message, tag="stream.frame"):
    """The newest frame of a stream. The next one comes after ``stream.ack``."""

    stream: Count
    token: Count
    frame: FrameInfo
    ring: RingRef | None = None


class StatusReply(Message, tag="status.reply"):
    """Answer to ``status``. ``memory``: bytes by process (``front``, ``render``, ``jobs``) and of ``avatars``.

    ``seconds`` since the backend started; ``drawn`` frames since then; ``fps`` over the last seconds.
    """

    seconds: float
    sessions: list[SessionInfo]
    jobs: list[JobInfo]
    workers: list[WorkerInfo]
    memory: dict[str, Count]
    drawn: Count
    fps: float


class Beat(Message, tag="beat"):
    """Sent to every session each ``beat_seconds``: the front process turns, and this is how its workers are."""

    workers: list[WorkerInfo]
    sessions: int = 0
    jobs: int = 0
    notice: str = ""
