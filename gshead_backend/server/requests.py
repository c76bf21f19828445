"""What each request of a client does. Every handler checks first and keeps nothing when it raises."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import GsheadError, HeadError, LimitError, ProtocolError, UnknownIdError, UnsupportedError
from ..head.catalog import installed_heads
from ..methods import METHODS
from ..protocol import messages as m
from ..protocol.framing import check_parts
from ..protocol.limits import check_camera, check_instances, check_size, check_track
from .job_desk import JobDesk
from .pool_desk import PoolDesk
from .render_desk import RenderDesk
from .replies import Replies
from .sessions import FrameWish, Schedule, Session, Stream, Waiter
from .store import AvatarStore

Parts = list[memoryview]
_WITH_PAYLOAD = (m.Reconstruct, m.BatchMake, m.Track, m.AvatarPut, m.RenderFrame, m.StreamUpdate)


@dataclass
class House:
    """Everything a request may touch: the limits, the desks, the avatars, and three doors of the front.

    ``pool``: for batches, where the backend has one.
    """

    limits: m.LimitsInfo
    replies: Replies
    schedule: Schedule
    store: AvatarStore
    render: RenderDesk
    jobs: JobDesk
    end_session: Callable[[Session, str], None]
    session_count: Callable[[], int]
    stop: Callable[[str], None]
    describe: Callable[[Session], m.StatusReply]
    reads_paths: bool = False
    pool: PoolDesk | None = None

    def review(self) -> None:
        """After a cancel: jobs that nobody wants any more are stopped."""
        self.jobs.review()
        if self.pool is not None:
            self.pool.review()

    def forget(self, gone: list[str]) -> None:
        """The store let these avatars go: so does everyone else."""
        for avatar_id in gone:
            self.jobs.table.forget_avatar(avatar_id)
        self.render.unload(gone)


class Requests:
    """One method for each type of request except ``hello``."""

    def __init__(self, house: House) -> None:
        self._house, self._limits, self._replies = house, house.limits, house.replies
        self._streams = 0
        self._handlers: dict[type[m.Message], Callable[[Session, Any, Parts], None]] = {
            m.Goodbye: self._goodbye, m.Cancel: self._cancel, m.Reconstruct: self._reconstruct,
            m.BatchMake: self._batch_make, m.Track: self._track,
            m.AvatarPut: self._avatar_put, m.AvatarGet: self._avatar_get, m.AvatarDrop: self._avatar_drop,
            m.RenderFrame: self._frame, m.StreamOpen: self._stream_open, m.StreamUpdate: self._stream_update,
            m.StreamAck: self._stream_ack, m.StreamClose: self._stream_close, m.RingRelease: self._ring_release,
            m.RestartWorker: self._restart, m.Shutdown: self._shutdown,
            m.Status: self._status,
        }  # fmt: skip

    def handle(self, session: Session, message: m.Message, parts: Parts) -> None:
        """Carries a request out, or begins to; raises ``GsheadError`` when it is refused."""
        if message.id in session.open:
            raise ProtocolError(f"The request id {message.id} is still in use.")
        if not isinstance(message, _WITH_PAYLOAD):
            check_parts(parts, 0, str(type(message).__struct_config__.tag))
        try:
            self._handlers[type(message)](session, message, parts)
        except GsheadError:
            session.open.pop(message.id, None)
            raise

    def _waiter(self, session: Session, request: int) -> Waiter:
        waiter = session.open[request] = Waiter(session, request)
        return waiter

    def _done(self, session: Session, message: m.Message) -> None:
        self._replies.send(session, m.Done(parent=message.id))

    def _goodbye(self, session: Session, message: m.Goodbye, parts: Parts) -> None:
        self._done(session, message)
        self._house.end_session(session, "goodbye")

    def _cancel(self, session: Session, message: m.Cancel, parts: Parts) -> None:
        waiter = session.open.get(message.job)
        if waiter is not None:
            self._replies.cancel(waiter)
            self._house.review()
        self._done(session, message)

    def _reconstruct(self, session: Session, message: m.Reconstruct, parts: Parts) -> None:
        self._check_portrait(message, parts)
        waiter = self._waiter(session, message.id)
        waiter.preview = message.preview
        self._house.jobs.ask(message, bytes(parts[0]), waiter)

    def _batch_make(self, session: Session, message: m.BatchMake, parts: Parts) -> None:
        self._check_portrait(message, parts)
        if self._house.pool is None:
            raise UnsupportedError("This backend has no pool.", remedy="Start it with 'gshead serve --pool local:2'.")
        self._house.pool.ask(message, bytes(parts[0]), self._waiter(session, message.id))

    def _check_portrait(self, message: m.Reconstruct | m.BatchMake, parts: Parts) -> None:
        check_parts(parts, 1, str(type(message).__struct_config__.tag))
        check_size(len(parts[0]), self._limits.portrait_bytes, "The portrait")
        if message.method not in METHODS:
            raise ProtocolError(
                f"There is no method '{message.method}'.", remedy=f"Use one of: {', '.join(METHODS)}."
            )  # fmt: skip
        if message.head not in ("", "default", *(known := installed_heads())):
            raise HeadError(
                f"The backend has no head model '{message.head}'; installed are: {', '.join(known)}.",
                remedy="Import it on the backend's machine with 'gshead head import FILE'.",
            )

    def _track(self, session: Session, message: m.Track, parts: Parts) -> None:
        check_track(message, [len(part) for part in parts], self._limits)
        if message.path and not self._house.reads_paths:
            raise UnsupportedError(
                "This backend serves other machines and opens no files for its clients.", remedy="Send the clip.",
            )  # fmt: skip
        payload = bytes(parts[0]) if parts else b""
        self._house.jobs.ask(message, payload, self._waiter(session, message.id))

    def _avatar_put(self, session: Session, message: m.AvatarPut, parts: Parts) -> None:
        check_parts(parts, 1, "avatar.put")
        check_size(len(parts[0]), self._limits.avatar_bytes, "The avatar")
        waiter = self._waiter(session, message.id)
        avatar_id, _, gone = self._house.store.add(bytes(parts[0]))
        self._house.forget(gone)

        def loaded(info: m.AvatarInfo | None, error: GsheadError | None) -> None:
            if info is not None and not waiter.closed:
                self._house.store.hold(avatar_id, session.token)
                self._replies.answer(waiter, m.AvatarStored(avatar=info))
            elif error is not None:
                self._replies.fail(waiter, error)
            self._house.forget(self._house.store.unpin(avatar_id))

        self._house.render.load(avatar_id, loaded)

    def _avatar_get(self, session: Session, message: m.AvatarGet, parts: Parts) -> None:
        data = self._house.store.held(message.avatar_id, session.token).data
        self._replies.send(session, m.AvatarData(parent=message.id, avatar_id=message.avatar_id), [data])

    def _avatar_drop(self, session: Session, message: m.AvatarDrop, parts: Parts) -> None:
        self._house.forget(self._house.store.drop(message.avatar_id, session.token))
        self._done(session, message)

    def _check_picture(self, session: Session, message: m.RenderFrame | m.StreamUpdate, parts: Parts) -> None:
        check_camera(message.camera, self._limits)
        check_instances(message.instances, [len(part) for part in parts], self._limits)
        for instance in message.instances:
            self._house.store.held(instance.avatar_id, session.token)

    def _frame(self, session: Session, message: m.RenderFrame, parts: Parts) -> None:
        self._check_picture(session, message, parts)
        if len(session.frames) >= self._limits.queue:
            raise LimitError(f"This client already waits for {self._limits.queue} frames.")
        wish = FrameWish(
            session, message.camera, message.instances, parts, message.dtype, message.depth, message.ring,
            waiter=self._waiter(session, message.id),
        )  # fmt: skip
        session.frames.append(wish)
        self._house.render.feed()

    def _stream_open(self, session: Session, message: m.StreamOpen, parts: Parts) -> None:
        if len(session.streams) >= self._limits.streams:
            raise LimitError(f"This client already has {self._limits.streams} streams.")
        self._streams += 1
        stream = Stream(self._streams, message.dtype, message.depth, message.ring)
        session.streams[stream.number] = stream
        self._house.schedule.add_stream(session, stream)
        self._replies.send(session, m.StreamOpened(parent=message.id, stream=stream.number))

    def _stream(self, session: Session, number: int) -> Stream:
        stream = session.streams.get(number)
        if stream is None:
            raise UnknownIdError(f"This client has no open stream {number}.")
        return stream

    def _stream_update(self, session: Session, message: m.StreamUpdate, parts: Parts) -> None:
        stream = self._stream(session, message.stream)
        self._check_picture(session, message, parts)
        if message.token in stream.owed:  # its ring slot would be forgotten
            raise ProtocolError(f"The token {message.token} is that of a frame which was not acknowledged yet.")
        stream.wish = FrameWish(
            session, message.camera, message.instances, parts, stream.dtype, stream.depth, stream.ring,
            message.scale, message.splats, message.lossy, stream=stream, token=message.token,
        )  # fmt: skip
        self._house.render.feed()

    def _stream_ack(self, session: Session, message: m.StreamAck, parts: Parts) -> None:
        stream = session.streams.get(message.stream)
        session.line.acknowledged(message.token, time.monotonic())
        if stream is not None and message.token in stream.owed:
            self._take_back(session, stream, message.token)
            self._house.render.feed()

    def _take_back(self, session: Session, stream: Stream, token: int) -> None:
        slot = stream.owed.pop(token)
        if slot is not None:
            session.rings.release(*slot)

    def _stream_close(self, session: Session, message: m.StreamClose, parts: Parts) -> None:
        stream = self._stream(session, message.stream)
        stream.closed = True
        del session.streams[stream.number]
        self._house.schedule.remove(session, stream)
        for token in list(stream.owed):
            self._take_back(session, stream, token)
        self._done(session, message)

    def _ring_release(self, session: Session, message: m.RingRelease, parts: Parts) -> None:
        session.rings.release(message.path, message.slot, message.sequence)

    def _restart(self, session: Session, message: m.RestartWorker, parts: Parts) -> None:
        worker = (self._house.render if message.role == "render" else self._house.jobs).worker
        if worker.running:
            worker.kill()
        else:
            worker.start(forgive=True)
        self._done(session, message)

    def _status(self, session: Session, message: m.Status, parts: Parts) -> None:
        reply = self._house.describe(session)
        reply.parent = message.id
        self._replies.send(session, reply)

    def _shutdown(self, session: Session, message: m.Shutdown, parts: Parts) -> None:
        others = self._house.session_count() - 1
        if others and not message.force:
            raise LimitError(
                f"{others} other client{'s use' if others > 1 else ' uses'} this backend.",
                remedy="Close them first, or stop the backend by force.",
            )
        self._done(session, message)
        self._house.stop(f"{session.label} asked for it")
