"""``gshead render``: an avatar and a take become frames or a video, in this process."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from .. import __version__
from ..errors import ArgumentError
from .console import Progress, emit, parse, parse_color, parse_frames, parse_size

if TYPE_CHECKING:
    import numpy as np

    from ..avatar import Avatar, Take
    from ..camera import Camera
    from ..head import HeadPose


def main(args: Sequence[str]) -> int:
    return parse(render, "render", args)


def render(
    avatar: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    take: Path | None = None, frames: str = "", size: str = "512x512", yaw: float = 0.0, pitch: float = 0.0,
    format: Literal["png", "exr"] = "png", background: str = "transparent", lamp: tuple[float, float] | None = None,
    soft: float = 0.35, power: float = 1.0, device: str = "auto", again: bool = False, json: bool = False,
) -> int:  # fmt: skip
    """Render frames of an avatar into a folder, as 0001.png, 0002.png and so on, or into one video.

    Run it again at any time: frames that are whole, and of the same avatar, take and settings, are kept.

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
        lamp: yaw and pitch, degrees, of a lamp that lights the head in place of the photo's light: 0 0 from the front,
            90 0 from the person's left, 0 90 from above.
        soft: share of even light from all sides beside the lamp, 0 to 1.
        power: of the lamp; 1 shows a white card that faces it as just white.
        device: auto, cpu, cuda or cuda:N.
        again: render all frames, also those that are there.
        json: print the result as one JSON object.
    """
    color, pixels = parse_color(background), parse_size(size)
    if color is not None and format == "exr":
        raise ArgumentError("--background is for png; an exr keeps its alpha so that a compositor adds one.")
    import numpy as np

    from ..avatar import load_avatar
    from ..avatar.framing import portrait_camera
    from ..avatar.light import lamp as lamp_light
    from ..export.frames import camera_metadata, write_exr, write_png
    from ..export.video import KINDS
    from ..farm.frames import FrameFolder, file_sha256
    from ..methods.draw import Draw, drawer_of
    from ..server.devices import resolve_device

    person = load_avatar(avatar)
    animation, numbers = read_take(take, frames)
    camera = portrait_camera(person, pixels, yaw, pitch)
    behind = None if color is None else np.array(color, np.float32)
    light = None if lamp is None else lamp_light(*lamp, soft=soft, power=power)
    progress, made, times = Progress(), set(), []
    progress(0.0, "Preparing")
    device = resolve_device(device)
    if out.suffix.lower() in KINDS:
        return _video(out, person, animation, numbers, camera, behind, device, json, light)
    notes = {
        "avatar": person.name, "method": person.method, "head": person.head.name,
        "fps": animation.fps if animation else 24.0, **camera_metadata(camera),
    }  # fmt: skip
    told = {"Software": f"gshead {__version__}", "Comment": computed_by(person)}
    notes["comment"] = told["Comment"]
    made_from = [file_sha256(path) for path in (avatar, take) if path is not None]
    settings = {
        "size": pixels, "yaw": yaw, "pitch": pitch, "background": background, "device": device,
        "gshead": __version__, **({"lamp": (*lamp, soft, power)} if lamp is not None else {}),
    }  # fmt: skip
    folder = FrameFolder(out, hashlib.sha256(repr((made_from, format, settings)).encode()).hexdigest())
    folder.sweep()
    try:
        draw: Draw | None = None
        left = numbers
        while left:  # once more only where another process, at work on a frame, did not come to its end
            for i, number in enumerate(left):
                with folder.claimed(number) as mine:
                    if not mine or (not again and folder.valid(number)):
                        continue
                    draw = draw or drawer_of(person, device, light)
                    started = time.perf_counter()
                    drawn = draw(pose_at(person, animation, number), camera)
                    rgb, alpha, depth = drawn.color, drawn.alpha, drawn.depth
                    times.append(time.perf_counter() - started)
                    scratch = folder.scratch(number)
                    scratch = scratch.with_name(f"{scratch.name}.{format}")
                    if format == "exr":
                        write_exr(scratch, rgb, alpha, depth, metadata={**notes, "frame": number})
                    elif behind is not None:
                        write_png(scratch, rgb + (1 - alpha[..., None]) * behind, text=told)
                    else:
                        write_png(scratch, rgb, alpha, text=told)
                    folder.finish(number, scratch, times[-1], {"gshead": __version__})
                    made.add(number)
                progress((i + 1) / len(left), f"Frame {number}")
            left = folder.left_of(left)
        progress(1.0, "Done")
    finally:
        progress.close()
    folder.write_manifest(numbers)
    files, kept = [str(out / f"{n:04d}.{format}") for n in numbers], [n for n in numbers if n not in made]
    median = statistics.median(times or [0.0])
    result = {
        "files": files, "kept": kept, "size": list(pixels), "splats": len(person), "device": device,
        "milliseconds_per_frame": round(1000 * median, 2),
    }  # fmt: skip
    count = f"{len(files)} frames" if len(files) > 1 else files[0]
    some = f", {len(kept)} were there" if kept else ""
    emit(result, f"{count} in {out}: {1000 * median:.0f} ms each (median, {device}){some}", as_json=json)
    return 0


def _video(
    out: Path, person: Avatar, animation: Take | None, numbers: list[int], camera: Camera,
    behind: np.ndarray | None, device: str, json: bool, light: np.ndarray | None,
) -> int:  # fmt: skip
    """Frames into one video file."""
    from ..export.video import video_writer
    from ..methods.draw import drawer_of

    progress, size = Progress(), (camera.width, camera.height)
    try:
        fps = animation.fps if animation else 24.0
        with video_writer(out, size, fps, transparent=behind is None, comment=computed_by(person)) as write:
            draw = drawer_of(person, device, light)
            for i, number in enumerate(numbers):
                drawn = draw(pose_at(person, animation, number), camera)
                if behind is None:
                    write(drawn.color, drawn.alpha)
                else:
                    write(drawn.color + (1 - drawn.alpha[..., None]) * behind)
                progress((i + 1) / len(numbers), f"Frame {number}")
    finally:
        progress.close()
    result = {"files": [str(out)], "size": list(size), "splats": len(person), "device": device}
    emit(result, f"{out}: {len(numbers)} frames of {size[0]}x{size[1]}", as_json=json)
    return 0


def computed_by(avatar: Avatar) -> str:
    """What a picture says about itself."""
    return f"computed, not filmed; gshead {__version__}, method {avatar.method}"


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
