"""``gshead take``: recordings and takes, one into the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..errors import ArgumentError
from ..files import check_writable
from .console import emit, parse_actions, warn

if TYPE_CHECKING:
    from ..avatar import Take
    from ..avatar.recording import Motion

_ENDINGS = (".json", ".csv")


def main(args: Sequence[str]) -> int:
    return parse_actions({"convert": convert, "show": show}, "take", args)


def convert(
    recording: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    rate: float | None = None, fps: float | None = None, start: int | None = None, offset: float = 0.0,
    scale: float = 1.0, smooth: float = 0.0, motion: Literal["neck", "head", "none"] = "neck", center: bool = False,
    name: str = "", json: bool = False,
) -> int:  # fmt: skip
    """Turn a Live Link Face recording (.csv) into a take (.json), or a take into a recording.

    Args:
        recording: a .csv recording of Live Link Face, or a take.
        out: the file to write, ending in .json or .csv.
        rate: frames per second that the recording's timecodes count in; found from them when not given.
        fps: frames per second of the result; the recording's own when not given.
        start: the first frame of the result; 1, or the take's own, when not given.
        offset: seconds by which everything comes later (earlier when negative).
        scale: 1 leaves the values alone, 0.5 halves them; 0.01 for a recording in percent.
        smooth: 0 leaves every frame as it was recorded, 1 is usual, 2 twice as much.
        motion: what turns with a recorded face: neck (the shoulders stay), head (the whole bust), or none.
        center: take the recording's middle head position for straight ahead.
        name: of the take; the file's name when empty.
        json: print the result as one JSON object.
    """
    if out.suffix.lower() not in _ENDINGS:
        raise ArgumentError(f"'{out.name}' must end in {' or '.join(_ENDINGS)}.")
    check_writable(out)
    from ..avatar import save_take
    from ..avatar.live_link_angles import save_live_link
    from ..avatar.retime import at_rate, scaled, shifted, smoothed_take

    take, note = _read(recording, rate, motion, scale, center=center)
    take = smoothed_take(scaled(take, 1.0 if recording.suffix.lower() == ".csv" else scale), smooth)
    take = at_rate(take, take.fps if fps is None else fps)
    take = shifted(take, round(offset * take.fps) + (0 if start is None else start - take.start))
    take = replace(take, name=name or take.name)
    (save_live_link if out.suffix.lower() == ".csv" else save_take)(take, out)
    if note:
        warn(note)
    facts = {**_facts(take), "take": str(out), "note": note}
    emit(facts, f"{out}: {_text(take)}", as_json=json)
    return 0


def show(recording: tyro.conf.Positional[Path], /, *, rate: float | None = None, json: bool = False) -> int:
    """Say what is in a take or a recording.

    Args:
        recording: a .csv recording of Live Link Face, or a take.
        rate: frames per second that the recording's timecodes count in; found from them when not given.
        json: print the result as one JSON object.
    """
    take, note = _read(recording, rate, "neck", 1.0, center=False)
    emit({**_facts(take), "note": note}, f"{take.name}: {_text(take)}" + (f"\n{note}" if note else ""), as_json=json)
    return 0


def _read(path: Path, rate: float | None, motion: Motion, scale: float, *, center: bool) -> tuple[Take, str]:
    from ..avatar import load_take
    from ..avatar.live_link import load_live_link

    if path.suffix.lower() != ".csv":
        return load_take(path), ""
    take, notes = load_live_link(path, rate=rate, motion=motion, center=center, scale=scale)
    return take, notes.text()


def _facts(take: Take) -> dict[str, Any]:
    return {
        "name": take.name, "frames": take.frame_count, "start": take.start, "fps": take.fps,
        "channels": sorted(take.channels),
    }  # fmt: skip


def _text(take: Take) -> str:
    return f"{take.frame_count} frames at {take.fps:g} a second, {len(take.channels)} channels"
