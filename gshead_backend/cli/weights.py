"""``gshead weights``: what every method and network needs, and whether it is here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro

from .console import bytes_text, emit, parse_actions


def main(args: Sequence[str]) -> int:
    actions = {"list": show, "import": import_, "verify": verify, "path": path_of, "remove": remove}
    return parse_actions(actions, "weights", args)


def _row(status: Any) -> dict[str, Any]:
    need = status.need
    return {
        "name": need.name, "present": status.present, "used_by": list(need.used_by), "license": need.license,
        "bytes": status.bytes, "sha256": status.sha256, "origin_sha256": status.origin_sha256, "file": str(status.path),
        "source": need.source, "command": need.command,
    }  # fmt: skip


def _text(status: Any) -> str:
    need = status.need
    size = bytes_text(status.bytes) if status.present else "-"
    lines = [f"{'ok     ' if status.present else 'missing'}  {need.name}  {size}  for {', '.join(need.used_by)}"]
    lines.append(f"         licence: {need.license}")
    if status.present:
        lines.append(f"         file: {status.path}")
    else:
        lines += [f"         source: {need.source}", f"         install: {need.command}"]
    if status.sha256:
        lines.append(f"         sha256: {status.sha256}")
    if status.origin_sha256:
        lines.append(f"         made from a file with sha256 {status.origin_sha256}")
    return "\n".join(lines)


def show(*, json: bool = False) -> int:
    """List every file a method or network needs: present or missing, size, hash, licence, where to get it.

    Nothing is downloaded. Names in brackets work without the file, but not as well.

    Args:
        json: print the result as one JSON object.
    """
    from ..methods.needs import statuses

    found = statuses()
    emit({"weights": [_row(s) for s in found]}, "\n".join(map(_text, found)), as_json=json)
    return 0


def import_(name: tyro.conf.Positional[str], path: tyro.conf.Positional[Path], /, *, json: bool = False) -> int:
    """Import weights that you have got from their authors, or trained yourself.

    The file is read without running anything in it, checked entry by entry, and what inference needs of it is kept as
    safetensors in your data folder. It is never passed on.

    Args:
        name: gagavatar.
        path: the published file (GAGAvatar.pt), or the folder of parts (or their index) that 'gshead train gagavatar'
            left; these are joined.
        json: print the result as one JSON object.
    """
    from ..methods.gagavatar.parts import is_parts
    from ..methods.needs import OWN_LICENSE, find_need, import_weights

    terms = OWN_LICENSE if is_parts(path) else find_need(name).license
    print(f"Importing '{name}' (licence: {terms}).", file=sys.stderr, flush=True)
    found = import_weights(name, path)
    emit(_row(found), _text(found), as_json=json)
    return 0


def verify(names: tyro.conf.Positional[tuple[str, ...]] = (), /, *, json: bool = False) -> int:
    """Read files whole and compare them with their hashes and layouts.

    Args:
        names: which ones; all that are present when none is named.
        json: print the result as one JSON object.
    """
    from ..methods.needs import statuses
    from ..methods.needs import verify as check

    wanted = names or tuple(s.need.name for s in statuses() if s.present)
    found = [check(name) for name in wanted]
    text = "\n".join(f"ok       {s.need.name}  {s.sha256}" for s in found)
    emit({"weights": [_row(s) for s in found]}, text, as_json=json)
    return 0


def path_of(name: tyro.conf.Positional[str], /, *, json: bool = False) -> int:
    """Print where a file lies; fails when it is missing.

    Args:
        name: as 'gshead weights list' has it.
        json: print the result as one JSON object.
    """
    from ..methods.needs import require

    path = require(name)
    emit({"name": name, "file": str(path)}, str(path), as_json=json)
    return 0


def remove(name: tyro.conf.Positional[str], /, *, json: bool = False) -> int:
    """Delete weights that 'gshead weights import' installed.

    Args:
        name: gagavatar.
        json: print the result as one JSON object.
    """
    from ..methods.needs import remove as delete

    path = delete(name)
    emit({"name": name, "removed": str(path)}, f"Removed {path}.", as_json=json)
    return 0
