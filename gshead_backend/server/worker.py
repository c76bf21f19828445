"""A worker process: one engine, one socket to the front, one thing at a time.

It is started by ``workers.Worker`` with a line of JSON on its standard input. That pipe then stays open: its end
means that the front process is gone, and the worker ends itself at once, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from typing import Any

import zmq

from ..errors import BackendError, Cancelled, GsheadError
from ..logs import configure_logs
from ..parallel import keep_freed_memory
from ..protocol.curve import connect_with_curve
from . import link
from .devices import as_gshead_error
from .drawing import Draw, Drawing
from .shots import EngineLike, Progress

PULSE = 0.5
"""Seconds between two signs of life."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
log = logging.getLogger("gshead.worker")


class Loop:
    """The worker's main loop. ``config`` is what the front wrote to standard input."""

    def __init__(self, config: dict[str, Any], socket: zmq.Socket[bytes]) -> None:
        self._config = config
        self._socket = socket
        self._state = "warming"
        self._device, self._batch = "", 1
        self._text = ""
        self._pulsed = 0.0
        self._waiting: list[tuple[link.ToWorker, list[memoryview]]] = []
        self._stopped: set[int] = set()
        self._engine: EngineLike | None = None
        self._drawing: Drawing | None = None

    def run(self) -> None:
        """Makes the engine, warms up beside answering what needs no compiled code, then goes on until it is ended."""
        try:
            self._start_engine()
            self._warm_up()
        except Exception as error:
            log.error("The worker cannot start:\n%s", traceback.format_exc())
            self._fail(0, error, fatal=True)
            return
        self._state = "ready"
        self._pulse(force=True)
        while True:
            self._turn(PULSE)

    def _turn(self, patience: float) -> None:
        if not self._waiting and self._socket.poll(int(patience * 1000)):
            self._take()
        self._pulse()
        while self._waiting:
            self._handle(*self._waiting.pop(0))
            self._take()  # what came meanwhile: draws that go together are drawn together

    def _start_engine(self) -> None:
        self._pulse(force=True)
        module, _, name = str(self._config["engine"]).partition(":")
        self._engine = getattr(importlib.import_module(module), name)(self._config["device"])
        self._device, self._batch = self.engine.device, self.engine.batch
        self.engine.attend(self._at_work)
        self._drawing = Drawing(self.engine, self._socket, self._failed)
        self._pulse(force=True)

    def _warm_up(self) -> None:
        """Compiling takes up to a minute: a thread does it, so that avatars are taken in meanwhile."""
        if self._config["role"] != "render":
            return
        failure: list[Exception] = []

        def compile_kernels() -> None:
            try:
                self.engine.warm_up(self._note)
            except Exception as error:
                failure.append(error)

        thread = threading.Thread(target=compile_kernels, name="gshead-warm-up", daemon=True)
        thread.start()
        while thread.is_alive():
            self._turn(0.02)
        self._text = ""
        if failure:
            raise failure[0]

    def _note(self, fraction: float, text: str) -> None:
        self._text = text  # the main thread sends it: sockets belong to one thread

    def _at_work(self, text: str) -> None:
        """From within long work: it goes on, and this is what it does."""
        self._text = text
        self._pulse()

    @property
    def engine(self) -> EngineLike:
        assert self._engine is not None
        return self._engine

    def _take(self) -> None:
        while True:
            try:
                message, parts = link.receive_in_worker(self._socket)
            except zmq.Again:
                return
            if isinstance(message, link.Stop):
                self._stopped.add(message.task)
            else:
                self._waiting.append((message, parts))

    def _pulse(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self._pulsed >= PULSE:
            self._pulsed = now
            pulse = link.Pulse(state=self._state, device=self._device, message=self._text, batch=self._batch)
            link.send(self._socket, pulse)

    def _handle(self, message: link.ToWorker, parts: list[memoryview]) -> None:
        try:
            if isinstance(message, link.Draw):
                self._draw((message, parts))
            elif isinstance(message, link.Load):
                info = self.engine.load(message.avatar_id, bytes(parts[0]), int(self._config["splats"]))
                link.send(self._socket, link.Loaded(task=message.task, info=info))
            elif isinstance(message, link.Unload):
                self.engine.unload(message.avatar_id)
            elif isinstance(message, link.Work | link.Follow):
                self._work(message, parts)
        except Exception as error:
            self._failed(message.task, error)

    def _failed(self, task: int, error: Exception) -> None:
        if not isinstance(error, GsheadError):
            log.error("Task %d failed:\n%s", task, "".join(traceback.format_exception(error)), extra={"task": task})
        with contextlib.suppress(Exception):
            self.engine.free_memory()
        self._fail(task, error)

    def _fail(self, task: int, error: Exception, *, fatal: bool = False) -> None:
        answer, lost = as_gshead_error(error)
        lost = lost or fatal
        link.send(
            self._socket,
            link.Failed(task=task, code=answer.code, message=answer.message, remedy=answer.remedy, fatal=lost),
        )
        if lost:
            self._socket.close(linger=1000)
            self._socket.context.term()
            os._exit(3)

    def _draw(self, first: Draw) -> None:
        """Draws ``first`` and those that wait right behind it, as many as the engine takes at once."""
        assert self._drawing is not None
        draws = [first]
        while len(draws) < self._batch and (more := self._next_draw()) is not None:
            draws.append(more)
            self._waiting.pop(0)
        self._drawing.begin(draws)
        self._take()
        if self._batch == 1 or self._next_draw() is None:
            self._drawing.finish()
        self._text = ""

    def _next_draw(self) -> Draw | None:
        message, parts = self._waiting[0] if self._waiting else (None, [])
        return (message, parts) if isinstance(message, link.Draw) else None

    def _work(self, message: link.Work | link.Follow, parts: list[memoryview]) -> None:
        sent = 0.0
        what = "reconstruction" if isinstance(message, link.Work) else "tracking"

        def progress(fraction: float, text: str) -> None:
            nonlocal sent
            self._take()
            if message.task in self._stopped:
                raise Cancelled(f"The {what} was stopped.")
            now = time.monotonic()
            if now - sent >= 0.05 or fraction >= 1.0:
                sent = now
                step = link.Step(task=message.task, fraction=min(max(float(fraction), 0.0), 1.0), text=str(text)[:200])
                link.send(self._socket, step)
            self._pulse()

        try:
            progress(0.0, "Starting")
            if isinstance(message, link.Follow):
                self._follow(message, bytes(parts[0]) if parts else b"", progress)
                return
            made = self.engine.reconstruct(
                bytes(parts[0]), message.method, message.quality, message.name, progress,
                lambda data: link.send(self._socket, link.Shown(task=message.task), [data]),
                seed=message.seed, splats=message.splats, head=message.head,
            )  # fmt: skip
            answer = link.Made(task=message.task, warnings=list(made.warnings), seconds=made.seconds)
            link.send(self._socket, answer, [made.data])
        finally:
            self._stopped.discard(message.task)

    def _follow(self, message: link.Follow, clip: bytes, progress: Progress) -> None:
        taken = self.engine.track(
            message.path, clip, progress, name=message.name, fps=message.fps, smooth=message.smooth,
            motion=message.motion, center=message.center,
        )  # fmt: skip
        answer = link.Taken(task=message.task, warnings=list(taken.warnings), seconds=taken.seconds)
        link.send(self._socket, answer, [taken.data])


def _end_with_front(handle: int) -> None:
    """Waits for the end of the pipe from the front process, then ends this process without ceremony."""
    while os.read(handle, 4096):
        pass
    os._exit(0)


def _die_with_front() -> None:
    """Linux kills this process when the front ends, also while it is stopped or computes without letting a thread run.

    Elsewhere the end of the pipe has to do, which is noticed when a thread can run again.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def main(config: dict[str, Any]) -> None:
    """Entry of a worker process; ``config`` came over standard input, which now only tells the front's end."""
    _die_with_front()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the front's to handle
    threading.Thread(target=_end_with_front, args=(0,), name="gshead-front-watch", daemon=True).start()
    work_for(config)


def work_for(config: dict[str, Any]) -> None:
    """Serves the front at ``config["address"]`` until this process is ended."""
    configure_logs(role=config["role"], boot=config["boot"])
    keep_freed_memory()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.PAIR)
    socket.linger = 0
    if config["server_key"]:
        connect_with_curve(socket, config["server_key"], config["client_public"], config["client_secret"])
    socket.connect(config["address"])
    try:
        Loop(config, socket).run()
    except zmq.Again:
        raise BackendError("The front process does not read what this worker sends.") from None
    finally:
        socket.close(linger=0)
        context.term()
