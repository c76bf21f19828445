"""Live Link Face's columns and angles, and writing a take with them.

The app counts angles in radians, as Unreal's rotators do: yaw is positive to the person's own right, pitch downward,
roll toward the person's own left shoulder; the rotation is yaw after pitch after roll.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from ..files import write_atomic
from ..head import ARKIT_NAMES
from ..head.rotation import axis_angle_to_matrix, euler_to_matrix, matrix_to_euler
from .take import ROTATIONS, Take
from .timecode import label_of

ANGLES = tuple(f"{part}{angle}" for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll"))
# Apple's order, which every recording of the app has.
_SIDED_EYE = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
COLUMNS = (
    *(f"Eye{part}{side}" for side in ("Left", "Right") for part in _SIDED_EYE),
    "JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel", "MouthPucker", "MouthRight",
    "MouthLeft", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight", "MouthDimpleLeft",
    "MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight", "MouthRollLower", "MouthRollUpper",
    "MouthShrugLower", "MouthShrugUpper", "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft",
    "MouthLowerDownRight", "MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp",
    "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft",
    "NoseSneerRight", "TongueOut", *ANGLES,
)  # fmt: skip
_SIGNS = np.array([-1.0, 1.0, -1.0])


def degrees_of(angles: np.ndarray) -> np.ndarray:
    """(F, 3) yaw, pitch, roll in the app's radians to (F, 3) degrees, Euler XYZ in head space."""
    yaw, pitch, roll = (np.asarray(angles, np.float64) * _SIGNS).T
    zero = np.zeros(len(yaw))
    turns = [np.stack(axis, 1) for axis in ((zero, yaw, zero), (pitch, zero, zero), (zero, zero, roll))]
    y, x, z = (axis_angle_to_matrix(turn) for turn in turns)
    return np.degrees(np.unwrap(matrix_to_euler(y @ x @ z), axis=0))


def angles_of(R: np.ndarray) -> np.ndarray:
    """(F, 3, 3) rotations in head space to (F, 3) yaw, pitch, roll in the app's radians."""
    pitch = -np.arcsin(np.clip(R[:, 1, 2], -1, 1))
    yaw, roll = np.arctan2(R[:, 0, 2], R[:, 2, 2]), np.arctan2(R[:, 1, 0], R[:, 1, 1])
    return np.unwrap(np.stack([yaw, pitch, roll], 1), axis=0) * _SIGNS


def live_link_csv(take: Take) -> str:
    """A take as a recording: 61 columns, one line a frame, timecodes at its rate from 00:00:00:00.

    Head columns hold ``headRotation`` and ``neckRotation`` together, eye columns the eye rotations beyond eyeLook*.
    """
    turns = {name: euler_to_matrix(np.radians(take.sample(name))) for name in ROTATIONS}
    parts = {
        "Head": turns["headRotation"] @ turns["neckRotation"], "LeftEye": turns["leftEyeRotation"],
        "RightEye": turns["rightEyeRotation"],
    }  # fmt: skip
    sampled = {f"{name[0].upper()}{name[1:]}": take.sample(name) for name in ARKIT_NAMES}
    for part, turn in parts.items():
        for angle, column in zip(("Yaw", "Pitch", "Roll"), angles_of(turn).T, strict=True):
            sampled[part + angle] = column
    out = io.StringIO()
    out.write(f"Timecode,BlendShapeCount,{','.join(COLUMNS)}\n")
    rate = max(1, round(take.fps))
    for i, row in enumerate(np.stack([sampled[column] for column in COLUMNS], 1).tolist()):
        out.write(f"{label_of(i, rate)},{len(COLUMNS)},{','.join(f'{value:.10f}' for value in row)}\n")
    return out.getvalue()


def save_live_link(take: Take, path: str | Path) -> None:
    """Write a take as a recording (atomically). Raises ``ExportError``."""
    write_atomic(path, live_link_csv(take).encode())
