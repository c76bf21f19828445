"""Takes from and to files: JSON, and Live Link Face's CSV. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gshead_backend.avatar.live_link import load_live_link
from gshead_backend.avatar.live_link_angles import save_live_link
from gshead_backend.avatar.recording import Motion
from gshead_backend.avatar.retime import at_rate, scaled, smoothed_take
from gshead_backend.avatar.take import Take, load_take, save_take

ENDINGS = (".json", ".csv")


@dataclass(frozen=True)
class TakeOptions:
    """How a take is brought in.

    Attributes:
        fps: of the scene; keys fall on its whole frames. None leaves the take's own rate.
        scale: of all values. smooth: 0 to 5, 1 is usual.
        rate: frames per second that a recording's timecodes count in; 0 to find it from them.
        motion, center: of a recording's head, as for ``gshead take convert``.
    """

    fps: float | None = None
    scale: float = 1.0
    smooth: float = 0.0
    rate: float = 0.0
    motion: Motion = "neck"
    center: bool = False


def read_take(path: str | Path, options: TakeOptions = TakeOptions()) -> tuple[Take, str]:
    """The take in a .json or .csv file, named after it, and one line of what was not taken as it stands.

    Raises ``FileFormatError`` or ``ArgumentError``.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        take, notes = load_live_link(
            path, rate=options.rate or None, motion=options.motion, center=options.center, scale=options.scale
        )
        return _made(take, 1.0, options), notes.text()
    return _made(load_take(path), options.scale, options), ""


def _made(take: Take, scale: float, options: TakeOptions) -> Take:
    take = smoothed_take(scaled(take, scale), options.smooth)
    return take if options.fps is None else at_rate(take, options.fps)


def write_take(take: Take, path: str | Path) -> None:
    """Write a take as JSON, or as a Live Link Face recording where the name ends in .csv. Raises ``ExportError``."""
    (save_live_link if Path(path).suffix.lower() == ".csv" else save_take)(take, path)
