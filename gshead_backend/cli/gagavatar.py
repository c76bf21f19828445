"""``gshead gagavatar``: a photo and a take become frames, by the published network, in this process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import FileFormatError, HeadError
from .console import Progress, emit, parse, warn


def main(args: Sequence[str]) -> int:
    return parse(gagavatar, "gagavatar", args)


def gagavatar(
    photo: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    take: Path | None = None, frames: str = "", yaw: float = 0.0, pitch: float = 0.0, head: str = "",
    device: str = "auto", json: bool = False,
) -> int:  # fmt: skip
    """Render frames of a photographed person with GAGAvatar, as 0001.png and so on, 512 x 512 pixels.

    Needs the authors' checkpoint and a FLAME model ('gshead weights list').

    Args:
        photo: JPEG, PNG, WebP or TIFF.
        out: the folder; made when missing.
        take: animation (docs/take.md); the neutral pose when absent.
        frames: for example 1-48, 1-48:2 or 1,5,9; all frames of the take when empty.
        yaw: degrees around the head; positive moves the camera to the person's left.
        pitch: degrees; positive moves the camera up.
        head: an imported FLAME head's name; the first one when empty.
        device: auto, cpu, cuda or cuda:N.
        json: print the result as one JSON object.
    """
    from ..methods.needs import FLAME, GAGAVATAR, flame_heads, require

    weights, flame = require(GAGAVATAR), require(FLAME)
    named = flame_heads()
    if head and head not in named:
        raise HeadError(f"'{head}' is not an imported FLAME head.", remedy=f"Use one of: {', '.join(named)}.")
    try:
        data = photo.read_bytes()
    except OSError as error:
        raise FileFormatError(f"'{photo}' cannot be read: {error.strerror or error}.") from error
    progress, files, times = Progress(), [], []
    progress(0.0, "Loading")
    from ..export.frames import write_png
    from ..head import HeadPose, load_head
    from ..methods.gagavatar.drawer import Drawer
    from ..methods.gagavatar.person import check_head, make_person
    from ..portrait.fit import fit_portrait
    from ..server.devices import resolve_device
    from .render import read_take

    model = load_head(named[head] if head else flame)
    check_head(model)
    animation, numbers = read_take(take, frames)
    chosen = resolve_device(device)
    try:
        fit = fit_portrait(data, model, progress=progress.part(0.0, 0.1))
        progress(0.1, "Loading the network")
        drawer = Drawer.from_file(weights, chosen)
        progress(0.2, "Reading the photo")
        subject = drawer.subject(make_person(fit, model))
        for i, number in enumerate(numbers):
            progress(0.3 + 0.7 * i / len(numbers), f"Frame {number}")
            pose = HeadPose.neutral(model.expression_count) if animation is None else animation.pose(model, number)
            started = time.perf_counter()
            picture = drawer.draw(subject, pose, yaw, pitch)
            times.append(time.perf_counter() - started)
            path = out / f"{number:04d}.png"
            write_png(path, picture.rgb, picture.alpha)
            files.append(str(path))
        progress(1.0, "Done")
    finally:
        progress.close()
    for text in fit.warnings:
        warn(text)
    median = statistics.median(times)
    result = {
        "files": files, "device": chosen, "landmark_error_px": round(subject.person.error_px, 2),
        "milliseconds_per_frame": round(1000 * median, 1), "warnings": list(fit.warnings),
    }  # fmt: skip
    emit(result, f"{len(files)} frames in {out}: {1000 * median:.0f} ms each (median, {chosen})", as_json=json)
    return 0
