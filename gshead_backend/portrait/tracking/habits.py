"""What a clip tells about a face that no single picture does: how it rests, how far its lids go, how far it nods."""

from __future__ import annotations

import numpy as np

from ...head.arkit import ARKIT_NAMES
from ..beliefs import BLINKS

ENOUGH = 25
"""Frames with a face below which a clip says nothing about what is usual for it."""
REST_SHARE, REST_MOST = 0.05, 0.2
"""Every channel rests in so many of the frames; a stronger reading than ``REST_MOST`` is not taken for one at rest."""
FURTHER = 1.1
"""What moves is read too small, since a network that is in doubt says less; over a clip, with the rest taken out, it
may be made stronger again (benchmarks/RESULTS.md)."""
SHUT, SHUT_MOST = 0.35, 1.5
"""A short reading of a blink above ``SHUT`` was a closed eye, and is made at most so much stronger."""
SHORT = 0.3
"""Share of a clip that blinks fill at most; longer, and it is the way somebody looks."""
NOD = 1.2
"""Nods are read too small: within validation people by 1.07 (all crops) to 1.22 (new ones on the default head), on
three clips of Cycles people by 1.3 and more (benchmarks/RESULTS.md)."""

_FACE = np.array([not name.startswith(("eyeBlink", "eyeLook")) for name in ARKIT_NAMES])


def settled(arkit: np.ndarray, found: np.ndarray) -> np.ndarray | None:
    """Readings of a clip with what the same face gets at rest taken out, and blinks that close the eye.

    Low brows or thin lips are read as a faint movement in every picture; over a clip they show as what never
    goes away.

    Args:
        arkit: (n, 52) as read, 0..1. found: (n,) bool.
    Returns:
        (n, 52) float32; None where too few frames show a face.
    """
    if found.sum() < ENOUGH or not np.isfinite(arkit[found]).all():
        return None
    rest = np.minimum(np.quantile(arkit[found], REST_SHARE, axis=0), REST_MOST)
    out = np.clip((arkit - rest) / (1 - rest), 0, 1)
    lids = out[:, BLINKS]
    out = np.where(_FACE, np.minimum(FURTHER * out, 1), out)
    peak = np.quantile(lids[found], 0.98, axis=0)
    short = (lids[found] > peak / 2).mean(0) < SHORT
    gain = np.where((peak > SHUT) & short, np.clip(1 / np.maximum(peak, 1e-3), 1, SHUT_MOST), 1)
    out[:, BLINKS] = np.minimum(gain * lids, 1)
    return out.astype(np.float32)


def nodding(head: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Head angles of a clip with the pitch moving further about what is usual in it: a single reading leans toward a
    level head, since it cannot tell a raised chin from a long one; over a clip the chin stays as long as it is.

    Args:
        head: (n, 3) yaw, pitch, roll in radians, as read. found: (n,) bool.
    """
    if found.sum() < ENOUGH or not np.isfinite(head[found]).all():
        return head
    out = head.copy()
    usual = np.median(head[found, 1])
    out[:, 1] = usual + NOD * (head[:, 1] - usual)
    return out
