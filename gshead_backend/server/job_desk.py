"""Feeds the jobs worker: one reconstruction or tracking at a time, in its own process so that frames never wait."""

from __future__ import annotations

import itertools
import logging
import time

from ..errors import BackendDiedError, BackendError, GsheadError, LimitError, from_code
from ..protocol.messages import AvatarInfo, Preview, Progress, Reconstruct, Reconstructed, Track, Tracked
from . import link
from .jobs import Job, JobTable, Outcome, job_key
from .render_desk import RenderDesk
from .replies import Replies
from .sessions import Waiter
from .store import AvatarStore
from .workers import Worker

log = logging.getLogger("gshead.server")
STOP_WITHIN = 10.0
"""Seconds that a cancelled job may take to stop by itself; then its worker is killed."""


class JobDesk:
    """Owns the job table and the jobs worker. The worker starts with the first job and ends after ``idle`` seconds."""

    def __init__(
        self, worker: Worker, store: AvatarStore, render: RenderDesk, replies: Replies, *, idle: float, limit: int
    ) -> None:
        self.worker = worker
        self.table = JobTable()
        self._store, self._render, self._replies = store, render, replies
        self._idle, self._limit = idle, limit
        self._tasks = itertools.count(1)
        self._quiet_since = time.monotonic()

    def ask(self, message: Reconstruct | Track, payload: bytes, waiter: Waiter) -> None:
        """A client's wish; an equal one that is known, queued or running is shared."""
        if self.table.open_for(waiter.session) >= self._limit:
            raise LimitError(f"This client already waits for {self._limit} jobs.")
        key = job_key(message, payload)
        outcome = self.table.recall(key)
        avatar = self._store.find(outcome.avatar_id) if outcome else None
        if outcome is not None and avatar is not None and avatar.info is not None:
            self._store.hold(outcome.avatar_id, waiter.session.token)
            self._answer(waiter, avatar.info, outcome, reused=True)
            return
        if (job := self.table.join(key, waiter)) is not None:
            if job.shown:
                self._preview(waiter, job.shown)
            return
        self.table.queue.append(Job(key, message, payload, [waiter]))
        self.worker.start(forgive=self.worker.failed)
        self.feed()

    def feed(self) -> None:
        """Gives an idle, warm worker its next job; starts it when there is one and it sleeps."""
        if self.worker.ready and self.table.running is None and (job := self.table.next()) is not None:
            job.task = next(self._tasks)
            self.table.running = job
            self.worker.begin(job.task)
            ids = {"job": job.task, "session": ",".join(str(w.session.number) for w in job.waiters)}
            log.info("A %s began", type(job.message).__name__.lower(), extra=ids)
            self.worker.send(_order(job), [job.payload] if job.payload else [])
        elif self.table.queue and not self.worker.running and not self.worker.failed:
            self.worker.start()

    def review(self) -> None:
        """After a cancel or the end of a session: stops the running job when nobody wants it any more."""
        job = self.table.running
        if job is not None and not job.wanted and job.stop_by is None:
            job.stop_by = time.monotonic() + STOP_WITHIN
            self.worker.send(link.Stop(task=job.task))

    def tick(self, now: float) -> None:
        """Four times a second: kills a job that does not stop, ends an idle worker."""
        job = self.table.running
        if len(self.table):
            self._quiet_since = now
        if job is not None and job.stop_by is not None and now > job.stop_by:
            log.warning("A stopped job goes on; its worker is killed")
            job.stop_by = now + STOP_WITHIN
            self.worker.kill()
        if self.worker.ready and now - self._quiet_since > self._idle:
            log.info("The jobs worker rests")
            self.worker.stop()

    def heard(self, message: link.ToFront, parts: list[memoryview]) -> None:
        """A message of the worker."""
        job = self.table.running
        if job is not None and message.task == job.task:
            if isinstance(message, link.Step):
                for waiter in job.waiters:
                    self._progress(waiter, message.fraction, message.text)
            elif isinstance(message, link.Shown):
                self._show(job, bytes(parts[0]))
            elif isinstance(message, link.Made):
                self._finish(job)
                self._made(job, message, bytes(parts[0]))
            elif isinstance(message, link.Taken):
                self._finish(job)
                for waiter in job.waiters:
                    answer = Tracked(warnings=message.warnings, seconds=message.seconds)
                    self._replies.answer(waiter, answer, [bytes(parts[0])])
            elif isinstance(message, link.Failed):
                self._finish(job, message.code)
                self._fail(job, from_code(message.code, message.message, message.remedy))
        self.feed()

    def _progress(self, waiter: Waiter, fraction: float, text: str) -> None:
        if not waiter.closed:
            step = Progress(parent=waiter.request, fraction=fraction, text=text)
            self._replies.send(waiter.session, step)

    def _show(self, job: Job, data: bytes) -> None:
        job.shown = data  # for those who join later
        for waiter in job.waiters:
            self._preview(waiter, data)

    def _preview(self, waiter: Waiter, data: bytes) -> None:
        if waiter.preview and not waiter.closed:
            self._replies.send(waiter.session, Preview(parent=waiter.request), [data])

    def _finish(self, job: Job, code: str = "") -> None:
        took, how = time.monotonic() - job.since, f"failed ({code})" if code else "is done"
        log.info("It %s after %.1f s", how, took, extra={"job": job.task, **({"code": code} if code else {})})
        self.table.running = None
        self.worker.end(job.task)

    def _made(self, job: Job, message: link.Made, data: bytes) -> None:
        try:
            avatar_id, _, gone = self._store.add(data)
        except LimitError as error:
            self._fail(job, error)
            return
        self._forget(gone)
        outcome = Outcome(avatar_id, tuple(message.warnings), message.seconds)

        def loaded(info: AvatarInfo | None, error: GsheadError | None) -> None:
            if info is None or error is not None:
                self._fail(job, error or BackendError("The new avatar could not be loaded."))
            else:
                self.table.remember(job.key, outcome)
                for waiter in job.waiters:
                    if not waiter.closed:
                        self._store.hold(avatar_id, waiter.session.token)
                        self._answer(waiter, info, outcome, reused=False)
            self._forget(self._store.unpin(avatar_id))

        self._render.load(avatar_id, loaded)

    def _answer(self, waiter: Waiter, info: AvatarInfo, outcome: Outcome, *, reused: bool) -> None:
        answer = Reconstructed(
            avatar=info, warnings=list(outcome.warnings), seconds=outcome.seconds, reused=reused
        )  # fmt: skip
        self._replies.answer(waiter, answer)

    def _forget(self, gone: list[str]) -> None:
        for avatar_id in gone:
            self.table.forget_avatar(avatar_id)
        self._render.unload(gone)

    def _fail(self, job: Job, error: GsheadError) -> None:
        for waiter in job.waiters:
            self._replies.fail(waiter, error)

    def ended(self, why: str, *, restart: bool) -> None:
        """The process is gone: the running job fails, queued ones wait for the next process."""
        job, self.table.running = self.table.running, None
        if job is not None:
            self._fail(job, BackendDiedError(why, remedy="Try again; the worker restarts by itself."))
        if not restart or (self.table.queue and not self.worker.start()):
            self.worker.give_up(why)
        if self.worker.failed:
            error = BackendError(f"The jobs worker is down: {why}", remedy="The backend's log says why it ended.")
            while (queued := self.table.next()) is not None:
                self._fail(queued, error)


def _order(job: Job) -> link.Work | link.Follow:
    m = job.message
    if isinstance(m, Track):
        return link.Follow(
            task=job.task, path=m.path, name=m.name, fps=m.fps, smooth=m.smooth, motion=m.motion, center=m.center
        )
    assert isinstance(m, Reconstruct)
    return link.Work(task=job.task, method=m.method, quality=m.quality, name=m.name, head=m.head)
