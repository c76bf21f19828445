"""Live Link Face recordings (CSV) to takes, and back. Facts of the format are in ``docs/take.md``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..errors import ArgumentError, FileFormatError
from ..head import ARKIT_NAMES
from .live_link_angles import ANGLES, degrees_of
from .live_link_notes import Notes
from .recording import Motion, take_of_frames
from .take import MAX_FRAMES, Take
from .timecode import read_timecodes, row_rate

MAX_BYTES = 256 * 2**20
MAX_COLUMNS = 1000
MAX_FIELD = 1000
MAX_SCALE = 10.0
_SLACK = 1e-6
_LOOK = tuple(name for name in ARKIT_NAMES if name.startswith("eyeLook"))
_PLACE = {name.lower(): i for i, name in enumerate((*ARKIT_NAMES, *ANGLES))}
_TIME, _COUNT = "timecode", "blendshapecount"


def load_live_link(
    path: str | Path, *, rate: float | None = None, motion: Motion = "neck", center: bool = False,
    scale: float = 1.0,
) -> tuple[Take, Notes]:  # fmt: skip
    """:func:`read_live_link` of a file, named after it. Raises ``FileFormatError`` with the file's name."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileFormatError(f"'{path}' is larger than {MAX_BYTES} bytes.", remedy="Cut the recording.")
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    try:
        return read_live_link(data, path.stem[:100], rate=rate, motion=motion, center=center, scale=scale)
    except FileFormatError as error:
        raise FileFormatError(f"'{path}': {error.message}", remedy=error.remedy) from error


def read_live_link(
    data: bytes, name: str = "take", *, rate: float | None = None, motion: Motion = "neck", center: bool = False,
    scale: float = 1.0,
) -> tuple[Take, Notes]:  # fmt: skip
    """A recording's bytes as a take of one key a frame, and what had to be mended.

    Args:
        rate: frames a second that the timecodes count in; found from them when None.
        motion, center: see ``take_of_frames``. scale: of the ARKit values, before they are clamped (0.01 for percent).
    Raises:
        FileFormatError: no column is an ARKit channel, no line can be read, or there is too much of it.
    """
    if len(data) > MAX_BYTES:
        raise FileFormatError(f"The recording has {len(data)} bytes; the limit is {MAX_BYTES}.")
    if not (np.isfinite(scale) and 0 <= scale <= MAX_SCALE):
        raise ArgumentError(f"A recording is scaled by 0 to {MAX_SCALE:g}, not {scale:g}.")
    lines = _lines(data)
    header = next(lines, [])
    columns, ignored, missing = _columns(header)
    labels, values, cut = _table(lines, header, columns)
    if not len(values):
        raise FileFormatError("The recording has a header, but no line with a timecode.")
    clock = read_timecodes(labels if _TIME in _names(header) else [str(i) for i in range(len(values))], rate)
    order, left_out, repeated = _in_order(clock.seconds)
    if not order.size:
        raise FileFormatError(
            f"The timecode {labels[0][:40]!r} cannot be read.", remedy="It should look like 12:27:47:35.169.",
        )  # fmt: skip
    fps = row_rate(clock)
    table, filled, unreadable = _even(clock.seconds[order], values[order], fps)
    arkit, angles = table[:, : len(ARKIT_NAMES)] * scale, table[:, len(ARKIT_NAMES) :].reshape(-1, 3, 3)
    told = np.nan_to_num(values[:, : len(ARKIT_NAMES)]) * scale
    clamped = int(((told < -_SLACK) | (told > 1 + _SLACK)).sum())
    looks = any(name in columns for name in _LOOK)
    take = take_of_frames(
        fps, np.clip(arkit, 0, 1), turn=degrees_of(angles[:, 0]) if angles[:, 0].any() else None,
        eyes=None if looks else np.stack([degrees_of(angles[:, 1]), degrees_of(angles[:, 2])], 1), name=name,
        motion=motion, center=center,
    )  # fmt: skip
    notes = Notes(
        ignored, missing, clamped, unreadable, left_out + cut, repeated, filled, 0.0 if clock.known else clock.rate
    )
    return take, notes


def _lines(data: bytes) -> Iterator[list[str]]:
    """The fields of each line that is not empty, decimal points instead of commas."""
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = data.decode("utf-16" if wide else "utf-8-sig", "replace")
    first = text.lstrip()[:20_000].splitlines()[:1]
    delimiter = max(",;\t", key=(first[0] if first else "").count)
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if len(row) > MAX_COLUMNS:
                raise FileFormatError(f"A line has {len(row)} columns; the limit is {MAX_COLUMNS}.")
            if any(field.strip() for field in row):
                yield row if delimiter == "," else [field.replace(",", ".") for field in row]
    except csv.Error as error:
        raise FileFormatError(f"This is not a CSV file: {error}.") from error


def _names(header: Sequence[str]) -> list[str]:
    """Names without case, blanks and underscores; ``_L`` and ``_R`` at the end count as Left and Right."""
    names = []
    for field in header:
        name = re.sub(r"_l$", "left", re.sub(r"_r$", "right", field.strip().lower()))
        names.append(re.sub(r"[\W_]+", "", name))
    return names


def _columns(header: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...], tuple[str, ...]]:
    """Channel or angle to its column, the columns ignored, and the ARKit channels that have none."""
    proper = dict(zip(_PLACE, (*ARKIT_NAMES, *ANGLES), strict=True))
    columns: dict[str, int] = {}
    ignored = []
    for i, name in enumerate(_names(header)):
        if name in proper and proper[name] not in columns:
            columns[proper[name]] = i
        elif name not in (_TIME, _COUNT):
            ignored.append(header[i].strip()[:60] or f"column {i + 1}")
    missing = tuple(name for name in ARKIT_NAMES if name not in columns)
    if len(missing) == len(ARKIT_NAMES):
        shown = ", ".join(repr(field.strip()[:30]) for field in header[:4])
        raise FileFormatError(
            f"No column is an ARKit channel; the first line begins with {shown or 'nothing'}.",
            remedy="Export the recording as CSV from Live Link Face: Timecode, BlendShapeCount, EyeBlinkLeft, …",
        )
    return columns, tuple(ignored), missing


def _table(
    lines: Iterator[list[str]], header: Sequence[str], columns: dict[str, int]
) -> tuple[list[str], np.ndarray, int]:
    """Timecode labels, (R, 61) values with NaN where there is none, and how many lines were cut off."""
    names = _names(header)
    time = names.index(_TIME) if _TIME in names else -1
    places = [(_PLACE[name.lower()], i) for name, i in columns.items()]
    last = max(i for _, i in places)
    labels: list[str] = []
    rows: list[np.ndarray] = []
    cut = 0
    for row in lines:
        # "12:22:06:30.534,0" says that no face was seen; anything else that is too short was cut off.
        blank = len(row) == 2 and time == 0 and row[1].strip() in ("", "0")
        if not blank and len(row) <= last:
            cut += 1
            continue
        if len(rows) >= MAX_FRAMES:
            raise FileFormatError(f"The recording has more than {MAX_FRAMES} lines.", remedy="Cut it into parts.")
        values = np.full(len(_PLACE), np.nan)
        for place, i in places:
            values[place] = np.nan if blank else _number(row[i])
        labels.append(row[time] if 0 <= time < len(row) else "")
        rows.append(values)
    return labels, np.array(rows).reshape(len(rows), len(_PLACE)), cut


def _number(field: str) -> float:
    if len(field) > MAX_FIELD:
        return np.nan
    try:
        value = float(field)
    except ValueError:
        return np.nan
    return value if abs(value) < 1e6 else np.nan


def _in_order(seconds: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Rows in increasing time; how many were left out (no time, or back in time) and how many repeat a time."""
    keep: list[int] = []
    left_out = repeated = 0
    last = -np.inf
    for i, t in enumerate(seconds.tolist()):
        if not np.isfinite(t) or t < last - 1e-6:
            left_out += 1
        elif t <= last + 1e-6:
            repeated += 1
        else:
            keep.append(i)
            last = t
    return np.array(keep, int), left_out, repeated


def _even(seconds: np.ndarray, values: np.ndarray, fps: float) -> tuple[np.ndarray, int, int]:
    """Rows at an even rate; how many frames had no row or no face, and how many single values were no numbers."""
    length = (seconds[-1] - seconds[0]) * fps
    if length >= MAX_FRAMES - 1:
        gap = int(np.diff(seconds).argmax()) if len(seconds) > 1 else 0
        raise FileFormatError(
            f"The timecodes span {seconds[-1] - seconds[0]:.0f} s, more than {MAX_FRAMES} frames; the longest pause is "
            f"after {seconds[gap] - seconds[0]:.1f} s.", remedy="Cut the recording there.",
        )  # fmt: skip
    used = np.isfinite(values).any(0)
    seen = np.isfinite(values[:, used]).any(1)
    if not seen.any():
        raise FileFormatError("No line of the recording shows a face.")
    unreadable = int((~np.isfinite(values[seen][:, used])).sum())
    at = seconds[0] + np.arange(round(length) + 1) / fps
    out = np.zeros((len(at), values.shape[1]))
    for c in np.flatnonzero(used):
        good = np.isfinite(values[:, c])
        out[:, c] = np.interp(at, seconds[good], values[good, c])
    return out, int((_distance(at, seconds[seen]) > 0.75 / fps).sum()), unreadable


def _distance(at: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """(F,) from each of ``at`` to the nearest of ``seconds``, which increase."""
    right = np.clip(np.searchsorted(seconds, at), 0, len(seconds) - 1)
    left = np.maximum(right - 1, 0)
    return np.minimum(np.abs(at - seconds[left]), np.abs(at - seconds[right]))
