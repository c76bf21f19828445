"""``gshead export``: USD with rig and splats, or PLY."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import ArgumentError
from ..files import check_writable
from .console import Progress, bytes_text, emit, parse
from .render import pose_at, read_take

USD_ENDINGS = (".usd", ".usda", ".usdc", ".usdz")


def main(args: Sequence[str]) -> int:
    return parse(export, "export", args)


def export(
    avatar: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    take: Path | None = None, frames: str = "", mode: Literal["baked", "rig"] = "baked",
    precision: Literal["float", "half"] = "float", json: bool = False,
) -> int:  # fmt: skip
    """Write an avatar as OpenUSD (.usd, .usda, .usdc, .usdz) or as a 3DGS PLY (.ply).

    Args:
        avatar: a .gshead file.
        out: the file to write; its ending chooses the format.
        take: animation (docs/take.md); the neutral pose when absent.
        frames: for example 1-48; all frames of the take when empty. A PLY holds one frame.
        mode: USD only. baked: splats move in every reader that draws them; rig: small, a tool must carry them.
        precision: USD only. half makes splats half as large.
        json: print the result as one JSON object.
    """
    if out.suffix.lower() not in (*USD_ENDINGS, ".ply"):
        raise ArgumentError(f"'{out.name}' must end in {', '.join(USD_ENDINGS)} or .ply.")
    check_writable(out)
    from ..avatar import load_avatar
    from ..export.allowed import check_exportable

    person = load_avatar(avatar)
    check_exportable(person)
    animation, numbers = read_take(take, frames)
    if out.suffix.lower() == ".ply":
        from ..avatar.drive import drive
        from ..export.ply import export_ply

        if len(numbers) != 1:
            raise ArgumentError(f"A PLY holds one frame, not {len(numbers)}.", remedy="Choose it with --frames.")
        export_ply(out, drive(person, pose_at(person, animation, numbers[0])))
    else:
        import pxr

        from ..avatar.framing import portrait_camera
        from ..export.usd import export_usd

        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise ArgumentError("A USD file holds frames in a row.", remedy="Give --frames as FIRST-LAST.")
        export_usd(
            out, person, [pose_at(person, animation, n) for n in numbers], pxr=pxr, start_frame=numbers[0],
            fps=animation.fps if animation else 24.0, mode=mode, precision=precision,
            camera=portrait_camera(person, (1024, 1024)), progress=Progress(),
        )  # fmt: skip
    size = out.stat().st_size
    result = {"file": str(out), "bytes": size, "splats": len(person), "frames": len(numbers)}
    emit(result, f"{out}: {len(person)} splats, {len(numbers)} frames, {bytes_text(size)}", as_json=json)
    return 0
