"""Plain colours per region: for looking at a head, and so that a face detector recognises it."""

from __future__ import annotations

import numpy as np

from ..model import HeadModel
from .eyes import CORNEA_BULGE, IRIS_RADIUS

_COLORS = {
    "skin": (0.60, 0.39, 0.30), "scalp": (0.58, 0.38, 0.30), "ear": (0.60, 0.37, 0.29), "neck": (0.57, 0.37, 0.29),
    "torso": (0.57, 0.37, 0.29), "lips": (0.50, 0.22, 0.19), "lids": (0.58, 0.36, 0.28), "eye_left": (0.80, 0.79, 0.77),
    "eye_right": (0.80, 0.79, 0.77), "eye_socket": (0.50, 0.24, 0.20), "mouth_cavity": (0.38, 0.10, 0.10),
    "gums": (0.52, 0.20, 0.19), "teeth": (0.76, 0.72, 0.63), "teeth_upper": (0.76, 0.72, 0.63),
    "teeth_lower": (0.76, 0.72, 0.63), "tongue": (0.52, 0.18, 0.18),
}  # fmt: skip
_IRIS, _PUPIL, _LIMBUS = np.array([0.16, 0.22, 0.26]), np.array([0.006, 0.006, 0.006]), np.array([0.03, 0.04, 0.05])


def paint(head: HeadModel, rest: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear colours (V, 3) and gloss (V,) for the neutral vertices of one person."""
    table = np.array([_COLORS.get(n, (0.6, 0.4, 0.3)) for n in head.region_names])
    color = table[head.region]
    gloss = np.where(head.region_mask("eye_left", "eye_right"), 0.9, 0.10)
    gloss[head.region_mask("teeth_upper", "teeth_lower", "teeth", "lips", "tongue", "gums")] = 0.3
    for joint, name in ((3, "eye_left"), (4, "eye_right")):
        eye = np.flatnonzero(head.region_mask(name))
        if not len(eye):
            continue
        d = rest[eye] - joints[joint]
        radius = np.percentile(np.linalg.norm(d, axis=1), 30)
        off = np.hypot(d[:, 0], d[:, 1])
        front = d[:, 2] > 0
        limbus = radius * (1 + CORNEA_BULGE) * np.sin(np.arcsin(min(IRIS_RADIUS / radius, 0.9)))
        color[eye[front & (off < limbus * 1.02)]] = _LIMBUS
        color[eye[front & (off < limbus * 0.90)]] = _IRIS
        color[eye[front & (off < limbus * 0.40)]] = _PUPIL
    return color, gloss
