"""``gshead track``: a video becomes a take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ..errors import ArgumentError
from ..files import check_writable
from .console import Progress, emit, parse, warn

_MANY = 5


def main(args: Sequence[str]) -> int:
    return parse(track, "track", args)


def track(
    clip: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    fps: float | None = None, start: int = 1, smooth: float = 1.0, motion: Literal["neck", "head", "none"] = "neck",
    center: bool = False, name: str = "", head: str = "default", workers: int = 0, restart: bool = False,
    json: bool = False,
) -> int:  # fmt: skip
    """Track a face through a video, or a folder of pictures, into a take that drives any avatar.

    Called again after an interruption, it goes on where it was.

    Args:
        clip: a video file, or a folder of pictures numbered in order.
        out: the take to write, ending in .json.
        fps: frames per second of the clip; a video's own, 25 for a folder when not given.
        start: the take's first frame.
        smooth: 0 leaves every frame as it was seen, 1 is usual, 2 twice as much.
        motion: what turns with the face: neck (the shoulders stay), head (the whole bust), or none.
        center: take the clip's middle head position for straight ahead, for a camera that looked from the side.
        name: of the take; the clip's name when empty.
        head: an imported head's name, or a head file, for the fit.
        workers: processes; as many as there are cores when 0.
        restart: forget what an interrupted call left.
        json: print the result as one JSON object.
    """
    if out.suffix != ".json":
        raise ArgumentError(f"The take '{out}' must end in .json.")
    if not 0 <= smooth <= 5:
        raise ArgumentError(f"--smooth lies in 0..5, not {smooth:g}.")
    if not 0 <= workers <= 256:
        raise ArgumentError(f"--workers lies in 0..256, not {workers}.")
    check_writable(out)
    from ..avatar import save_take
    from ..avatar.recording import take_of_frames
    from ..head import load_head
    from ..portrait.tracking import forget, open_clip
    from ..portrait.tracking import track as follow

    source = open_clip(clip, fps)
    store = out.with_name(f".{out.stem}.tracking")
    if restart:
        forget(store)
    model, progress, began = load_head(head), Progress(), time.perf_counter()
    try:
        result = follow(source, model, workers=workers, smooth=smooth, store=store, progress=progress)
    finally:
        progress.close()
    take = take_of_frames(
        result.fps, result.arkit, turn=result.head, eyes=result.eyes, name=name or source.path.stem[:100], start=start,
        motion=motion, center=center,
    )  # fmt: skip
    save_take(take, out)
    seconds = time.perf_counter() - began
    lost = [(a + start, b + start) for a, b in result.gaps()]
    if lost:
        missing = sum(b - a + 1 for a, b in lost)
        shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in lost[:_MANY])
        more = f" and {len(lost) - _MANY} more" if len(lost) > _MANY else ""
        warn(f"{missing} of {take.frame_count} frames show no face; filled in from their neighbours: {shown}{more}")
    facts: dict[str, Any] = {
        "take": str(out), "frames": take.frame_count, "fps": take.fps, "without_face": lost,
        "channels": sorted(take.channels), "seconds": round(seconds, 3),
    }  # fmt: skip
    text = f"{out}: {take.frame_count} frames, {len(take.channels)} channels, {take.frame_count / seconds:.0f} frames/s"
    emit(facts, text, as_json=json)
    return 0
