"""``gshead assets``: the small networks that read portraits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from .console import emit, parse_actions


def main(args: Sequence[str]) -> int:
    return parse_actions({"fetch": fetch, "list": show}, "assets", args)


def fetch(*, source: Annotated[Path | None, tyro.conf.arg(name="from")] = None, json: bool = False) -> int:
    """Install the networks: out of the mediapipe 0.10.21 wheel, which pip downloads but does not install.

    Args:
        source: a mediapipe wheel on disk, or a folder that holds one or the networks, for machines without internet.
        json: print the result as one JSON object.
    """
    from ..portrait.assets import fetch_assets

    paths = [str(p) for p in fetch_assets(source)]
    emit({"files": paths}, "\n".join(paths), as_json=json)
    return 0


def show(*, json: bool = False) -> int:
    """List the networks, whether they are installed, and where they belong.

    Args:
        json: print the result as one JSON object.
    """
    from ..portrait.assets import ASSETS, LICENSE, WHEEL, assets_folder, missing_assets

    missing = set(missing_assets())
    rows = [{"name": name, "installed": name not in missing} for name in ASSETS]
    text = "\n".join(f"{'ok     ' if row['installed'] else 'missing'}  {row['name']}" for row in rows)
    result = {"folder": str(assets_folder()), "license": LICENSE, "source": WHEEL, "assets": rows}
    emit(result, f"{text}\nin {assets_folder()} ({LICENSE}, from {WHEEL})", as_json=json)
    return 0
