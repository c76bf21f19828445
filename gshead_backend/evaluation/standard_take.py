"""The standard take: what every avatar plays when its drift and jitter are measured. Frozen: changing it ends the
comparison with older reports, so a change needs a new ``TAKE_VERSION``."""

from __future__ import annotations

import numpy as np

from ..avatar.take import Channel, Take, keyed

TAKE_VERSION = 1
POSES: dict[str, dict[str, float]] = {
    "neutral": {},
    "AA": {"jawOpen": 0.6, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3},
    "EE": {"jawOpen": 0.15, "mouthStretchLeft": 0.6, "mouthStretchRight": 0.6, "mouthSmileLeft": 0.3,
           "mouthSmileRight": 0.3},
    "OO": {"jawOpen": 0.2, "mouthPucker": 0.7, "mouthFunnel": 0.3},
    "MM": {"mouthPressLeft": 0.5, "mouthPressRight": 0.5, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    "FV": {"jawOpen": 0.1, "mouthRollLower": 0.6, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3},
    "smile": {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4},
    "frown": {"mouthFrownLeft": 0.7, "mouthFrownRight": 0.7, "browDownLeft": 0.6, "browDownRight": 0.6},
    "blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "surprise": {"browInnerUp": 0.9, "browOuterUpLeft": 0.7, "browOuterUpRight": 0.7, "eyeWideLeft": 0.6,
                 "eyeWideRight": 0.6, "jawOpen": 0.3},
    "gaze left": {"eyeLookOutLeft": 0.7, "eyeLookInRight": 0.7},
    "gaze right": {"eyeLookInLeft": 0.7, "eyeLookOutRight": 0.7},
    "jaw": {"jawOpen": 0.9},
}  # fmt: skip
TURNS = {"turn left": 22.0, "turn right": -22.0}
"""Degrees of head and neck together."""
SLOW_FRAMES = 16


def standard_take() -> tuple[Take, tuple[str, ...]]:
    """One frame for each of ``POSES``, then ``TURNS``; and their names."""
    names = (*POSES, *TURNS)
    used = sorted({channel for pose in POSES.values() for channel in pose})
    channels = {
        c: Channel(np.arange(1, len(names) + 1, dtype=float), np.array([POSES.get(n, {}).get(c, 0.0) for n in names]))
        for c in used
    }
    turn = np.array([[0.0, TURNS.get(n, 0.0) / 2, 0.0] for n in names])
    for joint in ("headRotation", "neckRotation"):
        channels[joint] = Channel(np.arange(1, len(names) + 1, dtype=float), turn)
    return Take(24, len(names), channels, 1, f"standard {TAKE_VERSION}"), names


def slow_take() -> Take:
    """A motion so slow (about a tenth of a pixel a frame at 512) that sharp texture alone makes no second difference:
    a small turn with a nod, the jaw opening a little, the beginning of a smile."""
    n = SLOW_FRAMES
    return Take(24, n, {
        "headRotation": keyed((1, (0, -0.4, 0)), (n, (0.2, 0.4, 0)), interpolation="linear"),
        "jawOpen": keyed((1, 0.0), (n, 0.02), interpolation="linear"),
        "mouthSmileLeft": keyed((1, 0.0), (n, 0.05), interpolation="linear"),
        "mouthSmileRight": keyed((1, 0.0), (n, 0.05), interpolation="linear"),
    }, 1, f"slow {TAKE_VERSION}")  # fmt: skip
