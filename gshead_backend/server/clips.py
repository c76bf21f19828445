"""A clip to a take, in the jobs worker."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ..avatar.recording import Motion, take_of_frames
from ..avatar.take import take_to_json
from ..head import default_head
from ..portrait.tracking import Track, open_clip, track

_SHOWN = 5


def track_clip(
    path: str, data: bytes, progress: Callable[[float, str], None], *, name: str, fps: float | None, smooth: float,
    motion: Motion, center: bool,
) -> tuple[str, tuple[str, ...]]:  # fmt: skip
    """The take's JSON and what the user should know of it.

    Args:
        path: a video file or a folder of pictures, opened for reading only; empty when ``data`` is a video's bytes.
    Raises:
        GsheadError: as ``open_clip`` and ``track``; ``Cancelled`` when ``progress`` raises it.
    """
    if path:
        return _tracked(Path(path), progress, name, fps, smooth, motion, center=center)
    with tempfile.TemporaryDirectory(prefix="gshead-clip-") as folder:  # 0700; the video reader wants a file
        file = Path(folder) / "clip"
        file.write_bytes(data)
        return _tracked(file, progress, name, fps, smooth, motion, center=center)


def _tracked(
    path: Path, progress: Callable[[float, str], None], name: str, fps: float | None, smooth: float, motion: Motion, *,
    center: bool,
) -> tuple[str, tuple[str, ...]]:  # fmt: skip
    result = track(open_clip(path, fps), default_head(), smooth=smooth, progress=progress)
    take = take_of_frames(
        result.fps, result.arkit, turn=result.head, eyes=result.eyes, name=name, motion=motion, center=center
    )
    lost = _lost(result)
    return take_to_json(take), (lost,) if lost else ()


def _lost(result: Track) -> str:
    gaps = result.gaps()
    if not gaps:
        return ""
    shown = ", ".join(str(a + 1) if a == b else f"{a + 1}-{b + 1}" for a, b in gaps[:_SHOWN])
    more = f" and {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else ""
    missing = sum(b - a + 1 for a, b in gaps)
    return f"{missing} of {len(result.found)} frames show no face; filled in from their neighbours: {shown}{more}."
