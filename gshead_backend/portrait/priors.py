"""What is believed about a face before looking: how strongly each ARKit channel may move, and the camera.

Landmarks alone explain a smile by dimples, stretched corners and puffed cheeks as readily as by mouthSmile.
Channels that rarely act alone, or that landmarks cannot see, are held close to zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..head.arkit import ARKIT_INDEX, ARKIT_NAMES
from ..head.model import HeadModel

EXPRESSION_SD = 0.45
_TIGHT: dict[str, float] = {
    "mouthDimple": 0.06, "mouthPress": 0.06, "mouthStretch": 0.06, "mouthLeft": 0.06, "mouthRight": 0.06,
    "jawLeft": 0.06, "jawRight": 0.06, "jawForward": 0.05, "noseSneer": 0.08, "mouthRoll": 0.07, "mouthShrug": 0.07,
    "cheekPuff": 0.05, "cheekSquint": 0.08, "eyeSquint": 0.1, "eyeWide": 0.15, "mouthFrown": 0.2, "mouthFunnel": 0.15,
    "mouthPucker": 0.2, "mouthClose": 0.08, "mouthUpperUp": 0.2, "mouthLowerDown": 0.2, "browDown": 0.2,
    "browInnerUp": 0.25, "browOuterUp": 0.25,
}  # fmt: skip
_FIXED = ("eyeLook", "tongueOut")
PAIR_SD = 0.1
LOG_F35 = (math.log(70.0), 0.18)
"""Mean and standard deviation of log(35 mm equivalent focal length) of portraits.

Tighter than real lenses: landmarks say little about perspective, and what they say is mostly the detector's bias.
"""
LOG_DISTANCE = (math.log(1.3), 0.45)
"""Mean and standard deviation of log(metres) between camera and face."""
EXIF_SD = 0.02


@dataclass(frozen=True)
class Controls:
    """What the solver moves: ``expression = to_expression @ u``, jaw Euler angles ``= to_jaw @ u``.

    Attributes:
        to_expression: (E, U). to_jaw: (3, U) radians. sd: (U,) prior standard deviations, 0 holds a control at rest.
        low, high: (U,) bounds. pairs: (n, 2) int, controls of the left and right side that mostly move together.
        arkit: the controls are the 52 ARKit channels.
    """

    to_expression: np.ndarray
    to_jaw: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pairs: np.ndarray
    arkit: bool


def controls_for(head: HeadModel) -> Controls:
    """ARKit channels when the head maps them, else its own expression coefficients and jaw angles."""
    if np.abs(head.arkit_expression).sum() > 0:
        return _arkit_controls(head)
    e = head.expression_count
    to_expression = np.concatenate([np.eye(e), np.zeros((e, 3))], 1)
    to_jaw = np.concatenate([np.zeros((3, e)), np.eye(3)], 1)
    sd = np.concatenate([np.full(e, 0.7), [0.2, 0.02, 0.02]])
    high = np.concatenate([np.full(e, 3.0), [0.6, 0.1, 0.1]])
    low = np.concatenate([np.full(e, -3.0), [-0.05, -0.1, -0.1]])
    return Controls(to_expression, to_jaw, sd, low, high, np.zeros((0, 2), int), False)


def _arkit_controls(head: HeadModel) -> Controls:
    sd = np.full(52, EXPRESSION_SD)
    for i, name in enumerate(ARKIT_NAMES):
        for prefix, value in _TIGHT.items():
            if name.startswith(prefix):
                sd[i] = value
        if name.startswith(_FIXED):
            sd[i] = 0.0
    lefts = [n for n in ARKIT_NAMES if n.endswith("Left") and n not in ("jawLeft", "mouthLeft")]
    pairs = [(ARKIT_INDEX[n], ARKIT_INDEX[n[:-4] + "Right"]) for n in lefts if not n.startswith(_FIXED)]
    return Controls(
        head.arkit_expression.T.astype(np.float64), head.arkit_jaw.T.astype(np.float64), sd, np.zeros(52), np.ones(52),
        np.array(pairs), True,
    )  # fmt: skip
