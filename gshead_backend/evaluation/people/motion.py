"""What a test person does in a clip: speech with closures, blinks, glances, turns. Frozen: see ``VERSION``."""

from __future__ import annotations

import numpy as np

from ...head.arkit import ARKIT_INDEX
from .cast import Role
from .frames import Moment

VERSION = 1
FPS = 25.0
FRAMES = 75

_BLINK = (0.35, 0.95, 1.0, 0.75, 0.35, 0.12)
_VISEMES: dict[str, dict[str, float]] = {
    "p": {"mouthPress": 0.35, "mouthRollLower": 0.3, "mouthRollUpper": 0.2},
    "a": {"jawOpen": 0.5, "mouthLowerDown": 0.35, "mouthUpperUp": 0.2},
    "o": {"jawOpen": 0.3, "mouthFunnel": 0.4, "mouthPucker": 0.45},
    "e": {"jawOpen": 0.22, "mouthStretch": 0.3, "mouthSmile": 0.3, "mouthUpperUp": 0.25},
    "f": {"jawOpen": 0.1, "mouthRollLower": 0.5, "mouthUpperUp": 0.3},
    "u": {"jawOpen": 0.12, "mouthPucker": 0.8},
    "smile": {"mouthSmile": 0.8, "cheekSquint": 0.4, "mouthUpperUp": 0.35, "jawOpen": 0.08},
    " ": {},
}
# viseme and the frames from one to the next: closures last two or three frames, as they do at 25 a second
_WORDS = (" ", 4), ("a", 4), ("p", 3), ("a", 4), ("p", 3), ("o", 5), ("p", 3), ("e", 5), ("f", 3), ("a", 5), ("u", 5), (
    "p", 3), ("e", 4), ("a", 4), (" ", 4), ("smile", 10), ("smile", 6)  # fmt: skip


def moments(role: Role) -> tuple[list[Moment], np.ndarray]:
    """(FRAMES,) what the face does, and (FRAMES, 3) yaw, pitch and roll of the head in degrees."""
    rng = np.random.default_rng([role.seed, 91])
    arkit = _speech(rng)
    for start in (7 + rng.integers(4), 33 + rng.integers(8), 60 + rng.integers(5)):
        for k, value in enumerate(_BLINK):
            for side in ("Left", "Right"):
                arkit[start + k, ARKIT_INDEX[f"eyeBlink{side}"]] = value
    raised = _bump(18.0 + rng.integers(8), 12) + _bump(50.0 + rng.integers(6), 10)
    frowned = _bump(38.0 + rng.integers(4), 9)
    for channel, value in (("browInnerUp", 0.7 * raised), ("browOuterUp", 0.6 * raised), ("browDown", 0.6 * frowned)):
        for name in (channel, channel + "Left", channel + "Right"):
            if name in ARKIT_INDEX:
                arkit[:, ARKIT_INDEX[name]] = value
    gaze = _glances(rng)
    t = np.arange(FRAMES) / FPS
    phase = rng.uniform(0, 2 * np.pi, 3)
    turns = np.stack([a * np.sin(2 * np.pi * f * t + p) for a, f, p in zip((14, 6, 4), (0.33, 0.55, 0.4), phase,
                                                                           strict=True)], 1)  # fmt: skip
    return [Moment(f"{i + 1:04d}", arkit[i].astype(np.float32), gaze[i]) for i in range(FRAMES)], turns


def _speech(rng: np.random.Generator) -> np.ndarray:
    """(FRAMES, 52) visemes, eased from one to the next."""
    keys = np.zeros((len(_WORDS), 52))
    for k, (name, _) in enumerate(_WORDS):
        for channel, value in _VISEMES[name].items():
            value *= rng.uniform(0.8, 1.15)
            for side in ("", "Left", "Right"):
                if channel + side in ARKIT_INDEX:
                    keys[k, ARKIT_INDEX[channel + side]] = np.clip(value * rng.uniform(0.95, 1.05), 0, 1)
    at = np.concatenate([[0], np.cumsum([n for _, n in _WORDS[:-1]])])
    frame = np.arange(FRAMES)
    k = np.clip(np.searchsorted(at, frame, side="right") - 1, 0, len(at) - 2)
    s = np.clip((frame - at[k]) / (at[k + 1] - at[k]), 0, 1)[:, None]
    s = s * s * (3 - 2 * s)
    return keys[k] * (1 - s) + keys[k + 1] * s


def _bump(center: float, width: float) -> np.ndarray:
    away = np.abs(np.arange(FRAMES) - center) / width
    return np.where(away < 1, np.cos(away * np.pi / 2) ** 2, 0)


def _glances(rng: np.random.Generator) -> np.ndarray:
    """(FRAMES, 2, 2) degrees: the eyes rest, then jump within two frames."""
    out = np.zeros((FRAMES, 2, 2))
    target, now = np.zeros(2), np.zeros(2)
    jumps = {0, *(int(j) for j in np.cumsum(rng.integers(9, 18, 8)) if j < FRAMES)}
    for i in range(FRAMES):
        if i in jumps:
            target = rng.uniform(-1, 1, 2) * [18, 8]
        now = now + 0.6 * (target - now)
        out[i] = [[now[0] - 1.2, now[1]], [now[0] + 1.2, now[1]]]
    return out
