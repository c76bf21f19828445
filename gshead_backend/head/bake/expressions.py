"""The 52 ARKit expressions on the mean head, ready for a rig whose jaw and eyes are joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arkit import ARKIT_INDEX, ARKIT_NAMES
from .mean import Blank
from .rig import Rig, smoother
from .seal import Seal
from .source import AnnyWheel

# Expressions that part the lips by themselves; all others keep a closed mouth closed.
OPENING = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "tongueOut",
)  # fmt: skip
# Rounds of smoothing: the raw face units carry knife edges and blotches.
_ROUNDS = {
    "cheekPuff": 14, "mouthSmile": 10, "mouthFrown": 8, "cheekSquint": 8, "noseSneer": 6, "mouthStretch": 8,
    "mouthDimple": 8, "brow": 6, "jawOpen": 4, "eyeBlink": 3, "eyeLook": 3, "eyeSquint": 4, "eyeWide": 3,
}  # fmt: skip
_DEFAULT_ROUNDS = 5
LOOK_UP, LOOK_DOWN, LOOK_IN, LOOK_OUT = (float(np.radians(a)) for a in (20.0, 24.0, 30.0, 28.0))


def raw_expressions(wheel: AnnyWheel, blank: Blank) -> np.ndarray:
    """(C, 3, 52) face units on control points, scaled with the proportions of the mean head."""
    count = len(blank.base.points)
    return np.stack([blank.control(wheel.face_unit(n, count) * blank.stretch) for n in ARKIT_NAMES], -1)


def smooth(deltas: np.ndarray, quads: np.ndarray, firm: np.ndarray) -> np.ndarray:
    """Laplacian smoothing of every displacement field where ``firm`` (C,) is below one."""
    average = smoother(quads, len(deltas))
    loose = (1 - firm)[:, None]
    out = deltas.copy()
    for i, name in enumerate(ARKIT_NAMES):
        rounds = next((r for key, r in _ROUNDS.items() if name.startswith(key)), _DEFAULT_ROUNDS)
        for _ in range(rounds):
            out[:, :, i] += loose * 0.6 * (average @ out[:, :, i] - out[:, :, i])
        # Smoothing flattens small shapes such as the brows: give them back their strength.
        before, after = (np.percentile(np.linalg.norm(d[:, :, i], axis=1), 99) for d in (deltas, out))
        out[:, :, i] *= np.where(firm < 1, np.clip(before / max(after, 1e-9), 1.0, 1.3), 1.0)[:, None]
    return out


def settle(deltas: np.ndarray, blank: Blank) -> np.ndarray:
    """Eyeballs and upper teeth stand still; lower teeth move only with the whole jaw, rigidly."""
    out = deltas.copy()
    for name in ("eye_left", "eye_right", "upper"):
        out[blank.slots(name)] = 0
    lower = blank.slots("lower")
    for i, name in enumerate(ARKIT_NAMES):
        if name in ("jawForward", "jawLeft", "jawRight"):
            out[lower, :, i] = 0.85 * out[lower, :, i].mean(0)
        elif name != "jawOpen":
            out[lower, :, i] = 0
    return out


def rigged(deltas: np.ndarray, blank: Blank, rig: Rig, seal: Seal, overlap: float) -> np.ndarray:
    """Shapes to add before skinning, such that with the jaw joint they reproduce the face units.

    jawOpen keeps what its rotation does not explain. mouthClose is solved with the jaw open, closed by the seal
    there and un-rotated; otherwise jawOpen + mouthClose would stay open.
    """
    out, mean = deltas.copy(), blank.mean
    opened, closing = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthClose"]
    lower = blank.slots("lower")
    residual = rig.unpose(mean + deltas[:, :, opened], 1.0) - mean
    residual[lower] = 0
    closed = mean + deltas[:, :, opened] + deltas[:, :, closing]
    both = rig.unpose(seal.close(closed, overlap), 1.0) - mean
    both[lower] = 0
    out[:, :, opened] = residual
    out[:, :, closing] = both - residual
    keep = [i for i, n in enumerate(ARKIT_NAMES) if n not in OPENING]
    out[:, :, keep] = seal.close(out[:, :, keep])
    return out


def close_gain(shapes: np.ndarray, blank: Blank, rig: Rig, seal: Seal) -> np.ndarray:
    """(B,) how much further mouthClose must go on each identity mode, because the open jaw parts its lips further."""
    opened, closing = shapes[:, :, ARKIT_INDEX["jawOpen"]], shapes[:, :, ARKIT_INDEX["mouthClose"]]

    def gap(shaped: np.ndarray, shift: np.ndarray) -> np.ndarray:
        return seal.gap(replace(rig, joints=rig.joints + shift).pose(shaped, 1.0))

    still = np.zeros((5, 3))
    shut = gap(blank.mean + opened + closing, still)
    move = shut - gap(blank.mean + opened, still)
    weights = seal.taper * (np.abs(seal.x) < 0.8 * seal.x.max())
    gain = np.zeros(blank.modes.shape[2])
    for b in range(len(gain)):
        parted = gap(blank.mean + blank.modes[:, :, b] + opened + closing, rig.joints_identity[:, :, b]) - shut
        gain[b] = -(weights * move) @ parted / (weights @ move**2)
    return gain


def joint_channels(rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """ARKit channels that turn joints: jaw (52, 3) and eyes (52, 2, 3), Euler XYZ radians per unit."""
    jaw, eyes = np.zeros((52, 3), np.float32), np.zeros((52, 2, 3), np.float32)
    jaw[ARKIT_INDEX["jawOpen"], 0] = rig.jaw_angle
    for e, (side, out) in enumerate((("Left", 1.0), ("Right", -1.0))):
        eyes[ARKIT_INDEX["eyeLookUp" + side], e, 0] = -LOOK_UP
        eyes[ARKIT_INDEX["eyeLookDown" + side], e, 0] = LOOK_DOWN
        eyes[ARKIT_INDEX["eyeLookOut" + side], e, 1] = out * LOOK_OUT
        eyes[ARKIT_INDEX["eyeLookIn" + side], e, 1] = -out * LOOK_IN
    return jaw, eyes
