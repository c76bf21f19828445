"""Takes from tables of numbers: what scripts have in lists and numpy arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .take import ROTATIONS, Channel, Interpolation, Take


def take_from_table(
    table: Mapping[str, Any], *, fps: float, start: int = 1, interpolation: Interpolation = "linear",
    name: str = "table",
) -> Take:  # fmt: skip
    """A take from one table a channel.

    Args:
        table: channel name (docs/take.md) to keys, as lists or arrays:
            an ARKit channel has (K, 2) rows of frame and value, or (F,) values, one a frame from ``start``;
            a rotation has (K, 4) rows of frame and three angles in degrees, or (F, 3) angles.
        fps: frames per second that frames count in. start: first frame of values that come without frames.
        interpolation: between keys, ``"linear"``, ``"smooth"`` or ``"constant"``.
    Returns:
        A take from the first key to the last.
    Raises:
        ArgumentError: no channel, an unknown one, or a table of another shape, unordered or out of range.
    """
    if not table:
        raise ArgumentError("The table has no channels.", remedy="Give at least one, such as {'jawOpen': [(1, 0.5)]}.")
    channels = {channel: _channel(channel, rows, start, interpolation) for channel, rows in table.items()}
    first = math.floor(min(channel.frames[0] for channel in channels.values()))
    last = math.ceil(max(channel.frames[-1] for channel in channels.values()))
    return Take(fps, last - first + 1, channels, first, name)


def _channel(name: str, rows: Any, start: int, interpolation: Interpolation) -> Channel:
    size = 3 if name in ROTATIONS else 1
    try:
        pairs = [(row[0], *row[1]) if _is_pair(row) else row for row in rows]  # (frame, (x, y, z)) reads better
        values = np.array(pairs, np.float64)
    except (TypeError, ValueError, IndexError) as error:
        raise ArgumentError(f"The table of '{name}' is not made of numbers: {error}.") from error
    if not values.size or not np.isfinite(values).all():
        raise ArgumentError(f"The table of '{name}' is empty, or holds NaN or infinity.")
    if values.ndim == 2 and values.shape[1] == size + 1:
        frames, values = values[:, 0], values[:, 1:]
    elif values.shape[1:] == ((3,) if size == 3 else ()):
        frames = start + np.arange(len(values), dtype=np.float64)
    else:
        keyed, dense = ("(K, 4)", "(F, 3)") if size == 3 else ("(K, 2)", "(F,)")
        raise ArgumentError(
            f"The table of '{name}' has the shape {values.shape}.",
            remedy=f"Give {keyed} rows that begin with the frame, or {dense} values, one a frame.",
        )
    return Channel(frames, values if size == 3 else values.reshape(-1), interpolation)


def _is_pair(row: Any) -> bool:
    return isinstance(row, (list, tuple)) and len(row) == 2 and isinstance(row[1], (list, tuple, np.ndarray))
