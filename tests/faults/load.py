"""What keeps a backend busy: streams with slow consumers, bursts of frames, clients that come and go."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import psutil
from server_harness import make_camera

from gshead_backend.errors import GsheadError
from gshead_backend.protocol import Client, Endpoint, Instance

GROWTH = 1.05
SOME, KEPT = 4 << 20, 16 << 20
"""Bytes that a process may grow by beside ``GROWTH``: an allocator's step; and what a worker, which keeps the memory of
drawn frames for the next ones, holds more at one moment than at another (28 to 39 MiB, up and down, with 35,000 frames
of ``Bustle``)."""


@dataclass
class Ages:
    """How old streamed frames are, in drawing times: when they reach the client, and when a slow consumer looks.

    ``moments``: when frames came.
    """

    arrived: list[float] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    looked: list[float] = field(default_factory=list)

    def of(self, which: Sequence[float], percent: float) -> float:
        return float(np.percentile(which, percent)) if which else float("nan")


class Viewer:
    """A client with a stream that always wants the newest frame, and a consumer that looks now and then.

    Args:
        drawing: seconds that a frame takes to draw. every: seconds between looks.
    """

    def __init__(self, endpoint: Endpoint, avatar: bytes, pose: np.ndarray, drawing: float, every: float) -> None:
        self.ages = Ages()
        self.frames, self.errors = 0, [None][:0]
        self._drawing, self._every, self._pose = drawing, every, pose
        self._asked: dict[int, float] = {}
        self.client = Client(endpoint, name="viewer", timeout=30)
        self._avatar = self.client.avatar_put(avatar, timeout=60)
        self._stream = self.client.threaded.stream_open(prepare=self._arrived).wait(30)

    def _arrived(self, frame) -> float:
        now = time.monotonic()
        self.ages.moments.append(now)
        return now

    def run(self, until: float, wish_every: float) -> None:
        """Wishes and looks until a moment of ``time.monotonic``."""
        newest, looked = 0, time.monotonic()
        while (now := time.monotonic()) < until:
            heads = [Instance(self._avatar, np.eye(4), self._pose)]
            token = self.client.stream_update(self._stream, make_camera(160, 120), heads)
            self._asked[token] = now
            if now - looked >= self._every:
                looked = now
                newest = self._look(newest)
            time.sleep(wish_every)
        self._look(newest)

    def _look(self, newest: int) -> int:
        frame = self.client.stream_latest(self._stream, newer_than=newest)
        if frame is None:
            return newest
        asked = self._asked[frame.token]
        self.frames += 1
        self.ages.looked.append((time.monotonic() - asked) / self._drawing)
        self.ages.arrived.append((frame.prepared - asked) / self._drawing)
        for token in [t for t in self._asked if t < frame.token]:
            del self._asked[token]
        return frame.token

    def close(self) -> None:
        self.client.close()


@dataclass
class Measured:
    """What a backend's processes hold: bytes by process, descriptors and threads of the front."""

    memory: dict[str, int]
    handles: int
    threads: int


def measure(client: Client) -> Measured:
    """The front and its workers now."""
    hello = client.hello()
    found = {"front": psutil.Process(hello.pid)}
    beat = client.threaded.beat
    for worker in beat.workers if beat else []:
        if worker.pid:
            found[worker.role] = psutil.Process(worker.pid)
    front = found["front"]
    memory = {k: p.memory_full_info().uss for k, p in found.items()}  # without rings, which several map
    return Measured(memory, front.num_fds(), front.num_threads())


def growth(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """The processes whose memory has grown beyond what it may."""
    return [f"{name} {was >> 20} to {after[name] >> 20} MiB" for name, was in before.items()
            if after.get(name, 0) > was * GROWTH + (SOME if name == "front" else KEPT)]  # fmt: skip


def holds(before: Measured, after: Measured) -> str:
    """What has grown beyond what it may; empty when nothing has."""
    grown = growth(before.memory, after.memory)
    if after.handles > before.handles + 2:
        grown.append(f"{before.handles} to {after.handles} descriptors")
    if after.threads > before.threads + 1:
        grown.append(f"{before.threads} to {after.threads} threads")
    return ", ".join(grown)


class Bustle:
    """Clients that come, ask for all kinds of things in random order, and go. ``requests`` counts what was answered."""

    def __init__(self, endpoint: Endpoint, avatar: bytes, pose: np.ndarray, seed: int) -> None:
        self.requests, self.failures = 0, [""][:0]
        self._endpoint, self._avatar, self._pose, self._rng = endpoint, avatar, pose, random.Random(seed)

    def run(self, until: float, at_most: int = 1 << 60) -> None:
        """Until a moment of ``time.monotonic`` or so many requests."""
        while time.monotonic() < until and self.requests < at_most:
            try:
                with Client(self._endpoint, name="bustle", timeout=30) as client:
                    self._visit(client, until, at_most)
            except Exception as error:  # all of them: a thread's own would only be seen at the end, if at all
                self.failures.append(f"{time.strftime('%X')} {type(error).__name__}: {error}")
                print(self.failures[-1], flush=True)
                return

    def _visit(self, client: Client, until: float, at_most: int) -> None:
        avatar = client.avatar_put(self._avatar, timeout=60)
        self.requests += 2
        for _ in range(self._rng.randint(20, 120)):
            if time.monotonic() > until or self.requests >= at_most:
                break
            kind = self._rng.randrange(10)
            heads = [Instance(avatar, np.eye(4), self._pose)]
            if kind < 4:
                client.status(timeout=30)
                self.requests += 1
            elif kind < 7:
                size = self._rng.choice(((64, 48), (64, 48), (320, 200), (640, 400)))
                burst = [client.threaded.render(make_camera(*size), heads, dtype="uint8") for _ in range(8)]
                for request in burst:
                    request.wait(60)
                self.requests += len(burst)
            elif kind < 9:
                assert client.avatar_get(avatar, timeout=30) == self._avatar
                self.requests += 1
            else:
                client.avatar_drop(avatar)
                avatar = client.avatar_put(self._avatar, timeout=60)
                self.requests += 2
        if self._rng.random() < 0.3:
            with contextlib.suppress(GsheadError):  # it leaves in the middle of something
                client.threaded.render(make_camera(900, 600), [Instance(avatar, np.eye(4), self._pose)])


@contextlib.contextmanager
def at_once(*jobs) -> Iterator[None]:
    """Runs functions in threads of their own beside the block, and waits for them at its end."""
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
