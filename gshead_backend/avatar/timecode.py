"""Timecodes of recordings: ``HH:MM:SS:FF.mmm`` labels to seconds, whatever rate they count in.

``FF`` counts frames of the timecode's own rate (60 in Live Link Face), whether or not each of them was recorded;
``mmm`` is the part of a frame in thousandths. ``;`` before FF marks drop-frame counting (SMPTE ST 12-1), in which
labels are left out at the start of nine minutes in ten so that 60000/1001 frames a second keep to the clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ArgumentError

RATES = (24, 25, 30, 48, 50, 60, 100, 120)
"""Frames a second that timecodes count in; 23.976, 29.97 and 59.94 count as their whole neighbours."""
USUAL_RATE = 60
_DAY = 24 * 3600.0
_LABEL = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})([:;])(\d{1,3}(?:[.,]\d{1,9})?)")
_WHOLE = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class Clock:
    """When rows were recorded.

    Attributes:
        seconds: (R,) from the first row; NaN for a label that cannot be read. Not necessarily increasing.
        rate: frames a second that the labels count in.
        known: the labels tell the rate; otherwise it was assumed.
    """

    seconds: np.ndarray
    rate: float
    known: bool


def read_timecodes(labels: Sequence[str], rate: float | None = None) -> Clock:
    """Seconds of timecode labels, or of plain frame numbers.

    Args:
        rate: frames a second that labels count in, where the caller knows better.
    Raises:
        ArgumentError: a rate outside 1..1000.
    """
    if rate is not None and not 1 <= rate <= 1000:
        raise ArgumentError(f"Timecodes count 1 to 1000 frames per second, not {rate:g}.")
    whole = [_WHOLE.fullmatch(label.strip()) for label in labels]
    if labels and all(whole):
        base = rate or float(USUAL_RATE)
        numbers = np.array([float(label) for label in labels])
        return Clock((numbers - numbers[0]) / base, base, rate is not None)
    parts = np.full((len(labels), 2), np.nan)  # whole seconds of the day, frame
    drop = False
    for i, label in enumerate(labels):
        found = _LABEL.fullmatch(label.strip())
        if found is None:
            continue
        hours, minutes, seconds = (int(found[k]) for k in (1, 2, 3))
        if hours < 24 and minutes < 60 and seconds < 60:
            parts[i] = 3600 * hours + 60 * minutes + seconds, float(found[5].replace(",", "."))
            drop |= found[4] == ";"
    base = rate or _counted_rate(parts)
    return Clock(_seconds(parts, base or float(USUAL_RATE), drop), base or float(USUAL_RATE), base is not None)


def _seconds(parts: np.ndarray, rate: float, drop: bool) -> np.ndarray:
    whole, frame = parts.T
    nominal = round(rate)
    if drop and nominal in (30, 60):
        left_out = 2 * (nominal // 30)
        minutes = np.floor(whole / 60)
        number = whole * nominal + frame - left_out * (minutes - np.floor(minutes / 10))
        seconds, day = number * 1001 / (1000 * nominal), _DAY - 0.0864  # 24 h of labels are 86.4 ms short of a day
    else:
        seconds, day = whole + frame / rate, _DAY
    good = np.flatnonzero(np.isfinite(seconds))
    if not good.size:
        return seconds
    steps = np.diff(seconds[good], prepend=seconds[good[0]])
    wraps = np.cumsum((steps < -day / 2).astype(int) - (steps > day / 2).astype(int))
    out = np.full(len(seconds), np.nan)
    out[good] = seconds[good] + day * wraps - seconds[good[0]]
    return out


def _counted_rate(parts: np.ndarray) -> float | None:
    """Where one second ends and the next begins, the frame numbers tell how many there are in a second."""
    good = parts[np.isfinite(parts).all(1)]
    if len(good) < 2:
        return None
    second, frame = np.diff(good[:, 0]), np.diff(good[:, 1])
    inside = frame[(second == 0) & (frame > 0)]
    turned = (second == 1) | (second < -_DAY / 2)
    if not inside.size or not turned.any():
        return None
    counts = np.median(inside) - frame[turned]
    at_least = math.floor(good[:, 1].max()) + 1
    count = float(np.median(counts))
    nearest = min(RATES, key=lambda r: abs(math.log(r / max(count, 1.0))))
    if nearest < at_least:
        return next((float(r) for r in RATES if r >= at_least), None)
    return float(nearest)


def row_rate(clock: Clock) -> float:
    """Frames a second that rows were recorded at: the timecode's rate, or a whole part of it."""
    steps = np.diff(clock.seconds[np.isfinite(clock.seconds)])
    steps = steps[steps > 1e-6]
    if not steps.size:
        return clock.rate
    every = max(1, round(float(np.median(steps)) * clock.rate))
    return clock.rate / every if every <= clock.rate else clock.rate  # less than one a second is a pause, not a rate


def label_of(frame: int, rate: int) -> str:
    """The timecode of a frame counted from midnight."""
    seconds, rest = divmod(frame, rate)
    return f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}.000"
