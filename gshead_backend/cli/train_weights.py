"""``gshead train average|calibrate``: what is done to weights after training."""

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


def calibrate(weights: tyro.conf.Positional[Path], /, *, data: Path, out: Path, json: bool = False) -> int:
    """Make a regressor's readings as strong as what is read: training draws channels that are hard to see to the mean.

    Args:
        weights: the regressor (.safetensors).
        data: a folder of training crops; its validation split is read.
        out: the file to write; may be the same.
        json: print the result as one JSON object.
    """
    check_writable(out)
    from ..portrait.nets.weights import save_weights
    from ..training.calibrate import calibrated
    from ..training.data import Crops

    crops = Crops(data, "validation")
    header, arrays, before, after = calibrated(weights, crops)
    save_weights(out, header, arrays)
    keys = ("arkit_active_mae", "arkit_active_corr", "arkit_mae", "blink_recall", "blink_false")
    lines = [f"{key:18s} {before[key]:.4f} -> {after[key]:.4f}" for key in keys]
    result = {"weights": str(out), "samples": len(crops), "before": before, "after": after}
    emit(result, "\n".join([*lines, f"{out}: measured on {len(crops)} faces"]), as_json=json)
    return 0
