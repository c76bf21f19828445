"""Feeds the render worker: avatars and frames, and hands its answers out.

The worker gets its next frame when the device has done the one before, while that is packed and handed over. So it
hardly waits, and what it is given is bound late: the newest wish of a stream.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import BackendDiedError, BackendError, GsheadError, UnknownIdError, from_code
from ..protocol.codec import RAW
from ..protocol.limits import camera_bytes
from ..protocol.messages import AvatarInfo, FrameInfo, FrameReply, RingRef, StreamFrame
from . import link
from .replies import Replies
from .sessions import FrameWish, Schedule
from .store import AvatarStore
from .vitals import Rate
from .workers import Worker

log = logging.getLogger("gshead.server")
OnLoaded = Callable[[AvatarInfo | None, GsheadError | None], None]


@dataclass
class _LoadTask:
    avatar_id: str
    callbacks: list[OnLoaded]


@dataclass
class _DrawTask:
    wish: FrameWish
    ring: link.RingTarget | None
    free: bool = False


_Task = _LoadTask | _DrawTask


class RenderDesk:
    """Owns what the render worker has in memory and what it is doing.

    Invariant: avatars in ``_loaded`` were acknowledged by the current process; all else is loaded before it is drawn.
    """

    def __init__(self, worker: Worker, store: AvatarStore, schedule: Schedule, replies: Replies) -> None:
        self.worker = worker
        self.rate = Rate()
        self._store, self._schedule, self._replies = store, schedule, replies
        self._tasks = itertools.count(1)
        self._loaded: set[str] = set()
        self._refused: dict[str, GsheadError] = {}
        self._loads: deque[_LoadTask] = deque()
        self._flight: dict[int, _Task] = {}  # sent and not answered, in the order in which the worker does them

    def load(self, avatar_id: str, callback: OnLoaded) -> None:
        """Makes the worker validate and keep an avatar of the store, then calls back (at once when it has it)."""
        avatar = self._store.find(avatar_id)
        if avatar is not None and avatar.info is not None and avatar_id in self._loaded:
            callback(avatar.info, None)
            return
        if self.worker.failed and not self._revive():
            callback(None, self._down())
            return
        self._refused.pop(avatar_id, None)
        for task in [*self._loads, *self._flight.values()]:
            if isinstance(task, _LoadTask) and task.avatar_id == avatar_id:
                task.callbacks.append(callback)
                return
        self._loads.append(_LoadTask(avatar_id, [callback]))
        self.feed()

    def unload(self, avatar_ids: Sequence[str]) -> None:
        """The store let these go."""
        for avatar_id in avatar_ids:
            self._refused.pop(avatar_id, None)
            if avatar_id in self._loaded and self.worker.running:
                self._loaded.discard(avatar_id)
                self.worker.send(link.Unload(avatar_id=avatar_id))

    def feed(self) -> None:
        """Gives the worker what it can take; only avatars before it is warm."""
        if self.worker.failed and not self._revive():
            self._fail_everything(self._down())
        elif not self.worker.running:  # it was to start on demand
            self.worker.start()
        while self.worker.listening:
            if self._loads:
                if self._flight:
                    return
                self._begin_load(self._loads.popleft())
                continue
            wish = self._next_wish() if self.worker.ready else None
            if wish is None:
                return
            self._begin_draw(wish)

    def _next_wish(self) -> FrameWish | None:
        busy = [task for task in self._flight.values() if not (isinstance(task, _DrawTask) and task.free)]
        if not busy:
            return self._schedule.next()
        first = busy[0]
        if len(busy) < self.worker.batch and isinstance(first, _DrawTask) and first.wish.waiter is not None:
            return self._schedule.next(only=first.wish.session)  # a timeline: drawn several at a time
        return None

    def _send(self, task: _Task, message: link.LinkMessage, parts: Sequence[Any]) -> None:
        message.task = next(self._tasks)
        if not self._flight:
            self.worker.begin(message.task)
        self._flight[message.task] = task
        self.worker.send(message, parts)

    def _answered(self, number: int) -> _Task | None:
        task = self._flight.pop(number, None)
        if task is not None:
            self.worker.end(number)
            if self._flight:
                self.worker.begin(next(iter(self._flight)))
        return task

    def _begin_load(self, task: _LoadTask) -> None:
        avatar = self._store.find(task.avatar_id)
        if avatar is None:
            for callback in task.callbacks:
                callback(None, UnknownIdError(f"The avatar {task.avatar_id[:12]}… is gone."))
            return
        self._send(task, link.Load(avatar_id=task.avatar_id), [avatar.data])

    def _begin_draw(self, wish: FrameWish) -> None:
        if wish.abandoned:
            return
        missing: list[str] = []
        for instance in wish.instances:
            if instance.avatar_id in self._refused:
                self._fail_wish(wish, self._refused[instance.avatar_id])
                return
            try:
                self._store.held(instance.avatar_id, wish.session.token)
            except UnknownIdError as error:
                self._fail_wish(wish, error)
                return
            if instance.avatar_id not in self._loaded:
                missing.append(instance.avatar_id)
        if missing:
            self._schedule.put_back(wish)
            self._loads.extend(_LoadTask(avatar_id, []) for avatar_id in dict.fromkeys(missing))
            return
        ring, codec, quality = None, RAW, 0
        size = camera_bytes(wish.camera, wish.dtype, wish.depth, wish.scale)
        if wish.ring:
            ring = wish.session.rings.acquire(size)
        else:
            pixels = camera_bytes(wish.camera, "uint8", False, wish.scale) // 4
            lossy = wish.lossy and wish.dtype == "uint8"
            codec, quality = wish.session.line.packing(size, pixels, lossy=lossy, readable=wish.session.codecs)
        draw = link.Draw(
            camera=wish.camera, instances=wish.instances, dtype=wish.dtype, depth=wish.depth, scale=wish.scale,
            splats=wish.splats, final=wish.waiter is not None, ring=ring, codec=codec, quality=quality,
        )  # fmt: skip
        self._send(_DrawTask(wish, ring), draw, wish.parts)

    # --- what the worker says -----------------------------------------------------------------------------------

    def heard(self, message: link.ToFront, parts: list[memoryview]) -> None:
        """A message of the worker."""
        if isinstance(message, link.Pulse):
            self.feed()
            return
        if isinstance(message, link.Free):
            self._on_free(message.task)
            return
        task = self._answered(message.task)
        if task is None:
            return
        if isinstance(message, link.Failed):
            self._fail_task(task, from_code(message.code, message.message, message.remedy))
        elif isinstance(message, link.Loaded) and isinstance(task, _LoadTask):
            self._on_loaded(task, message.info)
        elif isinstance(message, link.Drawn) and isinstance(task, _DrawTask):
            self._on_drawn(task, message.frame, message.sizes, parts)
        self.feed()

    def _on_free(self, number: int) -> None:
        if number not in self._flight:
            return
        for earlier, task in self._flight.items():
            if isinstance(task, _DrawTask):
                task.free = True
            if earlier == number:
                break
        self.feed()

    def _on_loaded(self, task: _LoadTask, info: AvatarInfo) -> None:
        avatar = self._store.find(task.avatar_id)
        if avatar is None:  # let go meanwhile
            self.worker.send(link.Unload(avatar_id=task.avatar_id))
            error = UnknownIdError(f"The avatar {task.avatar_id[:12]}… is gone.")
            for callback in task.callbacks:
                callback(None, error)
            return
        avatar.info = info
        self._loaded.add(task.avatar_id)
        for callback in task.callbacks:
            callback(info, None)

    def _on_drawn(self, task: _DrawTask, frame: FrameInfo, sizes: list[int], parts: list[memoryview]) -> None:
        wish, target = task.wish, task.ring
        self.rate.note()
        wish.session.rate.note()
        if wish.abandoned:
            self._give_back(task)
            return
        ring = RingRef(target.path, target.nonce, target.slot, target.sequence, sizes) if target else None
        if wish.waiter is not None:
            self._replies.answer(wish.waiter, FrameReply(frame=frame, ring=ring), parts)
        elif wish.stream is not None:
            wish.stream.owed[wish.token] = (target.path, target.slot, target.sequence) if target else None
            message = StreamFrame(stream=wish.stream.number, token=wish.token, frame=frame, ring=ring)
            if not wish.ring:
                wish.session.line.sent(wish.token, sum(len(part) for part in parts), time.monotonic())
            self._replies.send(wish.session, message, parts)

    def _fail_task(self, task: _Task, error: GsheadError) -> None:
        if isinstance(task, _LoadTask):
            avatar = self._store.find(task.avatar_id)
            if avatar is not None and avatar.refs:  # else nobody can ask for it: a stranger's files must not pile up
                self._refused[task.avatar_id] = error
            for callback in task.callbacks:
                callback(None, error)
            return
        self._give_back(task)
        self._fail_wish(task.wish, error)

    def _fail_wish(self, wish: FrameWish, error: GsheadError) -> None:
        if wish.waiter is not None:
            self._replies.fail(wish.waiter, error)
        elif wish.stream is not None:
            wish.stream.owed.pop(wish.token, None)
            self._replies.fail_stream(wish.session, wish.stream.number, wish.token, error)

    def _give_back(self, task: _DrawTask) -> None:
        if task.ring is not None:
            task.wish.session.rings.release(task.ring.path, task.ring.slot, task.ring.sequence)

    # --- when it ends -------------------------------------------------------------------------------------------

    def ended(self, why: str, *, restart: bool) -> None:
        """The process is gone: its task fails, what is still queued waits for the next process."""
        self._loaded.clear()
        self._refused.clear()
        flight, self._flight = list(self._flight.values()), {}
        if flight and not self.worker.ending:  # else the one at fault has its answer
            self._fail_task(flight.pop(0), BackendDiedError(why, remedy="Try again; the worker restarts by itself."))
        for task in reversed(flight):  # it had not begun with these
            if isinstance(task, _DrawTask):
                self._give_back(task)
                self._schedule.put_back(task.wish)
            else:
                self._loads.appendleft(task)
        if not restart or not self.worker.start():
            self.worker.give_up(why)
            self._fail_everything(self._down())
            return
        self._load_held()

    def _revive(self) -> bool:
        if not self.worker.revive():
            return False
        self._load_held()
        return True

    def _load_held(self) -> None:
        """A new process is given what clients hold."""
        self._refused.clear()
        queued = {task.avatar_id for task in self._loads}
        self._loads.extend(_LoadTask(i, []) for i in self._store.held_ids() if i not in queued)

    def _down(self) -> GsheadError:
        return BackendError(
            f"The render worker is down: {self.worker.message or 'it ended too often'}",
            remedy="It is tried again in a minute; the backend's log says why it ended.",
        )

    def _fail_everything(self, error: GsheadError) -> None:
        while self._loads:
            for callback in self._loads.popleft().callbacks:
                callback(None, error)
        while (wish := self._schedule.next()) is not None:
            self._fail_wish(wish, error)
