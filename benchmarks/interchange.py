"""Files for other programs: how large they are and how long they take to write, and to read back where we can."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import Report, Row
from scenes import covered_head

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.take import demo_take

SPLATS = 65_000
FRAMES = 240
GROUP = "interchange"


def measure_interchange(report: Report, splats: int = SPLATS, frames: int = FRAMES) -> None:
    """Rows of every format: milliseconds a frame (or a file), with the size as a note."""
    import pxr

    from gshead_backend.export.gltf import export_glb
    from gshead_backend.export.ply import export_ply
    from gshead_backend.export.spz import export_spz
    from gshead_backend.export.usd import export_usd, files_of
    from gshead_backend.export.usd_clips import chunk_ranges
    from gshead_backend.export.usd_read import import_usd

    avatar, take = covered_head(splats), demo_take()
    poses = [take.pose(avatar.head, 1 + i % take.frame_count) for i in range(frames)]
    still = drive(avatar, poses[0])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for mode, precision in (("rig", "float"), ("baked", "float"), ("baked", "half"), ("clips", "float")):
            path = place / f"{mode}-{precision}.usdc"
            seconds = _seconds(lambda: export_usd(path, avatar, poses, pxr=pxr, mode=mode, precision=precision))  # noqa: B023
            parts = chunk_ranges(1, frames, 24) if mode == "clips" else []
            size = sum(file.stat().st_size for file in files_of(path, mode, True, parts))
            name = f"USD {mode}, {precision}, {splats // 1000}k splats, {frames} frames"
            report.add(Row(GROUP, name, 1e3 * seconds / frames, "ms/frame", None, frames, _size(size, frames)))
            if mode == "rig":
                seconds = _seconds(lambda: import_usd(path, pxr=pxr))  # noqa: B023
                report.add(Row(GROUP, f"USD rig, read back, {frames} frames", seconds, "s", None, 1, ""))
            for file in files_of(path, mode, True, parts):
                file.unlink()
        for name, write in (
            ("PLY", lambda: export_ply(place / "a.ply", still)),
            ("SPZ", lambda: export_spz(place / "a.spz", still)),
            ("GLB, splats", lambda: export_glb(place / "a.glb", avatar, with_mesh=False)),
            ("GLB, splats, mesh, 52 morphs, texture", lambda: export_glb(place / "b.glb", avatar)),
            (f"GLB, the same with {frames} frames", lambda: export_glb(place / "c.glb", avatar, poses)),
        ):
            best = min((_timed(write) for _ in range(3)), key=lambda pair: pair[0])
            row = f"{name}, {splats // 1000}k splats"
            report.add(Row(GROUP, row, 1e3 * best[0], "ms", None, 3, f"best of three; {best[1] / 1e6:.2f} MB"))


def _seconds(call: Callable[[], object]) -> float:
    return _timed(call)[0]


def _timed(call: Callable[[], object]) -> tuple[float, int]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result if isinstance(result, int) else 0


def _size(size: int, frames: int) -> str:
    return f"{size / 1e6:.1f} MB, {size / frames / 1e3:.1f} kB a frame"
