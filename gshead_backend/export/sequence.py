"""Splats frame by frame as numbered files: ``head.ply`` becomes ``head.0001.ply``, ``head.0002.ply`` and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ..avatar.types import Splats
from .ply import export_ply
from .spz import export_spz

WRITERS: dict[str, Callable[[Path, Splats], int]] = {".ply": export_ply, ".spz": export_spz}


def frame_path(path: str | Path, frame: int) -> Path:
    """The file of one frame of a sequence."""
    path = Path(path)
    return path.with_name(f"{path.stem}.{frame:04d}{path.suffix}")


def export_sequence(path: str | Path, frames: Iterable[tuple[int, Splats]]) -> list[Path]:
    """Write (frame number, splats) pairs as they come, each file atomically; returns the files.

    Args:
        path: its ending, .ply or .spz, chooses the format.
    Raises: as ``export_ply`` and ``export_spz``; what was written before stays.
    """
    write, written = WRITERS[Path(path).suffix.lower()], []
    for number, splats in frames:
        target = frame_path(path, number)
        write(target, splats)
        written.append(target)
    return written
