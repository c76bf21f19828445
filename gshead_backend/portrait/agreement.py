"""Landmarks against the parser: under a full beard the landmark network may take the moustache for the mouth.

The two see the mouth independently of each other. Where what they call lips hardly overlaps, the parser is right, and
the face from the nose down follows its lips. (Of 140 fronts of Cycles people they disagree on the seven of one bearded
man: the landmarks are 2 to 11 % of the eye distance too high there, and the parser says so to within 3 %.)
"""

from __future__ import annotations

import cv2
import numpy as np

from .labels import LABEL_INDEX

LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
_NOSE_BASE, _EYES = 2, (33, 133, 263, 362)
_OVERLAP = 0.55  # intersection over union of both mouths, below which they contradict each other
_OFF = 0.04  # of the eye distance: less is within what both are wrong by
_FAR = 0.25  # of the eye distance: more is no mouth
_AREA = (0.3, 3.0)  # of the landmarks' mouth: other sizes are no mouth either
_STARTS = 0.2  # of the way from the eyes to the nose's base, below it, until everything follows


def with_lips(landmarks: np.ndarray, parsing: np.ndarray) -> np.ndarray:
    """Landmarks (478, 2) in pixels of a crop whose lower face lies where the parser, (12, S, S), sees the lips.

    The same landmarks where both agree.
    """
    best = parsing.argmax(0)
    lips = (best == LABEL_INDEX["lips"]) | (best == LABEL_INDEX["mouth"])
    told = np.zeros(best.shape, np.uint8)
    hull = cv2.convexHull(landmarks[list(LIPS_OUTER)].astype(np.float32))
    cv2.fillConvexPoly(told, np.round(hull).astype(np.int32), 1)
    share = lips.sum() / max(int(told.sum()), 1)
    if not _AREA[0] < share < _AREA[1] or (lips & (told > 0)).sum() >= _OVERLAP * (lips | (told > 0)).sum():
        return landmarks
    eyes, nose = landmarks[list(_EYES)].mean(0), landmarks[_NOSE_BASE]
    length = float(np.linalg.norm(nose - eyes))
    down = (nose - eyes) / max(length, 1e-6)
    away = float((np.argwhere(lips)[:, ::-1].mean(0) - np.argwhere(told)[:, ::-1].mean(0)) @ down)
    unit = float(np.linalg.norm(landmarks[_EYES[0]] - landmarks[_EYES[2]]))
    if not _OFF * unit < abs(away) < _FAR * unit:
        return landmarks
    below = np.clip((landmarks - nose) @ down / (_STARTS * max(length, 1e-6)), 0, 1)
    return landmarks + (below * below * (3 - 2 * below) * away)[:, None] * down
