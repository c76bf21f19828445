"""Values frame by frame, wherever they were recorded, as a take with one key a frame."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..head import ARKIT_NAMES
from .take import ROTATIONS, Channel, Take

Motion = Literal["neck", "head", "none"]
MOTIONS: tuple[Motion, ...] = ("neck", "head", "none")
EYES = ROTATIONS[2:]
REST = 0.004
"""A channel that never does more than this is left out."""
REST_DEGREES = 0.05


def take_of_frames(
    fps: float, arkit: np.ndarray, *, turn: np.ndarray | None = None, eyes: np.ndarray | None = None, name: str,
    start: int = 1, motion: Motion = "neck", center: bool = False,
) -> Take:  # fmt: skip
    """A take with one key a frame.

    Args:
        arkit: (F, 52) in ``ARKIT_NAMES`` order. turn: (F, 3) degrees of the face, Euler XYZ in head space.
        eyes: (F, 2, 3) degrees of the left and right eyeball beyond what eyeLook* do.
        motion: what turns with the face: the neck (shoulders stay), the whole bust (``head``), or nothing.
        center: take the middle of ``turn`` for straight ahead.
    Raises:
        ArgumentError: too long for a take, or a value outside what a take holds.
    """
    count = len(arkit)
    frames = np.arange(start, start + count, dtype=float)
    channels = {
        channel: Channel(frames, arkit[:, i].astype(float).round(4))
        for i, channel in enumerate(ARKIT_NAMES)
        if np.abs(arkit[:, i]).max() > REST
    }
    if turn is not None and motion != "none":
        turn = turn - (np.median(turn, 0) if center else 0)
        channels[f"{motion}Rotation"] = Channel(frames, turn.round(3))
    if eyes is not None:
        for k, side in enumerate(EYES):
            if np.abs(eyes[:, k]).max() > REST_DEGREES:
                channels[side] = Channel(frames, eyes[:, k].round(3))
    return Take(fps, count, channels, start, name)
