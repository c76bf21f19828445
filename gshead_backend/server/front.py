"""The front process: one thread, one loop, always answering. It owns the sockets, the leases and the workers.

Nothing here computes: torch is never imported, files are hashed but not parsed, and no call waits.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable

import zmq

from ..protocol import messages as m
from ..protocol.framing import receive
from . import link
from .clients import BEAT_SECONDS, Clients
from .endless import EndlessWatch
from .job_desk import JobDesk
from .options import ServeOptions
from .pool import Crew
from .pool_desk import Member, PoolDesk
from .processes import WorkerSetup
from .render_desk import RenderDesk
from .replies import Replies
from .requests import House
from .sessions import Schedule, Session
from .store import AvatarStore
from .vitals import Housekeeping, memory_of
from .workers import Worker

log = logging.getLogger("gshead.server")
TICK_MS = 250
FAREWELL = 0.05
"""Seconds between the last answers and the end of the socket: in the moment of closing it may lose them."""


class Front:
    """The loop; what clients say goes to ``Clients``, what workers say to their desks.

    ``wake_out`` becomes readable when another thread or a signal wants attention. ``withdraw`` is called first when
    the backend ends, so that no new client comes. ``crew``: the workers of its pool.
    """

    def __init__(
        self, options: ServeOptions, router: zmq.Socket[bytes], setup: WorkerSetup, boot_id: str, pid: int,
        wake_out: socket.socket, withdraw: Callable[[], None], crew: Crew | None = None,
    ) -> None:  # fmt: skip
        self._options, self._limits = options, options.limits
        self._router, self._setup, self._wake_out = router, setup, wake_out
        self._withdraw = withdraw
        self._replies = Replies(router)
        self._schedule = Schedule()
        self._store = AvatarStore(self._limits.avatars_bytes)
        self._render = RenderDesk(Worker("render", setup), self._store, self._schedule, self._replies)
        self._jobs = JobDesk(
            Worker("jobs", setup), self._store, self._render, self._replies, idle=options.job_idle,
            limit=self._limits.jobs,
        )  # fmt: skip
        self._pool: PoolDesk | None = None
        if crew is not None:
            self._pool = PoolDesk(crew, self._replies, idle=options.job_idle, limit=self._limits.batch)
        self._notice = ""
        self._housekeeping = Housekeeping()
        self._started = self._idle_since = self._beaten = time.monotonic()
        self._served = False
        self.starter_gone = False
        self.stopping = ""
        self._house = House(
            self._limits, self._replies, self._schedule, self._store, self._render, self._jobs, self._end,
            lambda: len(self._clients.sessions), self._ask_stop, self._describe, reads_paths=options.endpoint == "auto",
            pool=self._pool,
        )  # fmt: skip
        self._clients = Clients(options, self._house, setup.directory, boot_id, pid, self._workers)
        self._endless = EndlessWatch(router, self._limits.message_bytes, self._store.total)

    # --- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until told to stop or no lease remains; the workers are stopped on return."""
        if not self._options.render_on_demand:
            self._render.worker.start()
        try:
            self._endless.start()
            while not self.stopping:
                self._turn()
                self._tick(time.monotonic())
            log.info("Stopping: %s", self.stopping)
        finally:
            self._withdraw()
            sessions = list(self._clients.sessions.values())
            for session in sessions:
                self._end(session, "the backend stops")
            time.sleep(FAREWELL if sessions else 0.0)
            self._endless.close()
            self._router.close(linger=300)  # clients learn of the end now, not after the workers'
            for desk in (self._render, self._jobs):
                desk.worker.stop()
            if self._pool is not None:
                self._pool.close()

    @property
    def _desks(self) -> list[RenderDesk | JobDesk | Member]:
        return [self._render, self._jobs, *(self._pool.members if self._pool is not None else [])]

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
            self._endless.heard(frames[0])
            identity = frames[0].bytes
            try:
                self._clients.handle(identity, frames, error)
            except zmq.ZMQError as failed:
                if failed.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                    raise

    def _read_worker(self, desk: RenderDesk | JobDesk | Member) -> None:
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

    def _worker_ended(self, desk: RenderDesk | JobDesk | Member, code: int) -> None:
        worker = desk.worker
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        why = worker.start_error or worker.reason or f"The {worker.role} worker process ended ({how})."
        restart = not worker.start_error
        worker.start_error = ""
        log.error("%s", why, extra={"task": worker.task})
        desk.ended(why, restart=restart)
        self._notice = why if worker.failed else f"{why} It was restarted."
        self._beat(time.monotonic())

    def _tick(self, now: float) -> None:
        if now - self._beaten >= BEAT_SECONDS:
            self._beat(now)
        for desk in self._desks:
            limit = self._options.render_hang_limit if desk is self._render else self._options.job_hang_limit
            if silent := desk.worker.stuck(limit):
                log.error("The %s worker gave no sign of life for %.1f s; it is killed", desk.worker.role, silent)
                desk.worker.kill()
        self._jobs.tick(now)
        if self._pool is not None:
            self._pool.tick(now)
        self._housekeeping.tick(now, idle=not self._render.worker.task, held=self._store.total())
        if not self.stopping:
            self.stopping = self._reason_to_end(now)

    def _beat(self, now: float) -> None:
        self._beaten = now
        workers = self._workers()
        notice, self._notice = self._notice, ""
        sessions, jobs = list(self._clients.sessions.values()), len(self._job_infos())
        for session in sessions:
            beat = m.Beat(workers=workers, sessions=len(sessions), jobs=jobs, notice=notice)
            self._replies.send(session, beat)

    def _describe(self, asking: Session) -> m.StatusReply:
        """What ``status`` answers to a client; of clients with another key it learns no names."""
        sessions = [
            m.SessionInfo(
                s.number, s.client if s.user == asking.user else "", s is asking, time.monotonic() - s.since,
                len(self._store.held_by(s.token)), len(s.streams), len(s.frames), s.rate.per_second(),
            )
            for s in self._clients.sessions.values()
        ]  # fmt: skip
        memory = {desk.worker.role: memory_of(desk.worker.pid) for desk in self._desks if desk.worker.pid}
        return m.StatusReply(
            seconds=time.monotonic() - self._started, sessions=sessions, jobs=self._job_infos(),
            workers=self._workers(), memory={"front": memory_of(os.getpid()), **memory, "avatars": self._store.total()},
            drawn=self._render.rate.total, fps=self._render.rate.per_second(),
        )  # fmt: skip

    def _job_infos(self) -> list[m.JobInfo]:
        return self._jobs.table.infos() + (self._pool.infos() if self._pool is not None else [])

    def _workers(self) -> list[m.WorkerInfo]:
        return [desk.worker.info() for desk in self._desks]

    def _reason_to_end(self, now: float) -> str:
        if self._clients.sessions:
            self._idle_since, self._served = now, True
            return ""
        if self._options.persistent:
            return ""
        if self.starter_gone:
            return "the process that started it is gone and no lease remains"
        if self._served:
            return "no lease remains" if now - self._idle_since > self._options.grace else ""
        return "no client came" if now - self._started > self._options.startup_grace else ""

    def _end(self, session: Session, why: str) -> None:
        self._clients.end(session, why)

    def _ask_stop(self, why: str) -> None:
        self.stopping = why
