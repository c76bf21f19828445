"""What synthetic faces do: the 52 ARKit weights and the gaze."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...head.arkit import ARKIT_INDEX, ARKIT_NAMES
from ...head.model import HeadModel
from ...head.pose import HeadPose
from ...head.rotation import euler_to_matrix, matrix_to_axis_angle
from ...head.skinning import pose_from_arkit

_BOTH = tuple(n[:-4] for n in ARKIT_NAMES if n.endswith("Left") and n not in ("jawLeft", "mouthLeft"))
KINDS: dict[str, tuple[float, dict[str, tuple[float, float]]]] = {
    "neutral": (0.11, {}),
    "smile": (0.12, {"mouthSmile": (0.3, 1.0), "cheekSquint": (0.0, 0.7), "eyeSquint": (0, 0.4),
                     "mouthDimple": (0, 0.4), "mouthUpperUp": (0, 0.3), "mouthLowerDown": (0, 0.3)}),
    "grin": (0.09, {"mouthSmile": (0.4, 1.0), "mouthUpperUp": (0.2, 0.9), "mouthLowerDown": (0.1, 0.8),
                    "cheekSquint": (0.1, 0.9), "eyeSquint": (0, 0.6), "jawOpen": (0, 0.08)}),
    "laugh": (0.11, {"mouthSmile": (0.5, 1.0), "jawOpen": (0.1, 0.5), "mouthUpperUp": (0.1, 0.6),
                     "mouthLowerDown": (0.1, 0.6), "cheekSquint": (0.2, 0.9), "eyeSquint": (0.1, 0.7)}),
    "talk": (0.11, {"jawOpen": (0.03, 0.45), "mouthFunnel": (0, 0.5), "mouthPucker": (0, 0.4),
                    "mouthLowerDown": (0, 0.5), "mouthUpperUp": (0, 0.4), "mouthStretch": (0, 0.4),
                    "mouthShrugLower": (0, 0.3)}),
    "surprise": (0.08, {"browInnerUp": (0.4, 1), "browOuterUp": (0.4, 1), "eyeWide": (0.3, 1), "jawOpen": (0.1, 0.8)}),
    "raised brows": (0.07, {"browInnerUp": (0.3, 1), "browOuterUp": (0.3, 1), "eyeWide": (0, 0.5)}),
    "frown": (0.09, {"browDown": (0.3, 1), "mouthFrown": (0.2, 1), "mouthShrugLower": (0, 0.7), "eyeSquint": (0, 0.5)}),
    "anger": (0.05, {"browDown": (0.5, 1), "noseSneer": (0.2, 1), "mouthPress": (0, 0.9), "eyeSquint": (0.2, 0.8),
                     "mouthUpperUp": (0, 0.5)}),
    "disgust": (0.04, {"noseSneer": (0.4, 1), "mouthUpperUp": (0.2, 0.8), "browDown": (0.2, 0.8),
                       "cheekSquint": (0.2, 0.9)}),
    "pucker": (0.09, {"mouthPucker": (0.3, 1), "mouthFunnel": (0, 0.6), "jawOpen": (0, 0.15)}),
    "wide open": (0.05, {"jawOpen": (0.5, 1), "mouthStretch": (0, 0.5), "mouthFunnel": (0, 0.4)}),
    "blink": (0.10, {"eyeBlink": (0.85, 1.0)}),
    "lips in": (0.03, {"mouthRollLower": (0, 1), "mouthRollUpper": (0, 0.9), "mouthPress": (0, 0.6),
                       "mouthShrugUpper": (0, 0.5)}),
    "puff": (0.03, {"cheekPuff": (0.3, 1), "mouthPucker": (0, 0.4)}),
    "aside": (0.07, {"jawLeft": (0, 0.9), "mouthLeft": (0, 1), "jawForward": (0, 0.5)}),
    "tongue": (0.02, {"tongueOut": (0.2, 1), "jawOpen": (0.1, 0.6)}),
    "anything": (0.06, {}),
}  # fmt: skip
"""Name to (probability, channel to range); a channel without Left or Right moves both sides."""
MAX_YAW, MAX_PITCH = np.radians(32), np.radians(20)


@dataclass(frozen=True)
class Expression:
    """arkit: (52,) 0..1. gaze: (2, 2) radians in head space, rows left and right eye, columns yaw (toward the person's
    left) and pitch (up). name: one of ``KINDS``."""

    arkit: np.ndarray
    gaze: np.ndarray
    name: str


def draw_expression(rng: np.random.Generator, kind: str = "") -> Expression:
    """A plausible expression and gaze; of one of ``KINDS``, or of any."""
    names = list(KINDS)
    chance = np.array([KINDS[n][0] for n in names])
    name = kind or str(rng.choice(names, p=chance / chance.sum()))
    arkit = np.zeros(52)
    for channel, span in KINDS[name][1].items():
        _move(arkit, channel, rng.uniform(*span), rng)
    if name == "aside" and rng.random() < 0.5:
        for a, b in (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight")):
            arkit[ARKIT_INDEX[b]], arkit[ARKIT_INDEX[a]] = arkit[ARKIT_INDEX[a]], 0
    extra = 5 if name == "anything" else int(rng.integers(0, 4))
    for i in rng.choice(52, extra, replace=False):
        channel = ARKIT_NAMES[i]
        if channel.startswith(("eyeLook", "eyeBlink")) or (channel == "tongueOut" and rng.random() < 0.7):
            continue
        base = channel.removesuffix("Left").removesuffix("Right")
        _move(arkit, base if base in _BOTH else channel, rng.uniform(0.05, 0.9 if name == "anything" else 0.4), rng)
    _lids(arkit, name, rng)
    _sane(arkit)
    yaw = float(np.clip(rng.normal(0, np.radians(13)), -MAX_YAW, MAX_YAW))
    pitch = float(np.clip(rng.normal(np.radians(-1), np.radians(8)), -MAX_PITCH, MAX_PITCH))
    converge = 0.03 / rng.uniform(0.5, 3.0)  # each eye turns in to look at something near
    gaze = np.array([[yaw - converge, pitch], [yaw + converge, pitch]])
    return Expression(np.clip(arkit, 0, 1).astype(np.float32), gaze.astype(np.float32), name)


def _move(arkit: np.ndarray, channel: str, value: float, rng: np.random.Generator) -> None:
    """Set a channel, or both sides of it mostly alike."""
    if channel in ARKIT_INDEX:
        arkit[ARKIT_INDEX[channel]] = max(arkit[ARKIT_INDEX[channel]], value)
        return
    lopsided = rng.normal(0, 0.30 if rng.random() < 0.25 else 0.06)
    for side, sign in (("Left", 1), ("Right", -1)):
        i = ARKIT_INDEX[channel + side]
        arkit[i] = max(arkit[i], np.clip(value * (1 + sign * lopsided), 0, 1))


def _lids(arkit: np.ndarray, name: str, rng: np.random.Generator) -> None:
    if name == "blink":
        if rng.random() < 0.15:  # a wink
            arkit[ARKIT_INDEX[f"eyeBlink{rng.choice(['Left', 'Right'])}"]] = 0
        return
    if name != "surprise":
        amounts = [0, rng.uniform(0, 0.35), rng.uniform(0.3, 1)]
        _move(arkit, "eyeBlink", float(rng.choice(amounts, p=[0.55, 0.35, 0.10])), rng)


def _sane(arkit: np.ndarray) -> None:
    """mouthClose only closes what the jaw opened; opposite channels do not fight."""
    i = ARKIT_INDEX
    arkit[i["mouthClose"]] = min(arkit[i["mouthClose"]], arkit[i["jawOpen"]])
    if arkit[i["tongueOut"]] > 0:
        arkit[i["jawOpen"]] = max(arkit[i["jawOpen"]], 0.35 * arkit[i["tongueOut"]])
    for a, b in (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight")):
        if arkit[i[a]] and arkit[i[b]]:
            arkit[i[b] if arkit[i[a]] > arkit[i[b]] else i[a]] = 0
    for side in ("Left", "Right"):
        if arkit[i["eyeBlink" + side]] > 0.5:
            arkit[i["eyeWide" + side]] = 0


def with_gaze(head: HeadModel, expression: Expression) -> Expression:
    """The expression with eyeLook* channels that say where the eyes look, so that the lids follow."""
    arkit = expression.arkit.copy()
    for row, side in enumerate(("Left", "Right")):
        turn = np.array([-expression.gaze[row, 1], expression.gaze[row, 0]])
        for way in ("Up", "Down", "In", "Out"):
            k = ARKIT_INDEX[f"eyeLook{way}{side}"]
            full = head.arkit_eyes[k, row, :2].astype(np.float64)
            square = float(full @ full)
            arkit[k] = np.clip(turn @ full / square, 0, 1) if square else 0.0
    return replace(expression, arkit=arkit.astype(np.float32))


def pose_of(head: HeadModel, expression: Expression) -> HeadPose:
    """The pose of a head: expression, jaw, lids, and eyeballs turned exactly as the gaze says."""
    pose = pose_from_arkit(head, with_gaze(head, expression).arkit)
    euler = np.zeros((2, 3))
    euler[:, 0], euler[:, 1] = -expression.gaze[:, 1], expression.gaze[:, 0]
    return replace(pose, eye_pose=matrix_to_axis_angle(euler_to_matrix(euler)).reshape(6).astype(np.float32))
