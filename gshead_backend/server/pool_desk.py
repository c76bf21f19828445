"""Spreads the portraits of batches over a pool's workers; frames and single jobs never wait for it.

A portrait whose worker ends is given to another one. It is begun again only after the first process is gone and its
socket closed, so one answer comes for each.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from dataclasses import dataclass

from ..errors import BackendDiedError, BackendError, GsheadError, LimitError, from_code
from ..protocol.messages import BatchMade, BatchMake, JobInfo, Progress
from . import link
from .job_desk import STOP_WITHIN
from .jobs import Job, job_info, job_key
from .pool import Crew
from .replies import Replies
from .sessions import Waiter
from .workers import Worker

log = logging.getLogger("gshead.server")
TRIES = 3
"""Workers that may end over one portrait before it is given up: perhaps it is the portrait that ends them."""


@dataclass
class Member:
    """One worker of the pool and what it does; for the front a desk like the others."""

    worker: Worker
    desk: PoolDesk
    job: Job | None = None

    def heard(self, message: link.ToFront, parts: list[memoryview]) -> None:
        """A message of the worker."""
        self.desk.heard(self, message, parts)

    def ended(self, why: str, *, restart: bool) -> None:
        """Its process is gone."""
        self.desk.member_ended(self, why, restart=restart)


class PoolDesk:
    """Owns the queue of batches and the pool's workers, which start with the first portrait and rest after ``idle``
    seconds. ``limit``: portraits that one client may have under way."""

    def __init__(self, crew: Crew, replies: Replies, *, idle: float, limit: int) -> None:
        self.members: list[Member] = []
        self._crew, self._replies = crew, replies
        self._idle, self._limit = idle, limit
        self._queue: deque[Job] = deque()
        self._tasks = itertools.count(1)
        self._quiet_since = time.monotonic()
        self._recruit()

    def ask(self, message: BatchMake, payload: bytes, waiter: Waiter) -> None:
        """A client's portrait; an equal one that is queued or under way is shared."""
        mine = sum(w.session is waiter.session and not w.closed for job in self._jobs() for w in job.waiters)
        if mine >= self._limit:
            raise LimitError(f"This client already waits for {self._limit} portraits of a batch.")
        key = job_key(message, payload)
        for job in self._jobs():
            if job.key == key and job.stop_by is None:
                job.waiters.append(waiter)
                return
        self._queue.append(Job(key, message, payload, [waiter]))
        if self._crew.trouble:
            self._crew.again()
        if all(member.worker.failed for member in self.members):
            for member in self.members:
                member.worker.start(forgive=True)
        self.feed()

    def feed(self) -> None:
        """Gives idle workers their next portrait, and starts as many more as there are portraits."""
        for member in self.members:
            if member.worker.ready and member.job is None and (job := self._next(member)) is not None:
                self._begin(member, job)
        coming = sum(m.worker.running and not m.worker.ready for m in self.members)
        asleep = [m for m in self.members if not m.worker.running and not m.worker.failed]
        for member in asleep[: max(0, len(self._queue) - coming)]:
            if not member.worker.start():
                member.worker.give_up(member.worker.message or "It ended too often.")
        self._give_up_if_down()

    def review(self) -> None:
        """After a cancel or the end of a session: what nobody wants any more is stopped."""
        self._queue = deque(job for job in self._queue if job.wanted)
        for member in self.members:
            job = member.job
            if job is not None and not job.wanted and job.stop_by is None:
                job.stop_by = time.monotonic() + STOP_WITHIN
                member.worker.send(link.Stop(task=job.task))

    def tick(self, now: float) -> None:
        """Four times a second: takes in new workers, kills those that do not stop, lets idle ones rest."""
        self._recruit()
        if self._queue:
            self._quiet_since = now
            self.feed()
        for member in self.members:
            job = member.job
            if job is not None:
                self._quiet_since = now
                if job.stop_by is not None and now > job.stop_by:
                    log.warning("A stopped portrait goes on; the worker %s is killed", member.worker.role)
                    job.stop_by = now + STOP_WITHIN
                    member.worker.kill()
        if now - self._quiet_since > self._idle:
            for member in self.members:
                if member.worker.ready:
                    log.info("The worker %s rests", member.worker.role)
                    member.worker.stop()

    def infos(self) -> list[JobInfo]:
        """All portraits, those under way first."""
        return [job_info(job, running=job.task > 0) for job in self._jobs()]

    def close(self) -> None:
        """The backend ends."""
        self._crew.close()
        for member in self.members:
            member.worker.stop()

    def heard(self, member: Member, message: link.ToFront, parts: list[memoryview]) -> None:
        """A message of one of the workers."""
        job = member.job
        if job is not None and message.task == job.task:
            if isinstance(message, link.Step):
                self._tell(job, message.fraction, message.text)
            elif isinstance(message, link.Made):
                self._finish(member, job)
                for waiter in job.waiters:
                    answer = BatchMade(
                        warnings=message.warnings, seconds=message.seconds, worker=member.worker.role, tries=job.tries
                    )
                    self._replies.answer(waiter, answer, [bytes(parts[0])])
            elif isinstance(message, link.Failed):
                self._finish(member, job, message.code)
                error = from_code(message.code, message.message, message.remedy)
                if message.fatal:  # its device is lost, which says nothing about the portrait
                    self._again(member, job, message.message, error)
                else:
                    self._fail(job, error)
        self.feed()

    def member_ended(self, member: Member, why: str, *, restart: bool) -> None:
        """A worker's process is gone: its portrait goes to another one."""
        job, member.job = member.job, None
        if not restart:
            member.worker.give_up(why)
        if job is not None:
            self._again(member, job, why, BackendDiedError(f"{why} The portrait was tried {job.tries} times."))
        self.feed()

    # --- inside -------------------------------------------------------------------------------------------------

    def _jobs(self) -> list[Job]:
        return [*(member.job for member in self.members if member.job is not None), *self._queue]

    def _recruit(self) -> None:
        for worker in self._crew.recruit():
            self.members.append(Member(worker, self))

    def _next(self, member: Member) -> Job | None:
        others = any(m is not member and not m.worker.failed for m in self.members)
        for job in self._queue:
            if job.wanted and not (others and job.last is member):
                self._queue = deque(other for other in self._queue if other is not job)
                return job
        return None

    def _begin(self, member: Member, job: Job) -> None:
        job.task, job.tries, member.job = next(self._tasks), job.tries + 1, job
        member.worker.begin(job.task)
        ids = {"job": job.task, "session": ",".join(str(w.session.number) for w in job.waiters)}
        log.info("A portrait began on %s", member.worker.role, extra=ids)
        m = job.message
        assert isinstance(m, BatchMake)
        order = link.Work(
            task=job.task, method=m.method, quality=m.quality, name=m.name, seed=m.seed, splats=m.splats,
            head=m.head,
        )  # fmt: skip
        member.worker.send(order, [job.payload])

    def _finish(self, member: Member, job: Job, code: str = "") -> None:
        how = f"failed ({code})" if code else "is done"
        ids = {"job": job.task, **({"code": code} if code else {})}
        log.info("A portrait %s after %.1f s", how, time.monotonic() - job.since, extra=ids)
        member.job = None
        member.worker.end(job.task)

    def _again(self, member: Member, job: Job, why: str, error: GsheadError) -> None:
        if not job.wanted:
            return
        if job.tries >= TRIES:
            self._fail(job, error)
            return
        job.task, job.last, job.stop_by = 0, member, None
        self._queue.appendleft(job)
        self._tell(job, 0.0, f"{why} Trying again ({job.tries + 1} of {TRIES})")

    def _tell(self, job: Job, fraction: float, text: str) -> None:
        for waiter in job.waiters:
            if not waiter.closed:
                self._replies.send(waiter.session, Progress(parent=waiter.request, fraction=fraction, text=text))

    def _fail(self, job: Job, error: GsheadError) -> None:
        for waiter in job.waiters:
            self._replies.fail(waiter, error)

    def _give_up_if_down(self) -> None:
        down = [member for member in self.members if member.worker.failed]
        why = down[-1].worker.message if down and len(down) == len(self.members) else self._crew.trouble
        if not why:
            return
        error = BackendError(f"The pool is down: {why}", remedy="The backend's log says why it ended.")
        while self._queue:
            self._fail(self._queue.popleft(), error)
