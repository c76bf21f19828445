"""The GPU's way to frames, piece by piece: driving, gsplat alone, packing, read-back, single frames and batches.

On a CPU the same code runs with the same names, so that it is tried before a GPU is at hand; those numbers mean little.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from measure import Report, Row, timed
from scenes import SIZES, camera, covered_head, pose_at

RESOLUTIONS = (512, 1024)
BATCHES = (1, 8, 16)


def measure_batches(
    report: Report, device: str, sizes: tuple[int, ...] = SIZES, resolutions: tuple[int, ...] = RESOLUTIONS,
    batches: tuple[int, ...] = BATCHES, count: int = 200,
) -> None:  # fmt: skip
    """Fill the report; every value is of one frame, whatever the batch."""
    import torch

    sync = torch.cuda.synchronize if device == "cuda" else None
    with torch.inference_mode():
        _measure_pixels(report, device, resolutions, batches, count, sync)
        for splats in sizes:
            avatar = covered_head(splats)
            _measure_drive(report, device, avatar, batches, count, sync)
            for resolution in resolutions:
                if device == "cuda":
                    _measure_gsplat(report, avatar, resolution, batches, count, sync)
                _measure_frames(report, device, avatar, resolution, batches, count)


def _label(avatar: Any) -> str:
    return f"{len(avatar) // 1000}k splats"


def _poses(avatar: Any, batch: int) -> Iterator[list[Any]]:
    turn = itertools.cycle([pose_at(avatar, f) for f in range(48)])
    while True:
        yield [next(turn) for _ in range(batch)]


def _each(row: Row, batch: int) -> Row:
    """The row for one frame of a batch."""
    note = "; ".join(n for n in (row.note, f"{1000 * batch / row.value:.0f} frames a second") if n)
    return replace(row, value=row.value / batch, p90=None if row.p90 is None else row.p90 / batch, note=note)


def _at_once(batch: int) -> str:
    return "one" if batch == 1 else f"{batch} at once, each"


def _measure_drive(
    report: Report, device: str, avatar: Any, batches: tuple[int, ...], count: int, sync: Callable[[], object] | None
) -> None:
    import torch

    from gshead_backend.avatar.drive_graph import GraphDriver
    from gshead_backend.avatar.drive_torch import TorchAvatar

    twin, group = TorchAvatar(avatar, device), f"drive {device}"
    turn = _poses(avatar, 1)
    report.add(timed(group, f"instead: torch, op by op, {_label(avatar)}", lambda: twin.drive(next(turn)[0]),
                     count=count, sync=sync))  # fmt: skip
    for batch, way in itertools.product(batches, ("graph", "triton")):
        driver = GraphDriver(twin, batch, ways=(way,))
        if driver.way != way:
            print(f"drive: there is no '{way}' here")
            continue
        turn = _poses(avatar, batch)
        name = f"{way}, {_at_once(batch)}, {_label(avatar)}"
        driving = lambda: driver.drive(next(turn))  # noqa: B023, E731
        report.add(_each(timed(group, name, driving, count=count, sync=sync), batch))
        if sync is not None:  # what it adds to a queue that is never empty
            many = lambda: [driver.drive(next(turn)) for _ in range(20)]  # noqa: B023, E731
            row = timed(group, f"{name}, 20 calls in a row", many, count=max(5, count // 10), sync=sync)
            report.add(_each(row, 20 * batch))
    torch.cuda.empty_cache()


def _measure_gsplat(
    report: Report,
    avatar: Any,
    resolution: int,
    batches: tuple[int, ...],
    count: int,
    sync: Callable[[], object] | None,
) -> None:
    """gsplat called directly, everything on the device: the floor of a frame, and what one would use instead."""
    import torch
    from gsplat import rasterization

    from gshead_backend.avatar.drive_torch import TorchAvatar
    from gshead_backend.raster import rasterize_many
    from gshead_backend.raster.gsplat_backend import views_on

    view, twin = camera(resolution), TorchAvatar(avatar, "cuda")
    for batch in batches:
        frames = [twin.drive(pose) for pose in next(_poses(avatar, batch))]
        stacked = type(frames[0])(
            *(torch.stack([getattr(f, n) for f in frames]) for n in type(frames[0]).__dataclass_fields__)
        )
        views = views_on(stacked.means.device, [view] * batch)
        for mode in ("RGB", "RGB+D"):
            direct = lambda: rasterization(  # noqa: E731
                stacked.means, stacked.quats, stacked.scales, stacked.opacities, stacked.colors, *views,  # noqa: B023
                view.width, view.height, packed=False, render_mode=mode,  # noqa: B023
            )  # fmt: skip
            name = f"{resolution}², instead: gsplat alone, {mode}, {_at_once(batch)}, {_label(avatar)}"
            report.add(_each(timed("raster cuda", name, direct, count=count, sync=sync), batch))
        name = f"{resolution}², rasterize_many, {_at_once(batch)}, {_label(avatar)}"
        ours = lambda: rasterize_many(stacked, [view] * batch, views=views)  # noqa: B023, E731
        report.add(_each(timed("raster cuda", name, ours, count=count, sync=sync), batch))


def _measure_pixels(
    report: Report, device: str, resolutions: tuple[int, ...], batches: tuple[int, ...], count: int,
    sync: Callable[[], object] | None,
) -> None:  # fmt: skip
    """Packing and reading back."""
    import torch

    from gshead_backend.avatar.device_torch import device_of
    from gshead_backend.server.frames_cuda import packer_of
    from gshead_backend.server.packing_torch import pack_frame

    queue, group = device_of(device), f"pixels {device}"
    fused = packer_of(queue.device)
    for resolution, batch in itertools.product(resolutions, batches):
        sums = torch.rand(batch, resolution, resolution, 4, device=device)
        color, alpha = sums[..., :3], sums[..., 3]
        for dtype in ("uint8", "float32"):
            ways = [("instead: torch, op by op", pack_frame)] + ([("Triton", fused)] if fused is not pack_frame else [])
            for way, pack in ways:
                call = lambda: pack(color, alpha, dtype)  # noqa: B023, E731
                name = f"{resolution}², pack {dtype}, {way}, {_at_once(batch)}"
                report.add(_each(timed(group, name, call, count=count, sync=sync), batch))
            frame = pack_frame(color, alpha, dtype)
            room = queue.host_tensor(frame.shape, frame.dtype)
            name = f"{resolution}², read back {dtype}, {_at_once(batch)}"
            pinned = lambda: queue.read_back([(frame, room)]).synchronize()  # noqa: B023, E731
            report.add(_each(timed(group, f"{name}, pinned", pinned, count=count), batch))
            report.add(_each(timed(group, f"{name}, instead: Tensor.cpu()", frame.cpu, count=count), batch))


def _measure_frames(
    report: Report, device: str, avatar: Any, resolution: int, batches: tuple[int, ...], count: int
) -> None:
    """Poses in, pixels in the host's memory out; first as it was done before, frame after frame."""
    from gshead_backend.avatar.drive_torch import TorchAvatar
    from gshead_backend.raster import rasterize
    from gshead_backend.server.frame_wishes import FrameWish, HeadWish
    from gshead_backend.server.frames_cuda import FramePipeline
    from gshead_backend.server.packing_torch import pack_frame

    twin, view, group, label = TorchAvatar(avatar, device), camera(resolution), f"frame {device}", _label(avatar)
    turn = _poses(avatar, 1)

    def plain() -> object:
        rendered = rasterize(twin.drive(next(turn)[0]), view)
        return pack_frame(rendered.color, rendered.alpha, "uint8").cpu()

    name = f"{resolution}², pose to 8-bit pixels on the host, instead: op by op, {label}"
    report.add(_each(timed(group, name, plain, count=count), 1))
    pipeline = FramePipeline(device)
    for batch in batches:
        poses = _poses(avatar, batch)

        def submit(dtype: Any, depth: bool, poses: Iterator[list[Any]] = poses) -> Any:
            wishes = [FrameWish(view, (HeadWish(twin, np.eye(4), pose),)) for pose in next(poses)]
            return pipeline.submit(wishes, dtype, depth)

        for dtype, depth in (("uint8", False), ("float32", True)):
            what = f"{resolution}², pose to {dtype}{' + depth' if depth else ''} on the host"
            if batch == 1:
                lock = lambda: submit(dtype, depth).release()  # noqa: B023, E731
                report.add(_each(timed(group, f"{what}, waiting for each, {label}", lock, count=count), 1))
            under_way = deque([submit(dtype, depth)])

            def overlapped() -> None:
                under_way.append(submit(dtype, depth))  # noqa: B023
                under_way.popleft().release()  # noqa: B023

            name = f"{what}, {_at_once(batch)}, read back beside the next, {label}"
            report.add(_each(timed(group, name, overlapped, count=count), batch))
            under_way.pop().release()
