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

import zmq

from .. import __version__
from ..errors import AuthenticationError, GsheadError, LimitError, ProtocolError, UnknownIdError
from ..methods import METHODS
from ..protocol import messages as m
from ..protocol.framing import check_parts, decode_request, receive
from . import link
from .job_desk import JobDesk
from .options import ServeOptions
from .render_desk import RenderDesk
from .replies import Replies, error_message
from .requests import House, Requests
from .rings import SessionRings
from .sessions import Schedule, Session
from .store import AvatarStore
from .vitals import memory_of
from .workers import Worker, WorkerSetup

log = logging.getLogger("gshead.server")
BEAT_SECONDS = 1.0
TICK_MS = 250
FEATURES = (
    "reconstruct",
    "preview",
    "track",
    "avatar",
    "frame.render",
    "stream",
    "ring",
    "vertices",
    "codecs",
    "status",
)
PATHS = "track.path"


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
        self._count = 0
        self._notice = ""
        self._started = self._idle_since = self._beaten = time.monotonic()
        self._served = False
        self.starter_gone = False
        self.stopping = ""
        self._house = House(
            self._limits, self._replies, self._schedule, self._store, self._render, self._jobs, self._end,
            lambda: len(self._sessions), self._ask_stop, self._describe, reads_paths=options.endpoint == "auto",
        )  # fmt: skip
        self._requests = Requests(self._house)

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
                worker.heard(message)
                if isinstance(message, link.Failed) and message.task == 0:
                    worker.start_error = message.message
                desk.heard(message, parts)
            except zmq.Again:
                break
            except Exception:  # a worker out of its mind must not take the front with it
                log.exception("A message of the %s worker could not be handled; it is killed", worker.role)
                worker.kill()
                break
        code = worker.ended()
        if code is not None:
            self._worker_ended(desk, code)

    def _worker_ended(self, desk: RenderDesk | JobDesk, code: int) -> None:
        worker = desk.worker
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        why = worker.start_error or f"The {worker.role} worker process ended ({how})."
        restart = not worker.start_error
        worker.start_error = ""
        log.error("%s", why, extra={"task": worker.task})
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

    def _describe(self, asking: Session) -> m.StatusReply:
        """What ``status`` answers to a client; of clients with another key it learns no names."""
        sessions = [
            m.SessionInfo(
                s.number, s.client if s.user == asking.user else "", s is asking, time.monotonic() - s.since,
                len(self._store.held_by(s.token)), len(s.streams), len(s.frames), s.rate.per_second(),
            )
            for s in self._sessions.values()
        ]  # fmt: skip
        memory = {desk.worker.role: memory_of(desk.worker.pid) for desk in self._desks if desk.worker.running}
        return m.StatusReply(
            seconds=time.monotonic() - self._started, sessions=sessions, jobs=self._jobs.table.infos(),
            workers=self._workers(), memory={"front": memory_of(self._pid), **memory, "avatars": self._store.total()},
            drawn=self._render.rate.total, fps=self._render.rate.per_second(),
        )  # fmt: skip

    def _workers(self) -> list[m.WorkerInfo]:
        return [desk.worker.info() for desk in self._desks]

    def _reason_to_end(self, now: float) -> str:
        if self._sessions:
            self._idle_since, self._served = now, True
            return ""
        if self._options.persistent:
            return ""
        if self.starter_gone:
            return "the process that started it is gone and no lease remains"
        if self._served:
            return "no lease remains" if now - self._idle_since > self._options.grace else ""
        return "no client came" if now - self._started > self._options.startup_grace else ""

    def _ask_stop(self, why: str) -> None:
        self.stopping = why

    # --- clients ------------------------------------------------------------------------------------------------

    def _handle(self, identity: bytes, frames: list[zmq.Frame], error: LimitError | None) -> None:
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
        session = Session(token, identity, user, label, rings, message.codecs)
        session.number, session.client = self._count, message.client[:40]
        self._sessions[token] = session
        self._schedule.add_session(session)
        log.info("%s opened a session", label, extra={"session": self._count})
        reply = m.HelloReply(
            parent=message.id, session=token, boot_id=self._boot_id, package=__version__, pid=self._pid,
            limits=self._limits, methods=list(METHODS), features=self._features(), workers=self._workers(),
            beat_seconds=BEAT_SECONDS,
        )  # fmt: skip
        self._replies.send(session, reply)

    def _features(self) -> list[str]:
        return [*FEATURES, *([PATHS] if self._house.reads_paths else [])]

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
        self._house.forget(self._store.drop_all(session.token))
        self._jobs.forget_session(session)
        log.info("%s ended: %s", session.label, why, extra={"session": session.number})


def _user(frame: zmq.Frame) -> str:
    try:
        user = frame.get("User-Id")
    except zmq.ZMQError:  # ipc has none
        return ""
    if not isinstance(user, str):
        raise AuthenticationError("A message has an unreadable user id.")
    return user
