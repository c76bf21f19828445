"""``gshead bundle``: what a bug report needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..errors import GsheadError
from .console import emit, parse


def main(args: Sequence[str]) -> int:
    return parse(bundle, "bundle", args)


def bundle(
    *, out: Annotated[Path, tyro.conf.arg(aliases=("-o",))] = Path("gshead-report.zip"), json: bool = False
) -> int:
    """Write what a bug report needs: versions, the findings of 'gshead doctor', what a running backend does, its log.

    Paths, names of users, machines and clients, keys and ids are taken out; there are no pictures in it. Look at it
    before you send it: an error may quote the name that you gave to a file.

    Args:
        out: the zip file.
        json: print the result as one JSON object.
    """
    from ..upkeep.bundle import write_bundle
    from .checks import run_checks

    parts = write_bundle(out, [finding._asdict() for finding in run_checks()], _status())
    emit({"file": str(out), "parts": parts}, f"{out}: {', '.join(parts)}", as_json=json)
    return 0


def _status() -> dict[str, Any] | None:
    import msgspec

    from ..protocol import Client
    from ..protocol.launcher import live_endpoint
    from ..upkeep.bundle import without_clients

    try:
        endpoint = live_endpoint()
        if endpoint is None:
            return None
        with Client(endpoint, name="gshead bundle", timeout=5.0) as client:
            found = msgspec.to_builtins(client.status())
    except GsheadError as error:  # a report is wanted most when a backend does not answer
        return {"error": str(error)}
    return without_clients(
        {key: found[key] for key in ("seconds", "sessions", "jobs", "workers", "memory", "drawn", "fps")}
    )
