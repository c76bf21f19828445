"""``gshead render``: an avatar and a take become frames or a video, in this process."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..errors import ArgumentError
from .console import Progress, emit, parse, parse_color, parse_frames, parse_size

if TYPE_CHECKING:
    from ..avatar import Avatar, Take
    from ..avatar.types import Splats
    from ..camera import Camera
    from ..head import HeadPose


def main(args: Sequence[str]) -> int:
    return parse(render, "render", args)


def render(
    avatar: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    take: Path | None = None, frames: str = "", size: str = "512x512", yaw: float = 0.0, pitch: float = 0.0,
    format: Literal["png", "exr"] = "png", background: str = "transparent", device: str = "auto", json: bool = False,
) -> int:  # fmt: skip
    """Render frames of an avatar into a folder, as 0001.png, 0002.png and so on, or into one video.

    Args:
        avatar: a .gshead file.
        out: the folder, made when missing; or a video: .mp4 (H.264, with a --background), .webm (VP9) or .mov
            (ProRes 4444), the last two also transparent. Videos need ffmpeg (pip install "gshead-backend[video]").
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
    from ..raster.rasterize import rasterize

    person = load_avatar(avatar)
    animation, numbers = read_take(take, frames)
    camera = portrait_camera(person, pixels, yaw, pitch)
    splats_at, device = _driver(person, device)
    fps = animation.fps if animation else 24.0
    notes = {"avatar": person.name, "method": person.method, "head": person.head.name, "fps": fps}
    progress, times = Progress(), []
    with _output(out, format, color, pixels, fps, camera, notes) as (write, files):
        progress(0.0, "Preparing")
        try:
            for i, number in enumerate(numbers):
                started = time.perf_counter()
                drawn = rasterize(splats_at(pose_at(person, animation, number)), camera)
                frame = [np.asarray(_to_numpy(a)) for a in (drawn.color, drawn.alpha, drawn.depth)]
                times.append(time.perf_counter() - started)
                write(number, *frame)
                progress((i + 1) / len(numbers), f"Frame {number}")
        finally:
            progress.close()
    median = statistics.median(times)
    result = {
        "files": [str(path) for path in files], "size": list(pixels), "splats": len(person), "device": device,
        "milliseconds_per_frame": round(1000 * median, 2),
    }  # fmt: skip
    count = f"{len(numbers)} frames" if len(numbers) > 1 else "1 frame"
    emit(
        result,
        f"{count} in {files[0] if len(files) == 1 else out}: {1000 * median:.0f} ms each (median, {device})",
        as_json=json,
    )
    return 0


@contextlib.contextmanager
def _output(
    out: Path, format: Literal["png", "exr"], color: tuple[float, float, float] | None, size: tuple[int, int],
    fps: float, camera: Camera, notes: dict[str, str | float],
) -> Iterator[tuple[Callable[..., None], list[Path]]]:  # fmt: skip
    """``write(number, rgb, alpha, depth)`` into a video or a folder, and the files that it makes."""
    from ..export.frames import camera_metadata, write_exr, write_png
    from ..export.video import KINDS, video_writer

    def over(rgb: Any, alpha: Any) -> Any:
        return rgb if color is None else rgb + (1 - alpha[..., None]) * color

    files: list[Path] = []
    if out.suffix.lower() in KINDS:
        with video_writer(out, size, fps, transparent=color is None) as add:
            files.append(out)
            yield (lambda _, rgb, alpha, depth: add(over(rgb, alpha), alpha if color is None else None)), files
        return

    def write(number: int, rgb: Any, alpha: Any, depth: Any) -> None:
        path = out / f"{number:04d}.{format}"
        if format == "exr":
            metadata = {**notes, "frame": number, **camera_metadata(camera)}
            write_exr(path, rgb, alpha, depth, metadata=metadata)
        else:
            write_png(path, over(rgb, alpha), alpha if color is None else None)
        files.append(path)

    yield write, files


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


def _driver(avatar: Avatar, device: str) -> tuple[Callable[[HeadPose], Splats], str]:
    """``drive`` on the chosen device: numba on the CPU, torch on CUDA."""
    from ..server.devices import resolve_device

    chosen = resolve_device(device)
    if chosen == "cpu":
        from ..avatar.drive_fast import drive_fast

        return (lambda pose: drive_fast(avatar, pose)), chosen
    from ..avatar.drive_torch import TorchAvatar

    return TorchAvatar(avatar, chosen).drive, chosen


def _to_numpy(array: object) -> object:
    return array.detach().cpu().numpy() if hasattr(array, "detach") else array  # type: ignore[attr-defined]
