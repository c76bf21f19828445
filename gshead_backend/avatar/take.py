"""A *take*: animation of a head as a small JSON file, by ARKit channel and joint (``docs/take.md`` specifies it).

Joint rotations are Euler angles in **degrees**, order XYZ as in Blender (R = Rz Ry Rx), in head space: +x nods down,
+y turns to the person's own left, +z tilts to the person's own right shoulder. ARKit channels are 0..1.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import ArgumentError, FileFormatError
from ..files import write_atomic
from ..head import ARKIT_INDEX, ARKIT_NAMES, HeadModel, HeadPose, pose_from_arkit
from ..head.rotation import euler_to_matrix, matrix_to_axis_angle
from .layout import parse_json

Interpolation = Literal["smooth", "linear", "constant"]
INTERPOLATIONS: tuple[Interpolation, ...] = ("smooth", "linear", "constant")
ROTATIONS = ("headRotation", "neckRotation", "leftEyeRotation", "rightEyeRotation")
CHANNEL_NAMES = ARKIT_NAMES + ROTATIONS
FORMAT_VERSION = 1
MAX_BYTES = 64 * 2**20
MAX_FRAMES = 200_000
_ARKIT_RANGE = (-1.0, 2.0)
_DEGREES_RANGE = (-720.0, 720.0)


@dataclass(frozen=True)
class Channel:
    """The keys of one channel.

    Attributes:
        frames: (K,) float64, strictly increasing, on the take's timeline.
        values: (K,) for an ARKit channel, (K, 3) degrees for a rotation.
        interpolation: between keys: ``smooth`` is 3t² - 2t³ (Blender's Bezier with flat handles), ``linear``, or
            ``constant``. Before the first key and after the last their values hold.
    """

    frames: np.ndarray
    values: np.ndarray
    interpolation: Interpolation = "linear"

    def at(self, frame: float | np.ndarray) -> np.ndarray:
        """Values at one frame or at (F,) frames, fractions allowed: (), (3,), (F,) or (F, 3)."""
        x = np.asarray(frame, np.float64)
        k = np.clip(np.searchsorted(self.frames, x, side="right") - 1, 0, len(self.frames) - 1)
        n = np.minimum(k + 1, len(self.frames) - 1)
        span = np.maximum(self.frames[n] - self.frames[k], 1e-9)
        t = np.clip((x - self.frames[k]) / span, 0, 1) * (n > k)
        if self.interpolation == "constant":
            t = np.zeros_like(t)
        elif self.interpolation == "smooth":
            t = t * t * (3 - 2 * t)
        t = t[..., None] if self.values.ndim == 2 else t
        return self.values[k] * (1 - t) + self.values[n] * t


@dataclass(frozen=True)
class Take:
    """Animation over frames ``start`` to ``end`` (inclusive) at ``fps``. Channels that are absent rest at zero."""

    fps: float
    frame_count: int
    channels: Mapping[str, Channel] = field(default_factory=dict)
    start: int = 1
    name: str = "take"

    def __post_init__(self) -> None:
        if not (_is_number(self.fps) and 0 < self.fps <= 1000):
            raise ArgumentError(f"A take has 1 to 1000 frames per second, got {self.fps!r}.")
        if type(self.frame_count) is not int or not 1 <= self.frame_count <= MAX_FRAMES:
            raise ArgumentError(f"A take has 1 to {MAX_FRAMES} frames, got {self.frame_count!r}.")
        if type(self.start) is not int or abs(self.start) > 10_000_000:
            raise ArgumentError(f"A take starts on a whole frame, got {self.start!r}.")
        for name, channel in self.channels.items():
            _check_channel(name, channel)

    @property
    def end(self) -> int:
        """The last frame."""
        return self.start + self.frame_count - 1

    @property
    def frames(self) -> range:
        """Every whole frame, ``start`` to ``end``."""
        return range(self.start, self.end + 1)

    def sample(self, name: str) -> np.ndarray:
        """One channel on every whole frame: (F,) or, for a rotation, (F, 3) degrees."""
        if name not in self.channels:
            _check_name(name)
            return np.zeros((self.frame_count, 3) if name in ROTATIONS else self.frame_count)
        return self.channels[name].at(np.arange(self.start, self.end + 1))

    def arkit(self, frame: float) -> np.ndarray:
        """(52,) float32 ARKit channels at a frame, in ``ARKIT_NAMES`` order."""
        out = np.zeros(52, np.float32)
        for name, channel in self.channels.items():
            if name in ARKIT_INDEX:
                out[ARKIT_INDEX[name]] = channel.at(frame)
        return out

    def rotation(self, name: str, frame: float) -> np.ndarray:
        """(3,) axis-angle in radians of one rotation channel."""
        channel = self.channels.get(name)
        if channel is None:
            return np.zeros(3)
        return matrix_to_axis_angle(euler_to_matrix(np.radians(channel.at(frame))))

    def pose(self, head: HeadModel, frame: float) -> HeadPose:
        """The pose of ``head`` at a frame (fractions allowed; outside the take its ends hold)."""
        return pose_from_arkit(
            head,
            self.arkit(frame),
            head_rotation=self.rotation("headRotation", frame),
            neck_rotation=self.rotation("neckRotation", frame),
            eye_rotation=np.stack([self.rotation(name, frame) for name in ROTATIONS[2:]]),
        )


def load_take(path: str | Path) -> Take:
    """Read a take. Raises ``FileFormatError`` that names the file, the channel and the value."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileFormatError(f"'{path}' is larger than {MAX_BYTES} bytes.")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"'{path}' cannot be read as a take: {error}.") from error
    try:
        return take_from_json(text)
    except FileFormatError as error:
        raise FileFormatError(f"'{path}': {error.message}", remedy=error.remedy) from error


def take_from_json(text: str) -> Take:
    """The take in a JSON text. Raises ``FileFormatError``."""
    document = parse_json(text, "The take", max_bytes=MAX_BYTES)
    remedy = "docs/take.md describes the format."
    if document.get("format") != "gshead-take":
        raise FileFormatError('This is not a take: it does not say "format": "gshead-take".', remedy=remedy)
    if document.get("version") != FORMAT_VERSION:
        raise FileFormatError(
            f"The take has version {document.get('version')!r}; this gshead reads version {FORMAT_VERSION}.",
            remedy="Update gshead, or export the take again.",
        )
    for key in document.keys() - {"format", "version", "name", "fps", "start", "frames", "channels"}:
        raise FileFormatError(f"The take has an unknown entry '{key}'.", remedy=remedy)
    channels = document.get("channels", {})
    if not isinstance(channels, dict):
        raise FileFormatError("The take's 'channels' must be an object.", remedy=remedy)
    start, count = document.get("start", 1), document.get("frames")
    try:
        if type(start) is not int or type(count) is not int:
            raise ArgumentError(f"'frames' and 'start' must be whole numbers, got {count!r} and {start!r}.")
        parsed = {name: _parse_channel(name, value, start, count) for name, value in channels.items()}
        fps = document.get("fps")
        return Take(fps, count, parsed, start, str(document.get("name", "take")))  # pyright: ignore[reportArgumentType]
    except ArgumentError as error:
        raise FileFormatError(error.message, remedy=error.remedy or remedy) from error


def take_to_json(take: Take) -> str:
    """The JSON text of a take: one line per channel, the same text every time."""
    channels = ",\n".join(
        f"    {json.dumps(name)}: {_channel_json(take.channels[name], take)}"
        for name in CHANNEL_NAMES
        if name in take.channels
    )
    head = {
        "format": "gshead-take", "version": FORMAT_VERSION, "name": take.name, "fps": take.fps,
        "start": take.start, "frames": take.frame_count,
    }  # fmt: skip
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items())
    return f'{{\n{lines},\n  "channels": {{\n{channels}\n  }}\n}}\n'


def save_take(take: Take, path: str | Path) -> None:
    """Write a take (atomically). Raises ``ExportError``."""
    write_atomic(path, take_to_json(take).encode())


def keyed(*keys: tuple[float, Any], interpolation: Interpolation = "smooth") -> Channel:
    """A channel from ``(frame, value)`` pairs."""
    return Channel(
        np.array([k[0] for k in keys], np.float64), np.array([k[1] for k in keys], np.float64), interpolation
    )


def demo_take() -> Take:
    """The 48 frames that show a head off: blink, turn to +35° with a smile, to -35°, jaw open, gaze, smile.

    Frames 6 (blink), 15 (+35°, smiling), 25 (-35°), 35 (jaw open), 39 and 42 (gaze left, right) and 47 (smile) are
    the extremes.
    """
    turn = keyed((8, (0, 0, 0)), (14, (0, 25, 0)), (16, (0, 25, 0)), (24, (0, -25, 0)), (26, (0, -25, 0)),
                 (32, (0, 0, 0)))  # fmt: skip
    body = Channel(turn.frames, turn.values * 0.4, "smooth")
    blink = keyed((4, 0), (6, 1), (8, 0), (18, 0), (20, 1), (22, 0))
    smile = keyed((8, 0), (14, 0.8), (17, 0.8), (22, 0), (43, 0), (47, 0.9))
    left = keyed((37, 0), (38, 0.9), (40, 0.9), (41, 0))
    right = keyed((40, 0), (41, 0.9), (43, 0.9), (44, 0))
    channels = {
        "headRotation": body, "neckRotation": turn,
        "eyeBlinkLeft": blink, "eyeBlinkRight": blink,
        "mouthSmileLeft": smile, "mouthSmileRight": smile,
        "cheekSquintLeft": Channel(smile.frames, smile.values * 0.5, "smooth"),
        "cheekSquintRight": Channel(smile.frames, smile.values * 0.5, "smooth"),
        "jawOpen": keyed((32, 0), (35, 0.75), (36, 0.75), (38, 0)),
        "browInnerUp": keyed((32, 0), (35, 0.5), (36, 0.5), (38, 0)),
        "eyeLookOutLeft": left, "eyeLookInRight": left, "eyeLookInLeft": right, "eyeLookOutRight": right,
    }  # fmt: skip
    return Take(24, 48, channels, 1, "demo")


def _parse_channel(name: str, value: Any, start: int, count: int) -> Channel:
    _check_name(name)
    if isinstance(value, list):
        if len(value) != count:
            raise ArgumentError(f"Channel '{name}' lists {len(value)} values for {count} frames.")
        return Channel(start + np.arange(count, dtype=np.float64), _numbers(name, value), "linear")
    if not isinstance(value, dict):
        raise ArgumentError(f"Channel '{name}' must be a list of values or an object with 'frames' and 'values'.")
    if extra := value.keys() - {"frames", "values", "interpolation"}:
        raise ArgumentError(f"Channel '{name}' has an unknown entry '{min(extra)}'.")
    frames, values = value.get("frames"), value.get("values")
    if not isinstance(frames, list) or not isinstance(values, list):
        raise ArgumentError(f"Channel '{name}' needs the lists 'frames' and 'values'.")
    return Channel(_numbers(name, frames), _numbers(name, values), value.get("interpolation", "linear"))


def _numbers(name: str, value: list[Any]) -> np.ndarray:
    for item in value:
        for number in item if isinstance(item, list) else (item,):
            if not _is_number(number):
                raise ArgumentError(f"Channel '{name}' holds {str(number)[:40]!r}, which is not a number.")
    try:
        return np.array(value, np.float64)
    except ValueError as error:
        raise ArgumentError(f"Channel '{name}' mixes values of different length.") from error


def _check_name(name: str) -> None:
    if name in CHANNEL_NAMES:
        return
    lower = {n.lower(): n for n in CHANNEL_NAMES}
    near = difflib.get_close_matches(name.lower(), lower, 1, 0.5)
    raise ArgumentError(
        f"There is no channel '{name[:80]}'.", remedy=f"Did you mean '{lower[near[0]]}'?" if near else
        f"Use the 52 ARKit names or {', '.join(ROTATIONS)}.",
    )  # fmt: skip


def _check_channel(name: str, channel: Channel) -> None:
    _check_name(name)
    frames, values = np.asarray(channel.frames), np.asarray(channel.values)
    if channel.interpolation not in INTERPOLATIONS:
        raise ArgumentError(f"Channel '{name}' has interpolation {channel.interpolation!r}; use {INTERPOLATIONS}.")
    if frames.ndim != 1 or not 1 <= frames.size <= MAX_FRAMES:
        raise ArgumentError(f"Channel '{name}' must have 1 to {MAX_FRAMES} keys.")
    rotation = name in ROTATIONS
    want = (frames.size, 3) if rotation else (frames.size,)
    if values.shape != want:
        kind = "three angles in degrees" if rotation else "one number"
        raise ArgumentError(f"Channel '{name}' needs {kind} for each of its {frames.size} frames.")
    if not (np.isfinite(frames).all() and np.isfinite(values).all()):
        raise ArgumentError(f"Channel '{name}' holds NaN or infinity.")
    if (np.diff(frames) <= 0).any():
        raise ArgumentError(f"The key frames of channel '{name}' must increase.")
    low, high = _DEGREES_RANGE if rotation else _ARKIT_RANGE
    if values.min() < low or values.max() > high:
        worst = values.flat[np.abs(values).argmax()]
        unit = "degrees" if rotation else "where 1 is the full shape, not percent"
        raise ArgumentError(f"Channel '{name}' reaches {worst:g}; it must lie in {low:g}..{high:g} {unit}.")


def _is_number(value: Any) -> bool:
    if type(value) is int:  # of any length: math would overflow
        return abs(value) <= 2**53
    return type(value) is float and math.isfinite(value)


def _channel_json(channel: Channel, take: Take) -> str:
    values = np.round(channel.values, 6).tolist()
    every = np.arange(take.start, take.end + 1)
    if channel.interpolation == "linear" and np.array_equal(channel.frames, every):
        return json.dumps(values)
    frames = [int(f) if f == int(f) else f for f in channel.frames.tolist()]
    return json.dumps({"frames": frames, "values": values, "interpolation": channel.interpolation})
