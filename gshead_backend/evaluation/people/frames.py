"""What the test people do and from where they are seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...camera import Camera, look_at
from ...head.arkit import ARKIT_INDEX, ARKIT_NAMES
from .cast import SIZE, Role

VIEWS: tuple[tuple[float, float], ...] = (
    (0, 0), (15, 0), (-15, 0), (30, 0), (-30, 0), (60, 0), (-60, 0), (90, 0), (-90, 0), (0, 15), (0, -15), (180, 5),
)  # fmt: skip
"""Yaw and pitch of the camera around the head in degrees; the first plays the portrait."""

EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 0.85, "mouthUpperUp": 0.65, "mouthLowerDown": 0.5, "cheekSquint": 0.5, "jawOpen": 0.16},
    "open": {"jawOpen": 0.75, "mouthStretch": 0.15, "browInnerUp": 0.2},
    "closed-eyes": {"eyeBlink": 1.0},
    "brows-up": {"browInnerUp": 0.8, "browOuterUp": 0.75, "eyeWide": 0.6, "jawOpen": 0.12},
    "pucker": {"mouthPucker": 0.85, "mouthFunnel": 0.25},
    "frown": {"browDown": 0.9, "eyeSquint": 0.5, "noseSneer": 0.35, "mouthFrown": 0.6},
}
_GAZE = {
    "neutral": (3, 3),
    "brows-up": (24, 6),
    "frown": (12, 8),
    "smile": (8, 4),
}  # degrees, sd-like reach of yaw, pitch


@dataclass(frozen=True)
class Moment:
    """arkit: (52,). gaze: (2, 2) degrees, rows left and right eye, columns yaw (to the person's left), pitch (up)."""

    name: str
    arkit: np.ndarray
    gaze: np.ndarray


def moments(role: Role) -> list[Moment]:
    """The seven frames of a person: each expression with its own strength, asymmetry and gaze."""
    out = []
    for k, (name, channels) in enumerate(EXPRESSIONS.items()):
        rng = np.random.default_rng([role.seed, k, 77])
        arkit = np.zeros(52)
        for channel, value in channels.items():
            strength = value if channel == "eyeBlink" else value * rng.uniform(0.75, 1.1)
            for side, lean in (("", 0.0), ("Left", rng.normal(0, 0.06)), ("Right", rng.normal(0, 0.06))):
                if channel + side in ARKIT_INDEX:
                    arkit[ARKIT_INDEX[channel + side]] = np.clip(strength * (1 + lean), 0, 1)
        if name != "neutral":
            for i in rng.choice(52, 3, replace=False):
                if not ARKIT_NAMES[i].startswith(("eye", "tongue", "jaw", "mouthClose")):
                    arkit[i] = max(arkit[i], rng.uniform(0.02, 0.2))
        reach = _GAZE.get(name, (6, 4))
        yaw, pitch = rng.uniform(-1, 1) * reach[0], rng.uniform(-1, 1) * reach[1]
        gaze = np.array([[yaw - 1.2, pitch], [yaw + 1.2, pitch]])
        out.append(Moment(name, arkit.astype(np.float32), gaze))
    return out


def cameras(role: Role, middle: np.ndarray) -> list[Camera]:
    """(12,) cameras that look at ``middle`` (3,), with the lens and the small tilt of this person's photographer."""
    rng = np.random.default_rng([role.seed, 5])
    focal = rng.uniform(50, 85)
    pixels = focal / 36 * SIZE
    distance = pixels * 0.225 / (SIZE * rng.uniform(0.46, 0.52))
    tilt = rng.normal(0, 2.0, 2)
    target = middle + np.array([0, -0.012, 0])
    K = np.array([[pixels, 0, SIZE / 2], [0, pixels, SIZE / 2], [0, 0, 1.0]])
    out = []
    for yaw, pitch in VIEWS:
        a, b = np.radians(yaw + tilt[0]), np.radians(pitch + tilt[1])
        eye = target + distance * np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
        out.append(Camera(SIZE, SIZE, K, look_at(eye, target)))
    return out
