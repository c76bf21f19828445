"""Plain facts about a photograph, for the balance report."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...camera import Camera
from ...portrait.angles import angles_as_seen
from ...portrait.labels import LABELS
from .light import Light
from .people import Person


def facts(
    person: Person, expression: str, gaze: np.ndarray, camera: Camera, light: Light, labels: np.ndarray
) -> dict[str, Any]:
    """Names and numbers only; angles in degrees, focal length in mm over a 36 mm wide picture."""
    face, style = person.face, person.style
    yaw, pitch, roll = np.degrees(angles_as_seen(camera.viewmat, person.avatar.personal.joints[3:].mean(0)))
    seen = np.bincount(labels.ravel(), minlength=len(LABELS)) / max(labels.size, 1)
    return {
        "tone_ita": float(face.tone_ita), "age": float(face.age), "femininity": float(face.femininity),
        "beard": str(face.beard), "makeup": float(face.makeup), "iris": str(face.iris),
        **{key: _plain(value) for key, value in vars(style).items() if isinstance(value, str | float | int | bool)},
        "light": light.kind, "sun": bool(light.sun.any()), "expression": expression,
        "focal_mm": float(camera.K[0, 0] / camera.width * 36), "yaw": float(yaw), "pitch": float(pitch),
        "roll": float(roll), "gaze_yaw": float(np.degrees(gaze[:, 0].mean())),
        "gaze_pitch": float(np.degrees(gaze[:, 1].mean())),
        "seen": {name: round(float(share), 4) for name, share in zip(LABELS, seen, strict=True)},
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
