"""Readings as strong as what is read: gains of the regressor's ARKit outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ArgumentError
from ..portrait.nets.mirror import ARKIT_MIRROR
from ..portrait.nets.regressor import load_regressor
from ..portrait.nets.weights import Header, read_weights
from .config import Augment
from .data import Crops
from .regressor_task import correlation, read_batches, regressor_item, report

BATCH = 32
MOST = 2.0
TOLD = 0.3
"""Correlation below which a channel's readings say too little to be made stronger."""


def calibrated(file: Path, crops: Crops) -> tuple[Header, dict[str, np.ndarray], dict[str, Any], dict[str, Any]]:
    """The regressor's weights with gains that its readings of ``crops`` ask for.

    Training with squared errors draws what cannot be seen well toward the mean, so such channels move too little. Each
    is scaled to the root mean square of the truth, by at most ``MOST`` and never down, both sides alike.

    Args:
        crops: people whom the network was not trained on.
    Returns:
        Header and arrays of the new weights, and ``regressor_task.report`` before and after.
    Raises:
        ArgumentError: the weights are another network's. FileFormatError: the file is broken or does not fit.
    """
    header, arrays = read_weights(file)
    if header.network != "regressor":
        raise ArgumentError(f"{file} holds a {header.network}; readings are a regressor's.")
    found = read_batches(load_regressor(file)[0], _batches(crops), torch.device("cpu"))
    gain = gains(found["arkit"], found["true_arkit"])
    arrays = dict(arrays)
    for name in ("out.weight", "out.bias", "direct.weight", "closer.out.weight", "closer.out.bias"):
        rows = arrays[name].astype(np.float32)
        rows[:52] *= gain.reshape(-1, *[1] * (rows.ndim - 1))
        arrays[name] = rows
    return header, arrays, report(found), report(found | {"arkit": np.minimum(found["arkit"] * gain, 1)})


def gains(read: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(52,) float32 1..``MOST`` from readings (N, 52) and what they should be, mirrored faces counted too."""
    read, true = (np.concatenate([a, a[:, ARKIT_MIRROR]]) for a in (read, true))
    out = np.ones(52, np.float32)
    for c in range(52):
        if correlation(read[:, c], true[:, c]) >= TOLD:
            out[c] = np.clip(np.sqrt((true[:, c] ** 2).mean() / (read[:, c] ** 2).mean()), 1, MOST)
    return out


def _batches(crops: Crops) -> Any:
    rng = np.random.default_rng(0)  # nothing is drawn
    for start in range(0, len(crops), BATCH):
        items = [regressor_item(crops, i, rng, Augment.none()) for i in range(start, min(start + BATCH, len(crops)))]
        yield {key: torch.from_numpy(np.stack([item[key] for item in items])) for key in items[0]}
