"""``gshead export``: USD, glTF, PLY and SPZ; ``gshead import-usd`` is the way back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..errors import ArgumentError
from ..files import check_writable
from .console import Progress, bytes_text, emit, parse, parse_frames, warn
from .render import pose_at, read_take

if TYPE_CHECKING:
    from ..avatar import Avatar, Take

USD_ENDINGS = (".usd", ".usda", ".usdc", ".usdz")
ENDINGS = (*USD_ENDINGS, ".glb", ".ply", ".spz")


def main(args: Sequence[str]) -> int:
    return parse(export, "export", args)


def export(
    avatar: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    take: Path | None = None, frames: str = "", mode: Literal["baked", "rig", "clips"] = "baked", half: bool = False,
    chunk: int = 24, part: str = "", light: bool = True, texture: bool = True,
    morphs: Literal["arkit", "rig"] = "arkit", content: Literal["all", "splats", "mesh"] = "all", json: bool = False,
) -> int:  # fmt: skip
    """Write an avatar as OpenUSD (.usd, .usda, .usdc, .usdz), binary glTF (.glb), 3DGS PLY (.ply) or SPZ (.spz).

    Several frames of a PLY or SPZ become numbered files: head.ply becomes head.0001.ply and so on.

    Args:
        avatar: a .gshead file.
        out: the file to write; its ending chooses the format.
        take: animation (docs/take.md); the neutral pose when absent.
        frames: for example 1-48; all frames of the take when empty.
        mode: USD. baked: splats move in every reader that draws them; clips: the same, one file for each chunk of
            frames; rig: small, a tool must carry the splats.
        half: USD. Splats take half the space and are placed to about 0.1 mm.
        chunk: clips: frames in one file.
        part: clips: write only one chunk, named by its frames as in 25-48, or only the files around the chunks, named
            root. Tasks on several machines write one part each, with the same --frames and --chunk.
        light: USD. Add an even light for the mesh.
        texture: USD and glTF. Bake the mesh's texture from the splats.
        morphs: glTF. arkit: one complete shape for each ARKit channel; rig: the rig's shapes, which need its joints.
        content: glTF. all, splats, or mesh.
        json: print the result as one JSON object.
    """
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise ArgumentError(f"'{out.name}' must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}.")
    if part and (mode != "clips" or ending not in USD_ENDINGS):
        raise ArgumentError("--part is for --mode clips.")
    from ..avatar import load_avatar
    from ..export.allowed import check_exportable

    check_writable(out)
    person = load_avatar(avatar)
    check_exportable(person)
    animation, numbers = read_take(take, frames)
    if ending in USD_ENDINGS:
        files = _usd(out, person, animation, numbers, mode, half, chunk, part, light, texture)
    elif ending == ".glb":
        _in_a_row(numbers, "A glTF animation")
        from ..export.gltf import export_glb

        export_glb(
            out, person, [pose_at(person, animation, n) for n in numbers], fps=animation.fps if animation else 24.0,
            with_splats=content != "mesh", with_mesh=content != "splats", morphs=morphs, texture=texture,
        )  # fmt: skip
        files = [out]
    else:
        files = _splat_files(out, person, animation, numbers)
    size = sum(path.stat().st_size for path in files)
    result = {"file": str(files[0]), "bytes": size, "splats": len(person), "frames": len(numbers)}
    result["files"] = [str(path) for path in files]
    where = f"{files[0]}" if len(files) == 1 else f"{len(files)} files, {files[0]} and on"
    emit(result, f"{where}: {len(person)} splats, {len(numbers)} frames, {bytes_text(size)}", as_json=json)
    return 0


def _usd(
    out: Path, person: Avatar, animation: Take | None, numbers: list[int], mode: Literal["baked", "rig", "clips"],
    half: bool, chunk: int, part: str, light: bool, texture: bool,
) -> list[Path]:  # fmt: skip
    import pxr

    from ..avatar.framing import portrait_camera
    from ..export.usd import export_usd, files_of
    from ..export.usd_clips import chunk_ranges, export_chunk
    from ..export.usd_look import Light

    _in_a_row(numbers, "A USD file")
    if mode == "rig" and person.dynamic is not None:
        warn(
            "this avatar's splats change with the pose, not only with the mesh. A rig file has that in "
            "primvars:gshead:dynamic:*; programs that carry the splats without it show them as at the neutral pose. "
            "Use --mode baked there."
        )
    precision = "half" if half else "float"
    if part and part != "root":
        ranges = chunk_ranges(numbers[0], numbers[-1], chunk)
        wanted = parse_frames(part)
        if (wanted[0], wanted[-1]) not in ranges:
            names = ", ".join(f"{a}-{b}" for a, b in ranges[:8])
            raise ArgumentError(f"There is no part {part}.", remedy=f"The parts are root, {names}.")
        poses = [pose_at(person, animation, n) for n in wanted]
        return [export_chunk(
            out, pxr=pxr, avatar=person, poses=poses, start_frame=wanted[0], precision=precision, progress=Progress()
        )]  # fmt: skip
    export_usd(
        out, person, [pose_at(person, animation, n) for n in numbers], pxr=pxr, start_frame=numbers[0],
        fps=animation.fps if animation else 24.0, mode=mode, precision=precision, texture=texture,
        lights=[Light(name="Even")] if light else (), chunk=chunk, write_chunks=part != "root",
        camera=portrait_camera(person, (1024, 1024)), progress=Progress(),
    )  # fmt: skip
    chunks = chunk_ranges(numbers[0], numbers[-1], chunk) if mode == "clips" and not part else []
    return files_of(out, mode, texture, chunks)


def _splat_files(out: Path, person: Avatar, animation: Take | None, numbers: list[int]) -> list[Path]:
    from ..avatar.drive import drive
    from ..export.sequence import WRITERS, export_sequence

    if len(numbers) == 1:
        WRITERS[out.suffix.lower()](out, drive(person, pose_at(person, animation, numbers[0])))
        return [out]
    progress = Progress()

    def frames():  # type: ignore[no-untyped-def]
        for i, number in enumerate(numbers):
            yield number, drive(person, pose_at(person, animation, number))
            progress((i + 1) / len(numbers), f"Frame {number}")

    return export_sequence(out, frames())


def _in_a_row(numbers: list[int], what: str) -> None:
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise ArgumentError(f"{what} holds frames in a row.", remedy="Give --frames as FIRST-LAST.")
