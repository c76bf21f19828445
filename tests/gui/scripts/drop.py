"""Drop a file onto a window of the X server, as a file manager does (XDND 5): ``drop.py FILE X Y``.

Standard library and libX11 only; it runs as a process of its own beside the program that it drops onto.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
import time
from pathlib import Path
from typing import Any

CLIENT_MESSAGE, SELECTION_NOTIFY, SELECTION_REQUEST = 33, 31, 30
VERSION, PATIENCE = 5, 15.0
Window = Atom = Time = ctypes.c_ulong


class ClientMessage(ctypes.Structure):
    """XClientMessageEvent."""

    _fields_ = [
        ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p),
        ("window", Window), ("message_type", Atom), ("format", ctypes.c_int), ("data", ctypes.c_long * 5),
    ]  # fmt: skip


class SelectionRequest(ctypes.Structure):
    """XSelectionRequestEvent."""

    _fields_ = [
        ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p),
        ("owner", Window), ("requestor", Window), ("selection", Atom), ("target", Atom), ("property", Atom),
        ("time", Time),
    ]  # fmt: skip


class SelectionNotify(ctypes.Structure):
    """XSelectionEvent."""

    _fields_ = [
        ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p),
        ("requestor", Window), ("selection", Atom), ("target", Atom), ("property", Atom), ("time", Time),
    ]  # fmt: skip


class Event(ctypes.Union):
    """XEvent."""

    _fields_ = [
        ("type", ctypes.c_int), ("client", ClientMessage), ("request", SelectionRequest), ("notify", SelectionNotify),
        ("pad", ctypes.c_long * 24),
    ]  # fmt: skip


class Source:
    """The window that the file is dragged from."""

    def __init__(self, uri: str) -> None:
        self.x = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
        self.x.XOpenDisplay.restype = ctypes.c_void_p
        for name in ("XDefaultRootWindow", "XInternAtom", "XCreateSimpleWindow"):
            getattr(self.x, name).restype = ctypes.c_ulong
        self.display = ctypes.c_void_p(self.x.XOpenDisplay(None))
        assert self.display, "no X server"
        self.root = Window(self.x.XDefaultRootWindow(self.display))
        zero = ctypes.c_ulong(0)
        self.window = Window(self.x.XCreateSimpleWindow(self.display, self.root, 0, 0, 1, 1, 0, zero, zero))
        self.data = f"{uri}\r\n".encode()
        self.x.XSetSelectionOwner(self.display, self.atom("XdndSelection"), self.window, zero)

    def atom(self, name: str) -> Any:
        return Atom(self.x.XInternAtom(self.display, name.encode(), 0))

    def target_at(self, x: int, y: int) -> Any:
        """Move the pointer there; the window below it that takes drops."""
        self.x.XWarpPointer(self.display, Window(0), self.root, 0, 0, 0, 0, x, y)
        window = self.root
        while not self._takes_drops(window):
            child, rest, mask = Window(), Window(), ctypes.c_uint()
            numbers = [ctypes.byref(ctypes.c_int()) for _ in range(4)]
            self.x.XQueryPointer(
                self.display, window, ctypes.byref(rest), ctypes.byref(child), *numbers,
                ctypes.byref(mask),
            )  # fmt: skip
            assert child.value, "no window there takes drops"
            window = child
        return window

    def _takes_drops(self, window: Any) -> bool:
        kind, form, count, left = Atom(), ctypes.c_int(), ctypes.c_ulong(), ctypes.c_ulong()
        data = ctypes.c_void_p()
        self.x.XGetWindowProperty(
            self.display, window, self.atom("XdndAware"), ctypes.c_long(0), ctypes.c_long(1), 0, Atom(0),
            ctypes.byref(kind), ctypes.byref(form), ctypes.byref(count), ctypes.byref(left), ctypes.byref(data),
        )  # fmt: skip
        return count.value > 0

    def send(self, target: Any, what: str, *data: int) -> None:
        event = Event()
        event.client.type, event.client.window, event.client.format = CLIENT_MESSAGE, target.value, 32
        event.client.message_type = self.atom(what).value
        event.client.data[0] = self.window.value
        for k, value in enumerate(data, 1):
            event.client.data[k] = value
        self.x.XSendEvent(self.display, target, 0, ctypes.c_long(0), ctypes.byref(event))
        self.x.XFlush(self.display)

    def answer(self, request: SelectionRequest) -> None:
        """Hand the file's address over."""
        self.x.XChangeProperty(
            self.display, Window(request.requestor), Atom(request.property), Atom(request.target), 8, 0, self.data,
            len(self.data),
        )  # fmt: skip
        event = Event()
        event.notify.type, event.notify.requestor = SELECTION_NOTIFY, request.requestor
        event.notify.selection, event.notify.target = request.selection, request.target
        event.notify.property, event.notify.time = request.property, request.time
        self.x.XSendEvent(self.display, Window(request.requestor), 0, ctypes.c_long(0), ctypes.byref(event))
        self.x.XFlush(self.display)

    def until(self, what: str) -> Any:
        """The next message of that name; answers requests on the way."""
        wanted, ends, event = self.atom(what).value, time.monotonic() + PATIENCE, Event()
        while time.monotonic() < ends:
            while self.x.XPending(self.display):
                self.x.XNextEvent(self.display, ctypes.byref(event))
                if event.type == SELECTION_REQUEST:
                    self.answer(event.request)
                elif event.type == CLIENT_MESSAGE and event.client.message_type == wanted:
                    return list(event.client.data)
            time.sleep(0.01)
        raise TimeoutError(f"no {what}")


def main(path: Path, x: int, y: int) -> None:
    source = Source(path.resolve().as_uri())
    target = source.target_at(x, y)
    copy, kind = source.atom("XdndActionCopy").value, source.atom("text/uri-list").value
    source.send(target, "XdndEnter", VERSION << 24, kind)
    for step in (3, 2, 1, 0):  # in from the side
        source.x.XWarpPointer(source.display, Window(0), source.root, 0, 0, 0, 0, x - step, y)
        source.send(target, "XdndPosition", 0, (x - step) << 16 | y, 0, copy)
        if not source.until("XdndStatus")[1] & 1:
            sys.exit("refused")
        time.sleep(0.1)
    source.send(target, "XdndDrop", 0, 0)
    source.until("XdndFinished")


main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
