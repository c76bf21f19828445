"""``gshead reduce``: the same avatar with fewer splats."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import ArgumentError
from ..files import check_writable
from .console import bytes_text, emit, parse

LEAST = 500


def main(args: Sequence[str]) -> int:
    return parse(reduce, "reduce", args)


def reduce(
    avatar: tyro.conf.Positional[Path], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    splats: int = 20_000, json: bool = False,
) -> int:  # fmt: skip
    """Write an avatar with fewer splats that looks as much alike as it can: smaller files, faster frames.

    Splats that stay together in all expressions, and look alike, are joined; what is seen most keeps most detail.

    Args:
        avatar: a .gshead file.
        out: the .gshead file to write.
        splats: how many it shall have, at least 500.
        json: print the result as one JSON object.
    """
    if splats < LEAST:
        raise ArgumentError(f"--splats must be at least {LEAST}, got {splats}.")
    if out.suffix.lower() != ".gshead":
        raise ArgumentError(f"'{out.name}' must end in .gshead.")
    check_writable(out)
    from ..avatar import load_avatar, save_avatar
    from ..detail import reduced

    started = time.perf_counter()
    whole = load_avatar(avatar)
    if len(whole) <= splats:
        raise ArgumentError(
            f"{avatar.name} has {len(whole)} splats, no more than the {splats} asked for.",
            remedy="Ask for fewer with --splats.",
        )
    less = reduced(whole, splats)
    size = save_avatar(less, out)
    seconds = time.perf_counter() - started
    told = {"file": str(out), "splats": len(less), "of": len(whole), "bytes": size, "seconds": round(seconds, 2)}
    emit(told, f"{out}: {len(less)} of {len(whole)} splats, {bytes_text(size)}, {seconds:.1f} s", as_json=json)
    return 0
