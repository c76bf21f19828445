"""What the verbs share: parsing, progress on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import ArgumentError

_MAX_FRAMES = 1_000_000


def parse(function: Callable[..., int], verb: str, args: Sequence[str]) -> int:
    """Run ``function`` with command-line arguments for its parameters (tyro: types and docstring make the help)."""
    import tyro

    return tyro.cli(function, prog=f"gshead {verb}", args=args, config=(tyro.conf.FlagCreatePairsOff,))


def parse_actions(actions: Mapping[str, Callable[..., int]], verb: str, args: Sequence[str]) -> int:
    """Run one of several actions of a verb, e.g. ``gshead head list``."""
    import tyro

    app = tyro.extras.SubcommandApp()
    for name, function in actions.items():
        app.command(name=name)(function)
    return app.cli(prog=f"gshead {verb}", args=args, config=(tyro.conf.FlagCreatePairsOff,))


def emit(result: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print a result on stdout: ``text`` for people, ``result`` as one JSON object for programs."""
    line = json.dumps(result, ensure_ascii=False) if as_json else text
    try:
        line.encode()
    except UnicodeEncodeError:  # a file's name that is no text: escaped in JSON, else with question marks
        line = json.dumps(result) if as_json else text.encode("utf-8", "replace").decode()
    print(line, flush=True)


def warn(text: str) -> None:
    """One warning on stderr."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


_interrupted = False


def _interrupt(number: int, frame: object) -> None:
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


def was_interrupted() -> bool:
    """Ctrl-C has come while a :class:`Progress` was shown."""
    return _interrupted


class Progress:
    """Progress on stderr: one line that is redrawn on a terminal, else a line for every tenth.

    Ctrl-C that falls into a callback from C, which swallows exceptions, is raised again at the next step.
    """

    def __init__(self) -> None:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            with contextlib.suppress(ValueError):  # only the main thread may say what signals do
                signal.signal(signal.SIGINT, _interrupt)
        self._terminal = sys.stderr.isatty()
        self._tenth = -1
        self._started = time.monotonic()
        self._width = 0

    def __call__(self, fraction: float, text: str) -> None:
        if _interrupted:
            raise KeyboardInterrupt
        line = f"{min(max(fraction, 0), 1):4.0%} {text} ({time.monotonic() - self._started:.1f} s)"
        if self._terminal:
            print("\r" + line.ljust(self._width), end="", file=sys.stderr, flush=True)
            self._width = len(line)
            if fraction >= 1:
                self.close()
        elif int(fraction * 10) != self._tenth:
            self._tenth = int(fraction * 10)
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line on a terminal."""
        if self._terminal and self._width:
            print(file=sys.stderr, flush=True)
            self._width = 0

    def part(self, low: float, high: float) -> Callable[[float, str], None]:
        """A progress whose 0..1 fills ``low``..``high`` of this one."""
        return lambda fraction, text: self(low + (high - low) * fraction, text)


def parse_size(text: str) -> tuple[int, int]:
    """``"512x384"`` (or ``"512"`` for a square) to (width, height). Raises ``ArgumentError``."""
    match = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", text.strip().lower())
    if match is None:
        raise ArgumentError(f"The size '{text}' is not WIDTHxHEIGHT.", remedy="Write for example --size 512x512.")
    width, height = int(match[1]), int(match[2] or match[1])
    if not (1 <= width <= 16384 and 1 <= height <= 16384):
        raise ArgumentError(f"The size {width}x{height} is outside 1 to 16384 pixels.")
    return width, height


def parse_frames(text: str) -> list[int]:
    """``"1-48"``, ``"1-48:2"``, ``"3,5,10-12"``, ``"-5--1"`` to frame numbers, in the order given, each once."""
    frames: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(-?\d{1,9})(?:-(-?\d{1,9}))?(?::(\d{1,6}))?\s*", part)
        if match is None:
            raise ArgumentError(
                f"'{part.strip()}' in --frames is not a frame or a range.",
                remedy="Write for example 1-48, 1-48:2 or 1,5,9.",
            )
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if last < first or step < 1:
            raise ArgumentError(f"The frame range '{part.strip()}' is empty.")
        if len(frames) + (last - first) // step >= _MAX_FRAMES:
            raise ArgumentError(f"--frames names more than {_MAX_FRAMES} frames.")
        frames |= dict.fromkeys(range(first, last + 1, step))
    return list(frames)


def parse_color(text: str) -> tuple[float, float, float] | None:
    """``"transparent"`` to None; ``"white"``, ``"black"``, ``"grey"`` or ``"#rrggbb"`` to sRGB 0..1."""
    names = {"white": "#ffffff", "black": "#000000", "grey": "#808080", "gray": "#808080"}
    if text == "transparent":
        return None
    match = re.fullmatch(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", names.get(text.lower(), text.lower()))
    if match is None:
        raise ArgumentError(f"'{text}' is not a colour.", remedy="Use transparent, white, black, grey or #rrggbb.")
    r, g, b = (int(v, 16) / 255 for v in match.groups())
    return r, g, b


def bytes_text(count: float) -> str:
    """``1234567`` to ``"1.2 MB"``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
