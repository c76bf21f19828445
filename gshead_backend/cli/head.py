"""``gshead head``: head models other than the one that ships with gshead."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from ..errors import FileFormatError
from .console import emit, parse_actions


def main(args: Sequence[str]) -> int:
    return parse_actions({"import": import_, "list": show}, "head", args)


def import_(path: tyro.conf.Positional[Path], /, *, name: str = "", json: bool = False) -> int:
    """Import a FLAME or ICT-FaceKit model, so that avatars can be made on it.

    A pickle is read without running anything that it contains. What FLAME's file lacks (landmarks, ARKit expressions,
    a UV map, regions) is worked out here, which takes a minute; the result is stored as safetensors.

    Args:
        path: a FLAME model file (.pkl or .npz), ICT-FaceKit's folder of OBJ files (FaceXModel), or its compact file
            (.npz).
        name: what to call it; the name of the file or folder when empty.
        json: print the result as one JSON object.
    """
    from ..head import load_head
    from ..head.importing import import_head

    if not path.exists():
        raise FileFormatError(f"There is no file or folder '{path}'.")
    print("Importing; this takes a minute.", file=sys.stderr, flush=True)
    stored = import_head(path, name or None)
    head = load_head(stored)
    result = {
        "name": stored.stem, "file": str(stored), "license": head.license, "vertices": head.vertex_count,
        "identity": head.identity_count, "expressions": head.expression_count, "sha256": head.sha256,
    }  # fmt: skip
    emit(result, f"{stored.stem}: {head.vertex_count} vertices, {head.license}, in {stored}", as_json=json)
    return 0


def show(*, json: bool = False) -> int:
    """List the heads that 'gshead reconstruct --head NAME' knows.

    Args:
        json: print the result as one JSON object.
    """
    from ..errors import GsheadError
    from ..head import installed_heads
    from ..head.file import read_meta

    rows = []
    for name, path in installed_heads().items():
        try:
            meta = read_meta(path)
            rows.append({"name": name, "license": str(meta.get("license", "")), "file": str(path), "error": ""})
        except GsheadError as error:
            rows.append({"name": name, "license": "", "file": str(path), "error": error.message})
    text = "\n".join(f"{row['name']}  {row['license'] or row['error']}  {row['file']}" for row in rows)
    emit({"heads": rows}, text, as_json=json)
    return 0
