"""Reconstructions and trackings: who waits for which, what is running, and what was made before."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from ..protocol.messages import BatchMake, JobInfo, Reconstruct, Track
from .sessions import Session, Waiter

REMEMBERED = 64


@dataclass
class Job:
    """One reconstruction or tracking; equal requests of several clients share it.

    In a pool ``tries`` counts the workers that began it, and ``last`` is the one that ended over it.
    """

    key: str
    message: Reconstruct | BatchMake | Track
    payload: bytes
    waiters: list[Waiter] = field(default_factory=list)
    task: int = 0
    stop_by: float | None = None
    shown: bytes = b""
    since: float = field(default_factory=time.monotonic)
    tries: int = 0
    last: object = None

    @property
    def wanted(self) -> bool:
        """Somebody still waits."""
        return any(not waiter.closed for waiter in self.waiters)


@dataclass(frozen=True)
class Outcome:
    """What a reconstruction gave, by avatar id."""

    avatar_id: str
    warnings: tuple[str, ...]
    seconds: float


def job_key(message: Reconstruct | BatchMake | Track, payload: bytes) -> str:
    """Content hash of a request: equal keys give equal avatars. A tracking is never shared: clips on disk change."""
    if isinstance(message, Track):
        return secrets.token_hex(16)
    digest = hashlib.sha256(hashlib.sha256(payload).digest())
    options = (message.method, message.quality, message.name, message.head)
    if isinstance(message, BatchMake):
        options = (*options, str(message.seed), str(message.splats))
    for text in options:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


def job_info(job: Job, *, running: bool) -> JobInfo:
    """What ``status`` tells of a job."""
    kinds = {Track: "track", BatchMake: "batch", Reconstruct: "reconstruct"}
    return JobInfo(
        kinds[type(job.message)], job.task, running, sum(not waiter.closed for waiter in job.waiters),
        time.monotonic() - job.since,
    )  # fmt: skip


class JobTable:
    """The queue of jobs, one running at a time, and a short memory of outcomes."""

    def __init__(self) -> None:
        self.queue: deque[Job] = deque()
        self.running: Job | None = None
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()

    def open_for(self, session: Session) -> int:
        """How many jobs a session waits for."""
        jobs = [*self.queue, *([self.running] if self.running else [])]
        return sum(1 for job in jobs for w in job.waiters if w.session is session and not w.closed)

    def __len__(self) -> int:
        return len(self.queue) + int(self.running is not None)

    def infos(self) -> list[JobInfo]:
        """All of them, the running one first."""
        running = [self.running] if self.running else []
        return [job_info(job, running=job is self.running) for job in [*running, *self.queue]]

    def join(self, key: str, waiter: Waiter) -> Job | None:
        """Adds the waiter to an equal job that is queued or running, and returns that job."""
        for job in [*self.queue, *([self.running] if self.running else [])]:
            if job.key == key and job.stop_by is None:
                job.waiters.append(waiter)
                return job
        return None

    def next(self) -> Job | None:
        """Takes the next job that somebody wants out of the queue."""
        while self.queue:
            job = self.queue.popleft()
            if job.wanted:
                return job
        return None

    def remember(self, key: str, outcome: Outcome) -> None:
        """Keeps an outcome for equal requests."""
        self._outcomes[key] = outcome
        self._outcomes.move_to_end(key)
        while len(self._outcomes) > REMEMBERED:
            self._outcomes.popitem(last=False)

    def recall(self, key: str) -> Outcome | None:
        """The outcome of an equal request, if it is remembered."""
        return self._outcomes.get(key)

    def forget_avatar(self, avatar_id: str) -> None:
        """The avatar is no longer stored."""
        self._outcomes = OrderedDict((k, o) for k, o in self._outcomes.items() if o.avatar_id != avatar_id)
