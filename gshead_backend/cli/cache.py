"""``gshead cache``: what gshead keeps on this machine, clearing it, and how much it may keep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import tyro

from ..errors import ArgumentError
from .console import bytes_text, emit, parse_actions, warn

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def main(args: Sequence[str]) -> int:
    return parse_actions({"list": show, "clear": clear, "limit": limit}, "cache", args)


def show(*, json: bool = False) -> int:
    """List every folder in which gshead keeps data: how much, how old, what for, and whether others can read it.

    Args:
        json: print the result as one JSON object.
    """
    from ..folders import read_limits
    from ..upkeep.places import holding, places

    found = [holding(place) for place in places()]
    rows = [_row(h) for h in found]
    for row in rows:
        if row["open_to_others"] and row["personal"]:
            warn(f"{row['path']} can be entered by other users of this machine; 'gshead cache limit' closes it.")
    limits = read_limits()
    result = {"places": rows, "limits": {"bytes": limits.bytes, "days": limits.days}}
    emit(result, "\n".join([*map(_text, rows), _limits_text(limits)]), as_json=json)
    return 0


def clear(
    names: tyro.conf.Positional[tuple[str, ...]] = (), /, *,
    older_than: Annotated[float, tyro.conf.arg(metavar="DAYS")] = 0.0, json: bool = False,
) -> int:  # fmt: skip
    """Remove what gshead keeps: frames of the viewport, and what killed backends left. Never what runs now.

    Args:
        names: which places, as 'gshead cache list' has them. Heads, weights and networks go only when they are named.
        older_than: only what was not used for so many days.
        json: print the result as one JSON object.
    """
    from ..upkeep.clearing import clear as remove

    _report(remove(names, older_than_days=older_than), as_json=json)
    return 0


def limit(*, size: str | None = None, days: float | None = None, json: bool = False) -> int:
    """Say how much caches of pictures may keep and for how long, and remove what is beyond it now.

    Blender's frame cache and 'gshead serve' heed the same limits whenever they start. Without options: as they are.

    Args:
        size: of each frame cache, such as 500MB or 2GiB; 'default' leaves it to the preferences of the extension.
        days: what was not used for longer is removed; 30 unless changed.
        json: print the result as one JSON object.
    """
    from ..folders import read_limits, write_limits
    from ..upkeep.clearing import apply_limits

    limits = read_limits()
    if size is not None:
        limits = replace(limits, bytes=None if size == "default" else parse_bytes(size))
    if days is not None:
        limits = replace(limits, days=days)
    if size is not None or days is not None:
        write_limits(limits)
    _report(apply_limits(limits), as_json=json, limits=limits)
    return 0


def parse_bytes(text: str) -> int:
    """``"500MB"`` or ``"2GiB"`` to bytes. Raises ``ArgumentError``."""
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmgt]?i?)b?", text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise ArgumentError(f"The size '{text}' is not a number of bytes.", remedy="Write for example 500MB or 2GiB.")
    return int(float(match[1]) * _UNITS[match[2]])


def _row(found: Any) -> dict[str, Any]:
    place = found.place
    return {
        "name": place.name, "kind": place.kind, "personal": place.personal, "path": str(place.path), "what": place.what,
        "files": len(found.items), "bytes": found.bytes, "oldest_days": round(found.oldest_days(), 2),
        "open_to_others": found.open_to_others,
    }  # fmt: skip


def _text(row: dict[str, Any]) -> str:
    held = f"{row['files']} files, {bytes_text(row['bytes'])}" if row["files"] else "empty"
    age = f", oldest {row['oldest_days']:.0f} days" if row["files"] else ""
    return f"{row['name']:<11}  {held}{age}\n{'':<11}  {row['what']}: {row['path']}"


def _limits_text(limits: Any) -> str:
    size = "as the extension's preferences say" if limits.bytes is None else f"at most {bytes_text(limits.bytes)}"
    return f"limits: each frame cache {size}; what was not used for {limits.days:g} days goes"


def _report(done: Sequence[Any], *, as_json: bool, limits: Any = None) -> None:
    rows = [
        {"name": c.place.name, "path": str(c.place.path), "files": c.files, "bytes": c.bytes, "left": c.left}
        for c in done
    ]
    lines = [
        f"{row['name']}: removed {row['files']} files, {bytes_text(row['bytes'])}"
        + (f"; {row['left']} are in use" if row["left"] else "")
        for row in rows
        if row["files"] or row["left"]
    ]
    result: dict[str, Any] = {"cleared": rows}
    if limits is not None:
        result["limits"] = {"bytes": limits.bytes, "days": limits.days}
        lines.append(_limits_text(limits))
    emit(result, "\n".join(lines or ["Nothing to remove."]), as_json=as_json)
