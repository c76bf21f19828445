"""Frames without a face: filling them in, and telling which they are."""

from __future__ import annotations

import numpy as np


def filled(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(F, ...) with rows that were not found taken from a straight line between their neighbours; ends hold."""
    at, good = np.arange(len(values)), np.flatnonzero(found)
    flat = values.reshape(len(values), -1)
    return np.stack([np.interp(at, good, column[good]) for column in flat.T], 1).reshape(values.shape)


def gaps(found: np.ndarray) -> list[tuple[int, int]]:
    """First and last row of every run of rows that were not found."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ~found, [0]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
