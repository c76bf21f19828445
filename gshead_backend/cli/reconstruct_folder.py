"""``gshead reconstruct FOLDER``: every picture of a folder becomes an avatar, over a pool of workers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, UnsupportedError, from_code
from .console import emit, warn


def reconstruct_folder(
    folder: Path, out: Path, options: Mapping[str, Any], *, device: str, pool: str, workers: int,
    connection: Path | None, again: bool, json: bool, command: Sequence[str] = (),
) -> int:  # fmt: skip
    """Make the avatars that are not there yet; returns the exit code.

    Args:
        options: ``method``, ``quality``, ``seed``, ``splats`` (0: the quality's own number), ``head`` where one was
            named.
        command: what runs ``gshead serve``; this very gshead by default.
    """
    from ..farm.batch import Runner, only_one, pool_client
    from ..farm.portraits import REPORT, Batch, photos_in
    from ..head import installed_heads
    from ..methods import METHODS, ReconstructOptions
    from ..server.pool import parse_pool
    from .batch_table import BatchTable

    if options["method"] not in METHODS:
        raise UnsupportedError(
            f"There is no method '{options['method']}'.", remedy=f"Use one of: {', '.join(METHODS)}."
        )
    ReconstructOptions(seed=options["seed"], splats=options["splats"] or None)  # its errors hold for every photo
    if connection is None and options.get("head", "default") not in ("default", *(known := installed_heads())):
        raise ArgumentError(
            f"With a folder, --head is the name of an installed head, not '{options['head']}'.",
            remedy=f"Use one of: {', '.join(known)}, or import it with 'gshead head import FILE'.",
        )
    if connection is not None and (pool or workers):
        raise ArgumentError("--connection names a backend that has its own pool: leave --pool and --workers away.")
    parse_pool(pool or "local", workers)
    photos_in(folder)  # where there is nothing to do, no folder is made
    started = time.perf_counter()
    with only_one(out):
        batch = Batch(folder, out, dict(options), again=again)
        if batch.others:
            warn(f"{batch.others} other files and folders in '{folder}' are left alone.")
        backend = pool_client(
            pool or "local", workers=workers, device=device, connection=connection, command=command
        )  # fmt: skip
        with backend as client, BatchTable() as table:
            Runner(batch, client, dict(options), table.update).run()
    made, kept, failed = (batch.count(state) for state in ("made", "kept", "failed"))
    result = {
        "folder": str(out), "report": str(out / REPORT), "made": made, "kept": kept, "failed": failed,
        "seconds": round(time.perf_counter() - started, 2), "items": batch.report()["items"],
    }  # fmt: skip
    text = f"{made} made, {kept} kept, {failed} failed in {out}: {result['seconds']:.1f} s"
    for item in batch.items:
        if item.error:
            warn(f"{item.photo}: {item.error['code']}: {item.error['message']} {item.error['remedy']}".rstrip())
    emit(result, text, as_json=json)
    return _exit_code(item.error["code"] for item in batch.items if item.error)


def _exit_code(codes: Any) -> int:
    """0 without failures; that of unusable input when photos are all that is to blame, else the gravest."""
    from . import BAD_INPUT, OK, UNABLE, exit_code

    found = {exit_code(from_code(code, "")) for code in codes}
    return OK if not found else BAD_INPUT if found == {BAD_INPUT} else UNABLE
