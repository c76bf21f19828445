"""``gshead render``: an avatar and a take become frames, in this process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..errors import ArgumentError
from .console import Progress, emit, parse, parse_color, parse_frames, parse_size

if TYPE_CHECKING:
    from ..avatar import Avatar, Take
    from ..head import HeadPose


def main(args: Sequence[str]) -> int:
    return parse(render, "render", args)


def render(
    avatar: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    take: Path | None = None, frames: str = "", size: str = "512x512", yaw: float = 0.0, pitch: float = 0.0,
    format: Literal["png", "exr"] = "png", background: str = "transparent", device: str = "auto", json: bool = False,
) -> int:  # fmt: skip
    """Render frames of an avatar into a folder, as 0001.png, 0002.png and so on.

    Args:
        avatar: a .gshead file.
        out: the folder; made when missing.
        take: animation (docs/take.md); the neutral pose when absent.
        frames: for example 1-48, 1-48:2 or 1,5,9; all frames of the take when empty.
        size: WIDTHxHEIGHT in pixels.
        yaw: degrees around the head; positive moves the camera to the person's left.
        pitch: degrees; positive moves the camera up.
        format: png (8-bit sRGB, straight alpha) or exr (linear, premultiplied, with depth).
        background: transparent, white, black, grey or #rrggbb; png only.
        device: auto, cpu, cuda or cuda:N.
        json: print the result as one JSON object.
    """
    color, pixels = parse_color(background), parse_size(size)
    if color is not None and format == "exr":
        raise ArgumentError("--background is for png; an exr keeps its alpha so that a compositor adds one.")
    import numpy as np

    from ..avatar import load_avatar
    from ..avatar.framing import portrait_camera
    from ..export.frames import write_exr, write_png
    from ..methods.draw import drawer_of
    from ..server.devices import resolve_device

    person = load_avatar(avatar)
    animation, numbers = read_take(take, frames)
    camera = portrait_camera(person, pixels, yaw, pitch)
    behind = None if color is None else np.array(color, np.float32)
    progress, files, times = Progress(), [], []
    progress(0.0, "Preparing")
    device = resolve_device(device)
    try:
        draw = drawer_of(person, device)
        for i, number in enumerate(numbers):
            started = time.perf_counter()
            drawn = draw(pose_at(person, animation, number), camera)
            rgb, alpha, depth = drawn.color, drawn.alpha, drawn.depth
            times.append(time.perf_counter() - started)
            path = out / f"{number:04d}.{format}"
            if format == "exr":
                write_exr(path, rgb, alpha, depth)
            elif behind is not None:
                write_png(path, rgb + (1 - alpha[..., None]) * behind)
            else:
                write_png(path, rgb, alpha)
            files.append(str(path))
            progress((i + 1) / len(numbers), f"Frame {number}")
    finally:
        progress.close()
    median = statistics.median(times)
    result = {
        "files": files, "size": list(pixels), "splats": len(person), "device": device,
        "milliseconds_per_frame": round(1000 * median, 2),
    }  # fmt: skip
    count = f"{len(files)} frames" if len(files) > 1 else files[0]
    emit(result, f"{count} in {out}: {1000 * median:.0f} ms each (median, {device})", as_json=json)
    return 0


def read_take(path: Path | None, frames: str) -> tuple[Take | None, list[int]]:
    """The take, and the frames to make of it: those named, else all; frame 1 without a take."""
    from ..avatar import load_take

    numbers = parse_frames(frames) if frames else []
    if path is None:
        return None, numbers or [1]
    take = load_take(path)
    return take, numbers or list(take.frames)


def pose_at(avatar: Avatar, take: Take | None, frame: int) -> HeadPose:
    """The avatar's pose at a frame of a take, neutral without one."""
    from ..head import HeadPose

    return HeadPose.neutral(avatar.head.expression_count) if take is None else take.pose(avatar.head, frame)
