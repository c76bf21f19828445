"""Averages of weight files: what several trainings from the same weights learned, in one network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from ..errors import ArgumentError
from ..portrait.nets.weights import Header, read_weights

_SAME = ("network", "version", "shape", "labels", "backbone")


def average_weights(files: Sequence[Path], shares: Sequence[float] = ()) -> tuple[Header, dict[str, np.ndarray]]:
    """The weighted mean of every array (Wortsman et al. 2022, "Model soups"): better than each of them where they were
    trained on from the same weights, because a network between them forgets less of what the first one knew.

    Args:
        files: two or more weight files of one network. shares: one a file, above 0; equal when empty.
    Returns:
        A header (the most steps of any, no configuration) and the arrays, float32.
    Raises:
        ArgumentError: too few files, shares that do not fit, or networks that differ. FileFormatError: a broken file.
    """
    if len(files) < 2:
        raise ArgumentError(f"An average takes two or more weight files, not {len(files)}.")
    part = np.array(shares or [1.0] * len(files), float)
    if len(part) != len(files) or not np.isfinite(part).all() or part.min() <= 0:
        raise ArgumentError(f"{len(files)} weight files need {len(files)} shares above 0, not {list(shares)}.")
    part /= part.sum()
    read = [read_weights(file) for file in files]
    first, arrays = read[0]
    for file, (header, others) in zip(files[1:], read[1:], strict=True):
        for name in _SAME:
            if getattr(header, name) != getattr(first, name):
                raise ArgumentError(
                    f"{file} has another {name} than {files[0]}: {getattr(header, name)}, not {getattr(first, name)}."
                )
        if header.scale.keys() != first.scale.keys():
            raise ArgumentError(f"{file} and {files[0]} do not scale the same outputs.")
        if {k: a.shape for k, a in others.items()} != {k: a.shape for k, a in arrays.items()}:
            raise ArgumentError(f"{file} and {files[0]} do not hold the same arrays.")
    mixed = {k: np.tensordot(part, np.stack([other[k] for _, other in read]), 1).astype(np.float32) for k in arrays}
    scale = {k: (part @ np.array([header.scale[k] for header, _ in read])).tolist() for k in first.scale}
    return msgspec.structs.replace(first, step=max(h.step for h, _ in read), config="", scale=scale), mixed
