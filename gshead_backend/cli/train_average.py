"""``gshead train average``: one network from several trainings."""

from __future__ import annotations

from pathlib import Path

import tyro

from ..files import check_writable
from .console import emit


def average(
    weights: tyro.conf.Positional[tuple[Path, ...]], /, *, out: Path, shares: tuple[float, ...] = (),
    json: bool = False,
) -> int:  # fmt: skip
    """Average weight files of one network that were trained on from the same weights; often better than each of them.

    Args:
        weights: two or more files (.safetensors) of one network.
        out: the file to write.
        shares: how much each counts, one number a file; all alike when not given.
        json: print the result as one JSON object.
    """
    check_writable(out)
    from ..portrait.nets.weights import save_weights
    from ..training.average import average_weights

    header, arrays = average_weights(weights, shares)
    save_weights(out, header, arrays)
    count = sum(a.size for a in arrays.values())
    result = {"weights": str(out), "network": header.network, "files": len(weights), "parameters": count}
    emit(result, f"{out}: {header.network}, {len(weights)} files, {count / 1e6:.2f} M parameters", as_json=json)
    return 0
