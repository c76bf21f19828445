"""The least a frame can cost on this CPU, by its bytes and its blended pixels; and what it costs by resolution."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numba
import numpy as np
from measure import Report, Row, timed
from scenes import camera, covered_head, pose_at

RESOLUTIONS = ((256, 256), (512, 512), (1024, 1024), (1920, 1080))
_LANES = 16


@functools.cache
def _blends() -> Any:
    """A kernel that blends ``rows`` rows of 16 pixels with one splat each, on arrays that stay in the first cache."""
    from gshead_backend.raster.cpu.blending import clipped, raw_alpha

    opacity, bend, level, tenth = np.float32(0.5), np.float32(-0.02), np.float32(-0.1), np.float32(0.1)
    step, lanes = np.float32(1e-3), _LANES

    @numba.njit(parallel=True, fastmath={"contract", "reassoc", "arcp", "nsz"}, error_model="numpy")
    def blends(rows, out):
        for t in numba.prange(out.shape[0]):
            row = np.ones(6 * lanes, np.float32)
            for k in range(rows // out.shape[0]):
                slope = step * np.float32(k % 7)
                for x in range(lanes):
                    a = clipped(raw_alpha(opacity, bend, slope, level, np.float32(x)))
                    before = row[x]
                    w = before * a
                    row[x] = max(before - w, tenth)
                    row[lanes + x] += w
                    row[2 * lanes + x] += w * slope
                    row[3 * lanes + x] += w * level
                    row[4 * lanes + x] += w * bend
                    row[5 * lanes + x] += w * opacity
            out[t] = row.sum()

    return blends


def measure_floors(report: Report, sizes: tuple[int, ...]) -> None:
    """Floors of driving and rasterizing beside what they take; drive + rasterize by splats and resolution."""
    from gshead_backend.avatar.drive_fast import drive_fast
    from gshead_backend.raster import rasterize
    from gshead_backend.raster.constants import TILE
    from gshead_backend.raster.cpu import pipeline
    from gshead_backend.raster.cpu.layout import PX0, PX1, PY0, PY1

    source, target = np.ones(1 << 24, np.float32), np.empty(1 << 24, np.float32)
    copy = timed("floor cpu", "copying 64 MiB, one thread", lambda: np.copyto(target, source), count=40)
    rate = 2 * source.nbytes / (copy.value * 1e-3)
    copy.note = f"{rate / 1e9:.1f} GB/s read and written"
    report.add(copy)
    for splats in sizes:
        avatar, label = covered_head(splats), f"{splats // 1000}k splats"
        poses = itertools.cycle([pose_at(avatar, f) for f in range(48)])
        bound = 4 * (3 + 3 + 3 + 4 + 3 + 1)  # corners, barycentrics, offset, rotation, scale, triangle
        moved = splats * (bound + 4 * 10) + avatar.head.vertex_count * 4 * 3 * 8
        report.add(Row("floor cpu", f"drive, its bytes at that rate, {label}", 1e3 * moved / rate, "ms", None, 1,
                       f"{moved / 2**20:.1f} MiB"))  # fmt: skip
        still = pipeline.as_arrays(drive_fast(avatar, pose_at(avatar, 6)))
        for width, height in RESOLUTIONS:
            view = camera(height).resized(width, height) if width == height else _wide(width, height)
            tiles = pipeline.build_tiles(still, view, slots=False)
            extent = tiles.extent[tiles.members].astype(np.int64)
            # a splat touches each row of a tile in halves of eight pixels: at least one, at most two
            rows = np.minimum(extent[:, PY1] - extent[:, PY0] + 1, TILE)
            halves = np.minimum((extent[:, PX1] - extent[:, PX0]) // (TILE // 2) + 1, 2)
            blended, out = int((rows * halves).sum()) // 2, np.zeros(64, np.float32)
            size = f"{width}x{height}"
            row = timed("floor cpu", f"rasterize, its blends in the cache, {size}, {label}",
                        lambda n=blended, o=out: _blends()(n, o), count=40)  # fmt: skip
            row.note = f"{tiles.members.size} pairs of splat and tile, {16 * blended / 1e6:.1f} million pixels blended"
            report.add(row)
            report.add(timed("floor cpu", f"rasterize, {size}, {label}", lambda v=view, s=still: rasterize(s, v),
                             count=60))  # fmt: skip
            whole = lambda v=view, a=avatar, p=poses: rasterize(drive_fast(a, next(p)), v)  # noqa: E731
            report.add(timed("floor cpu", f"drive + rasterize, {size}, {label}", whole, count=60))


def _wide(width: int, height: int) -> object:
    """The same view of the head, as high as the frame, with room to both sides."""
    from gshead_backend.camera import orbit_camera

    return orbit_camera(15, size=(width, height), focal_mm=85, distance=1.0)


def measure_codecs(report: Report) -> None:
    """What packing a viewport frame for a network costs, and how large it becomes."""
    from gshead_backend.avatar.drive_fast import drive_fast
    from gshead_backend.protocol import codec
    from gshead_backend.protocol.messages import FrameInfo
    from gshead_backend.server.packing_cpu import draw_frame

    avatar = covered_head(65_000)
    for size in (512, 1024):
        rgba, _ = draw_frame(drive_fast(avatar, pose_at(avatar, 6)), camera(size))
        for name, quality in (("raw", 0), ("lz4", 0), ("jpeg", 95), ("jpeg", 85), ("jpeg", 70)):
            info = FrameInfo(size, size, "uint8", parts=["rgba"], codec=name)
            parts = [bytes(p) for p in codec.encode(info, [rgba], quality)]
            back = codec.decode(info, parts)[0].reshape(rgba.shape)
            inside = rgba[..., 3] > 0
            error = ((back[inside].astype(np.float64) - rgba[inside])[:, :3] ** 2).mean()
            likeness = "exact" if error == 0 else f"{10 * np.log10(255**2 / error):.1f} dB inside the head"
            label = f"{size}², {name}{f' {quality}' if quality else ''}"
            sent = f"{sum(map(len, parts)) / 1024:.0f} KiB, {likeness}"
            pack = timed("codecs", f"packing, {label}", lambda i=info, q=quality, r=rgba: codec.encode(i, [r], q),
                         note=sent)  # fmt: skip
            report.add(pack)
            report.add(timed("codecs", f"unpacking, {label}", lambda i=info, p=parts: codec.decode(i, p)))
