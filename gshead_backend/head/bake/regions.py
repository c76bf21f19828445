"""What each dense vertex is."""

from __future__ import annotations

import numpy as np

from .cage import rings
from .mean import EYES_AT, Blank
from .source import AnnyWheel
from .surface import Surface

REGION_NAMES = (
    "skin", "scalp", "ear", "neck", "torso", "lips", "lids", "eye_left", "eye_right", "eye_socket", "mouth_cavity",
    "gums", "teeth_upper", "teeth_lower", "tongue",
)  # fmt: skip
_LIP_RINGS, _LID_RINGS = 6, 4
# Hairline seen from the side, relative to the eyes: depth (m, forward positive) to height (m).
_HAIRLINE = np.array([[-0.30, -0.075], [-0.175, -0.070], [-0.130, -0.045], [-0.108, -0.005], [-0.092, 0.022],
                      [-0.070, 0.030], [-0.048, 0.046], [-0.028, 0.060], [0.0, 0.070], [0.05, 0.075]])  # fmt: skip

_PARTS = {
    "socket": "eye_socket", "cavity": "mouth_cavity", "tongue": "tongue", "eye_left": "eye_left", "torso": "neck",
    "eye_right": "eye_right", "teeth_upper": "teeth_upper", "teeth_lower": "teeth_lower", "gums": "gums",
}  # fmt: skip


def regions(blank: Blank, surface: Surface, wheel: AnnyWheel) -> np.ndarray:
    """(V,) uint8 index into ``REGION_NAMES``."""
    matrix, number = surface.matrix, {n: i for i, n in enumerate(REGION_NAMES)}
    dense = matrix @ blank.mean - EYES_AT
    out = np.full(len(dense), number["skin"], np.uint8)
    for part in sorted(set(surface.part)):
        used = np.unique(surface.tris[surface.part == part])
        out[used] = number[next((name for prefix, name in _PARTS.items() if part.startswith(prefix)), "skin")]
    face = surface.vertices_of("face")
    out[face] = number["skin"]
    scalp = dense[face, 1] > np.interp(dense[face, 2], _HAIRLINE[:, 0], _HAIRLINE[:, 1])
    out[face[scalp]] = number["scalp"]
    ears = _ear_mask(blank, wheel)
    out[face[(matrix[face] @ ears) > 0.5]] = number["ear"]
    for name, loops, count in (("lips", [blank.cage.mouth], _LIP_RINGS), ("lids", list(blank.cage.lids), _LID_RINGS)):
        out[face[(matrix[face] @ _near(blank, np.concatenate(loops), count)) > 0.35]] = number[name]
    neck = np.flatnonzero(out == number["neck"])
    slope = dense[neck, 1] + 0.5 * (dense[neck, 2] + 0.105)
    out[neck[slope < -0.185]] = number["torso"]
    return out


def _near(blank: Blank, loop: np.ndarray, count: int) -> np.ndarray:
    """(C,) 1 on control points of the face within ``count`` face rings of a loop."""
    face = blank.cage.quads[blank.cage.part == "face"]
    inside = face[rings(face, loop, count) < count]
    return np.r_[np.isin(blank.skin, inside) * 1.0, np.zeros(16)]


def _ear_mask(blank: Blank, wheel: AnnyWheel) -> np.ndarray:
    """(C,) 1 on the ears: what moves almost whole when ears are shifted; the skin around them only follows."""
    moved = np.zeros(len(blank.base.points))
    for side in "lr":
        d = np.linalg.norm(wheel.target(f"ears/{side}-ear-trans-up", len(moved)), axis=1)
        moved = np.maximum(moved, d / d.max())
    return np.r_[(moved[blank.skin] > 0.93) * 1.0, np.zeros(16)]
