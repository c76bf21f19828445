"""``gshead reconstruct``: one photo in this process, without a backend; a folder over a pool of workers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import ArgumentError, FileFormatError
from ..files import check_writable, write_atomic
from .console import Progress, bytes_text, emit, parse, warn


def main(args: Sequence[str]) -> int:
    return parse(reconstruct, "reconstruct", args)


def reconstruct(
    photo: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *, method: str = "uvfit",
    quality: Literal["draft", "standard", "high"] = "standard", name: str = "", head: str = "default",
    device: str = "auto", seed: int = 0, splats: int | None = None, workers: int = 0,
    pool: str = "", connection: Path | None = None, again: bool = False, json: bool = False,
) -> int:  # fmt: skip
    """Make an avatar from one portrait photo, or one from every photo of a folder.

    A folder's avatars are made by several workers at once; run it again, and those that are there are kept. What became
    of each is in 'batch.json' beside them. Folders within the folder are not searched.

    Args:
        photo: JPEG, PNG, WebP or TIFF, or a folder of them.
        out: the avatar file to write, ending in .gshead; with a folder, the folder to write them to.
        method: uvfit, rar or sega (uvfit corrected by trained networks), or gagavatar (a published network; 'gshead
            weights list' says what it needs).
        quality: draft takes a few seconds, standard and high some ten times as long without a GPU.
        name: display name; the photo's name when empty.
        head: an imported head's name, or a head file; with gagavatar the imported FLAME head.
        device: auto, cpu, cuda or cuda:N.
        seed: the same seed, photo and device give the same file.
        splats: about so many, whatever the quality; what a frame costs depends on this number alone.
        workers: with a folder: how many work at once; 0 for one a GPU, and one without GPUs.
        pool: with a folder: local:N, or ray://HOST:PORT for a Ray cluster; this machine by default.
        connection: with a folder: connection file of a backend that runs with a pool.
        again: with a folder: make all of them anew.
        json: print the result as one JSON object.
    """
    if photo.is_dir():
        if name:
            raise ArgumentError("--name is for a single photo.")
        from .reconstruct_folder import reconstruct_folder

        options = {"method": method, "quality": quality, "seed": seed, "splats": splats or 0}
        options |= {} if head == "default" else {"head": head}
        return reconstruct_folder(
            photo, out, options, device=device, pool=pool, workers=workers, connection=connection, again=again,
            json=json,
        )  # fmt: skip
    if workers or pool or connection or again:
        raise ArgumentError("--workers, --pool, --connection and --again are for a folder of photos.")
    if out.suffix != ".gshead":
        raise ArgumentError(f"The avatar file '{out}' must end in .gshead.")
    from ..methods import ReconstructOptions, get_method, head_for

    options = ReconstructOptions(quality, seed=seed, splats=splats)
    data = _read(photo)
    check_writable(out)
    progress, started = Progress(), time.perf_counter()
    progress(0.0, "Loading")
    from ..avatar import avatar_from_bytes, avatar_to_bytes, describe_avatar
    from ..farm.portraits import display_name
    from ..portrait.fit import fit_portrait
    from ..server.devices import resolve_device

    function = get_method(method)
    model = head_for(method, head)
    options = replace(options, name=name or display_name(photo), device=resolve_device(device))
    try:
        fit = fit_portrait(data, model, progress=progress.part(0.0, 0.1))
        avatar = function(fit, model, options, progress.part(0.1, 0.98))
    finally:
        progress.close()
    file = avatar_to_bytes(avatar)
    avatar_from_bytes(file)  # what is written must be readable: better an error now than a lost head later
    write_atomic(out, file)
    progress(1.0, "Saved")
    for text in fit.warnings:
        warn(text)
    seconds = time.perf_counter() - started
    about = describe_avatar(file)
    result = {
        "file": str(out), "seconds": round(seconds, 2), "device": options.device, "warnings": list(fit.warnings),
        "landmark_error_px": round(fit.error_px, 3), **about,
    }  # fmt: skip
    text = f"{out}: '{about['name']}', {about['splats']} splats, {bytes_text(about['bytes'])}, {seconds:.1f} s"
    emit(result, text, as_json=json)
    return 0


def _read(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"'{photo}' cannot be read: {error.strerror or error}.", remedy="Name a photo or a folder of photos."
        ) from error
