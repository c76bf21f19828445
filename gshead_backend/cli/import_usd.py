"""``gshead import-usd``: a USD file that gshead wrote becomes an avatar and a take again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from ..files import check_writable
from .console import bytes_text, emit, parse, warn


def main(args: Sequence[str]) -> int:
    return parse(import_usd, "import-usd", args)


def import_usd(
    usd: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    take: Path | None = None, head: str = "", json: bool = False,
) -> int:  # fmt: skip
    """Read an avatar back from a USD file of gshead, and with --take its animation.

    Args:
        usd: a .usd, .usda, .usdc or .usdz file that gshead wrote, whatever its mode.
        out: the .gshead file to write.
        take: also write the animation, as a .json take.
        head: which one, when the file holds several: its path in the file, as an error lists them.
        json: print the result as one JSON object.
    """
    for path in (out, *([take] if take else [])):
        check_writable(path)
    import pxr

    from ..avatar import save_avatar, save_take
    from ..export.usd_read import import_usd as read
    from ..export.usd_read import one_head
    from ..export.usd_take import take_of

    found = one_head(read(usd, pxr=pxr), head)
    made, notes = take_of(found, usd.stem) if take is not None else (None, [])  # before anything is written
    size = save_avatar(found.avatar, out)
    result = {"file": str(out), "bytes": size, "splats": len(found.avatar), "frames": len(found.poses)}
    if take is not None and made is not None:
        for note in notes:
            warn(note)
        save_take(made, take)
        result["take"] = str(take)
    emit(result, f"{out}: {len(found.avatar)} splats, {bytes_text(size)}", as_json=json)
    return 0
