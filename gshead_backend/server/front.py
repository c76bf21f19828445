"""The front process: one thread, one loop, always answering. It owns the sockets, the leases and the workers.

Nothing here computes: torch is never imported, files are hashed but not parsed, and no call waits.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

import zmq

from .. import __version__
from ..errors import AuthenticationError, GsheadError, LimitError, ProtocolError, UnknownIdError
from ..methods import METHODS
from ..protocol import messages as m
from ..protocol.framing import check_parts, decode_request, receive
from ..protocol.limits import check_camera, check_instances, check_size
from . import link
from .job_desk import JobDesk
from .options import ServeOptions
from .render_desk import RenderDesk
from .replies import Replies, error_message
from .rings import SessionRings
from .sessions import FrameWish, Schedule, Session, Stream, Waiter
from .store import AvatarStore
from .workers import Worker, WorkerSetup

log = logging.getLogger("gshead.server")
BEAT_SECONDS = 1.0
TICK_MS = 250
FEATURES = ("reconstruct", "avatar", "frame.render", "stream", "ring", "vertices")
Parts = list[memoryview]


class Front:
    """The loop.

    ``wake_out`` becomes readable when another thread or a signal wants attention. ``withdraw`` is called first when
    the backend ends, so that no new client comes.
    """

    def __init__(
        self, options: ServeOptions, router: zmq.Socket[bytes], setup: WorkerSetup, boot_id: str, pid: int,
        wake_out: socket.socket, withdraw: Callable[[], None],
    ) -> None:  # fmt: skip
        self._options, self._limits = options, options.limits
        self._router, self._setup, self._wake_out = router, setup, wake_out
        self._boot_id, self._pid, self._withdraw = boot_id, pid, withdraw
        self._replies = Replies(router)
        self._sessions: dict[str, Session] = {}
        self._schedule = Schedule()
        self._store = AvatarStore(self._limits.avatars_bytes)
        self._render = RenderDesk(Worker("render", setup), self._store, self._schedule, self._replies)
        self._jobs = JobDesk(
            Worker("jobs", setup), self._store, self._render, self._replies, idle=options.job_idle,
            limit=self._limits.jobs,
        )  # fmt: skip
        self._desks: tuple[RenderDesk, JobDesk] = (self._render, self._jobs)
        self._streams = 0
        self._count = 0
        self._notice = ""
        self._started = self._idle_since = self._beaten = time.monotonic()
        self._served = False
        self.starter_gone = False
        self.stopping = ""
        self._handlers: dict[type[m.Message], Callable[[Session, Any, Parts], None]] = {
            m.Goodbye: self._goodbye, m.Cancel: self._cancel, m.Reconstruct: self._reconstruct,
            m.AvatarPut: self._avatar_put, m.AvatarGet: self._avatar_get, m.AvatarDrop: self._avatar_drop,
            m.RenderFrame: self._frame, m.StreamOpen: self._stream_open, m.StreamUpdate: self._stream_update,
            m.StreamAck: self._stream_ack, m.StreamClose: self._stream_close, m.RingRelease: self._ring_release,
            m.RestartWorker: self._restart, m.Shutdown: self._shutdown,
        }  # fmt: skip

    # --- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until told to stop or no lease remains; the workers are stopped on return."""
        self._render.worker.start()
        try:
            while not self.stopping:
                self._turn()
                self._tick(time.monotonic())
            log.info("Stopping: %s", self.stopping)
        finally:
            self._withdraw()
            for session in list(self._sessions.values()):
                self._end(session, "the backend stops")
            self._router.close(linger=300)  # clients learn of the end now, not after the workers'
            for desk in self._desks:
                desk.worker.stop()

    def _turn(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._wake_out, zmq.POLLIN)
        for desk in self._desks:
            if desk.worker.socket is not None:
                poller.register(desk.worker.socket, zmq.POLLIN)
        ready = dict(poller.poll(TICK_MS))
        if self._wake_out.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                self._wake_out.recv(4096)
        if self._router in ready:
            self._read_clients()
        for desk in self._desks:
            self._read_worker(desk)
        for session in self._replies.lost:
            self._end(session, "its client is gone")
        self._replies.lost.clear()

    def _read_clients(self) -> None:
        for _ in range(64):  # then the workers get their turn
            try:
                frames, error = receive(self._router, self._limits, routed=True)
            except zmq.Again:
                return
            identity = frames[0].bytes
            try:
                self._handle(identity, frames, error)
            except zmq.ZMQError as failed:
                if failed.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                    raise

    def _read_worker(self, desk: RenderDesk | JobDesk) -> None:
        worker = desk.worker
        while worker.socket is not None:
            try:
                message, parts = link.receive_in_front(worker.socket)
            except zmq.Again:
                break
            worker.heard(message)
            if isinstance(message, link.Failed) and message.task == 0:
                worker.start_error = message.message
            desk.heard(message, parts)
        code = worker.ended()
        if code is not None:
            self._worker_ended(desk, code)

    def _worker_ended(self, desk: RenderDesk | JobDesk, code: int) -> None:
        worker = desk.worker
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        why = worker.start_error or f"The {worker.role} worker process ended ({how})."
        restart = not worker.start_error
        worker.start_error = ""
        log.error("%s", why)
        desk.ended(why, restart=restart)
        self._notice = why if worker.failed else f"{why} It was restarted."
        self._beat(time.monotonic())

    def _tick(self, now: float) -> None:
        if now - self._beaten >= BEAT_SECONDS:
            self._beat(now)
        for desk, limit in zip(
            self._desks, (self._options.render_hang_limit, self._options.job_hang_limit), strict=True
        ):
            if desk.worker.task and desk.worker.silent_for() > limit:
                log.error("The %s worker gave no sign of life for %g s; it is killed", desk.worker.role, limit)
                desk.worker.kill()
        self._jobs.tick(now)
        if not self.stopping:
            self.stopping = self._reason_to_end(now)

    def _beat(self, now: float) -> None:
        self._beaten = now
        workers = self._workers()
        notice, self._notice = self._notice, ""
        for session in list(self._sessions.values()):
            beat = m.Beat(workers=workers, sessions=len(self._sessions), jobs=len(self._jobs.table), notice=notice)
            self._replies.send(session, beat)

    def _workers(self) -> list[m.WorkerInfo]:
        return [desk.worker.info() for desk in self._desks]

    def _reason_to_end(self, now: float) -> str:
        if self._sessions:
            self._idle_since, self._served = now, True
            return ""
        if self.starter_gone:
            return "the process that started it is gone and no lease remains"
        if self._options.persistent:
            return ""
        if self._served:
            return "no lease remains" if now - self._idle_since > self._options.grace else ""
        return "no client came" if now - self._started > self._options.startup_grace else ""

    # --- requests -----------------------------------------------------------------------------------------------

    def _handle(self, identity: bytes, frames: list[zmq.Frame], error: LimitError | None) -> None:
        parent = 0
        session: Session | None = None
        message: m.Message | None = None
        fresh = False
        try:
            if len(frames) < 2:
                raise ProtocolError("A message has no header.")
            if error is not None and len(frames[1].buffer) > self._limits.header_bytes:
                raise error
            message = decode_request(frames[1].buffer)
            parent = message.id
            if error is not None:
                raise error
            user = _user(frames[1])
            parts = [frame.buffer for frame in frames[2:]]
            if isinstance(message, m.Hello):
                check_parts(parts, 0, "hello")
                self._hello(identity, user, message)
                return
            session = self._session(message.session, identity, user)
            fresh = message.id not in session.open
            if not fresh:
                raise ProtocolError(f"The request id {message.id} is still in use.")
            self._handlers[type(message)](session, message, parts)
        except GsheadError as caught:
            answer = error_message(caught)
            answer.parent = parent or int(getattr(caught, "sender_id", 0))
            if isinstance(message, m.StreamUpdate):
                answer.stream, answer.token = message.stream, message.token
            if session is not None and fresh:
                session.open.pop(parent, None)
            self._replies.send_to(identity, answer)

    def _session(self, token: str, identity: bytes, user: str) -> Session:
        session = self._sessions.get(token)
        if session is None or session.user != user:
            raise UnknownIdError("This session is not known to the backend.", remedy="Connect again.")
        session.identity = identity
        return session

    def _hello(self, identity: bytes, user: str, message: m.Hello) -> None:
        if len(self._sessions) >= self._limits.sessions:
            raise LimitError(f"The backend already serves {self._limits.sessions} clients.")
        token = secrets.token_hex(16)
        self._count += 1
        rings = SessionRings(self._setup.directory, f"{self._options.name}.ring.{self._boot_id[:8]}-{self._count}")
        label = f"client {self._count} ({message.client[:40]!r})"
        session = Session(token, identity, user, label, rings)
        self._sessions[token] = session
        self._schedule.add_session(session)
        log.info("%s opened a session", label)
        reply = m.HelloReply(
            parent=message.id, session=token, boot_id=self._boot_id, package=__version__, pid=self._pid,
            limits=self._limits, methods=list(METHODS), features=list(FEATURES), workers=self._workers(),
            beat_seconds=BEAT_SECONDS,
        )  # fmt: skip
        self._replies.send(session, reply)

    def _waiter(self, session: Session, request: int) -> Waiter:
        waiter = session.open[request] = Waiter(session, request)
        return waiter

    def _done(self, session: Session, message: m.Message) -> None:
        self._replies.send(session, m.Done(parent=message.id))

    def _goodbye(self, session: Session, message: m.Goodbye, parts: Parts) -> None:
        self._done(session, message)
        self._end(session, "goodbye")

    def _end(self, session: Session, why: str) -> None:
        if session.ended:
            return
        session.ended = True
        self._sessions.pop(session.token, None)
        for waiter in session.open.values():
            waiter.closed = True
        session.open.clear()
        session.frames.clear()
        self._schedule.remove(session)
        session.rings.close()
        self._forget(self._store.drop_all(session.token))
        self._jobs.forget_session(session)
        log.info("%s ended: %s", session.label, why)

    def _cancel(self, session: Session, message: m.Cancel, parts: Parts) -> None:
        waiter = session.open.get(message.job)
        if waiter is not None:
            self._replies.cancel(waiter)
            self._jobs.review()
        self._done(session, message)

    def _reconstruct(self, session: Session, message: m.Reconstruct, parts: Parts) -> None:
        check_parts(parts, 1, "reconstruct")
        check_size(len(parts[0]), self._limits.portrait_bytes, "The portrait")
        if message.method not in METHODS:
            raise ProtocolError(
                f"There is no method '{message.method}'.", remedy=f"Use one of: {', '.join(METHODS)}."
            )  # fmt: skip
        self._jobs.ask(message, bytes(parts[0]), self._waiter(session, message.id))

    def _avatar_put(self, session: Session, message: m.AvatarPut, parts: Parts) -> None:
        check_parts(parts, 1, "avatar.put")
        check_size(len(parts[0]), self._limits.avatar_bytes, "The avatar")
        waiter = self._waiter(session, message.id)
        avatar_id, _, gone = self._store.add(bytes(parts[0]))
        self._forget(gone)

        def loaded(info: m.AvatarInfo | None, error: GsheadError | None) -> None:
            if info is not None and not waiter.closed:
                self._store.hold(avatar_id, session.token)
                self._replies.answer(waiter, m.AvatarStored(avatar=info))
            elif error is not None:
                self._replies.fail(waiter, error)
            self._forget(self._store.unpin(avatar_id))

        self._render.load(avatar_id, loaded)

    def _forget(self, gone: list[str]) -> None:
        for avatar_id in gone:
            self._jobs.table.forget_avatar(avatar_id)
        self._render.unload(gone)

    def _avatar_get(self, session: Session, message: m.AvatarGet, parts: Parts) -> None:
        data = self._store.held(message.avatar_id, session.token).data
        self._replies.send(session, m.AvatarData(parent=message.id, avatar_id=message.avatar_id), [data])

    def _avatar_drop(self, session: Session, message: m.AvatarDrop, parts: Parts) -> None:
        self._forget(self._store.drop(message.avatar_id, session.token))
        self._done(session, message)

    def _check_picture(self, session: Session, message: m.RenderFrame | m.StreamUpdate, parts: Parts) -> None:
        check_camera(message.camera, self._limits)
        check_instances(message.instances, [len(part) for part in parts], self._limits)
        for instance in message.instances:
            self._store.held(instance.avatar_id, session.token)

    def _frame(self, session: Session, message: m.RenderFrame, parts: Parts) -> None:
        self._check_picture(session, message, parts)
        if len(session.frames) >= self._limits.queue:
            raise LimitError(f"This client already waits for {self._limits.queue} frames.")
        wish = FrameWish(
            session, message.camera, message.instances, parts, message.dtype, message.depth, message.ring,
            waiter=self._waiter(session, message.id),
        )  # fmt: skip
        session.frames.append(wish)
        self._render.feed()

    def _stream_open(self, session: Session, message: m.StreamOpen, parts: Parts) -> None:
        if len(session.streams) >= self._limits.streams:
            raise LimitError(f"This client already has {self._limits.streams} streams.")
        self._streams += 1
        stream = Stream(self._streams, message.dtype, message.depth, message.ring)
        session.streams[stream.number] = stream
        self._schedule.add_stream(session, stream)
        self._replies.send(session, m.StreamOpened(parent=message.id, stream=stream.number))

    def _stream(self, session: Session, number: int) -> Stream:
        stream = session.streams.get(number)
        if stream is None:
            raise UnknownIdError(f"This client has no open stream {number}.")
        return stream

    def _stream_update(self, session: Session, message: m.StreamUpdate, parts: Parts) -> None:
        stream = self._stream(session, message.stream)
        self._check_picture(session, message, parts)
        stream.wish = FrameWish(
            session, message.camera, message.instances, parts, stream.dtype, stream.depth, stream.ring,
            message.scale, stream=stream, token=message.token,
        )  # fmt: skip
        self._render.feed()

    def _stream_ack(self, session: Session, message: m.StreamAck, parts: Parts) -> None:
        stream = session.streams.get(message.stream)
        if stream is not None and stream.unacknowledged == message.token:
            self._free_slot(session, stream)
            stream.unacknowledged = None
            self._render.feed()

    def _free_slot(self, session: Session, stream: Stream) -> None:
        if stream.slot is not None:
            session.rings.release(*stream.slot)
            stream.slot = None

    def _stream_close(self, session: Session, message: m.StreamClose, parts: Parts) -> None:
        stream = self._stream(session, message.stream)
        stream.closed = True
        del session.streams[stream.number]
        self._schedule.remove(session, stream)
        self._free_slot(session, stream)
        self._done(session, message)

    def _ring_release(self, session: Session, message: m.RingRelease, parts: Parts) -> None:
        session.rings.release(message.path, message.slot, message.sequence)

    def _restart(self, session: Session, message: m.RestartWorker, parts: Parts) -> None:
        worker = (self._render if message.role == "render" else self._jobs).worker
        if worker.running:
            worker.kill()
        else:
            worker.start(forgive=True)
        self._done(session, message)

    def _shutdown(self, session: Session, message: m.Shutdown, parts: Parts) -> None:
        others = len(self._sessions) - 1
        if others and not message.force:
            raise LimitError(
                f"{others} other client{'s use' if others > 1 else ' uses'} this backend.",
                remedy="Close them first, or stop the backend by force.",
            )
        self._done(session, message)
        self.stopping = f"{session.label} asked for it"


def _user(frame: zmq.Frame) -> str:
    try:
        user = frame.get("User-Id")
    except zmq.ZMQError:  # ipc has none
        return ""
    if not isinstance(user, str):
        raise AuthenticationError("A message has an unreadable user id.")
    return user
