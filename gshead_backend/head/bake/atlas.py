"""One uv square for the whole head: the face island enlarged around the nose, the other parts beside it."""

from __future__ import annotations

import numpy as np

from .surface import Surface

_POWER = 0.62
# Cell of each part: left, bottom, width, height. The face keeps a margin to its neighbours for filtering.
_CELLS = {
    "face": (0.005, 0.005, 0.60, 0.99), "torso": (0.615, 0.60, 0.38, 0.395), "cavity": (0.615, 0.42, 0.20, 0.17),
    "tongue": (0.825, 0.42, 0.17, 0.17),
    "eye_left": (0.615, 0.215, 0.19, 0.19), "eye_right": (0.805, 0.215, 0.19, 0.19),
    "socket_left": (0.615, 0.145, 0.09, 0.06), "socket_right": (0.71, 0.145, 0.09, 0.06),
    "gums_upper": (0.805, 0.18, 0.19, 0.025), "gums_lower": (0.805, 0.15, 0.19, 0.025),
}  # fmt: skip
_TEETH = (0.615, 0.005, 0.38, 0.13)
BITS = 15


def pack(surface: Surface, vertices: np.ndarray, nose: np.ndarray) -> np.ndarray:
    """(T, 2) uv in 0..1.

    Args:
        vertices: (V, 3) mean. nose: (3,) tip of the nose, the centre of the enlarged area.
    """
    out = np.zeros_like(surface.uv)
    teeth = sorted({p for p in surface.part if p.startswith("teeth")})
    for part in sorted(set(surface.part)):
        faces = surface.part == part
        used = np.unique(surface.uv_tris[faces])
        uv = surface.uv[used]
        low, size = uv.min(0), np.maximum(np.ptp(uv, axis=0), 1e-9)
        uv = (uv - low) / size
        if part == "face":
            corner = surface.tris[faces].ravel()
            at = ((vertices[corner] - nose) ** 2).sum(1).argmin()
            centre = (surface.uv[surface.uv_tris[faces].ravel()[at]] - low) / size
            uv = enlarge(uv, centre)
        left, bottom, width, height = (
            _CELLS.get(part.rsplit("_", 1)[0]) or _CELLS.get(part) or _tooth(teeth.index(part))
        )
        out[used] = uv * [width, height] + [left, bottom]
    return np.rint(np.clip(out, 0, 1 - 2.0**-BITS) * 2**BITS) / 2**BITS


def _tooth(k: int) -> tuple[float, float, float, float]:
    columns, rows = 14, 2
    w, h = _TEETH[2] / columns, _TEETH[3] / rows
    return _TEETH[0] + k % columns * w + 0.05 * w, _TEETH[1] + k // columns * h + 0.05 * h, 0.9 * w, 0.9 * h


def enlarge(uv: np.ndarray, centre: np.ndarray, power: float = _POWER) -> np.ndarray:
    """Radial warp of the unit square about ``centre``: r / R becomes (r / R) ** power, R to the border.

    Monotone along every ray and the identity on the border, so nothing flips or leaves the square.
    """
    d = uv - centre
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(d > 0, (1 - centre) / d, np.where(d < 0, -centre / d, np.inf)).min(1)
    share = 1 / np.maximum(reach, 1.0)  # r / R
    grow = np.where(share > 1e-9, np.maximum(share, 1e-9) ** (power - 1), 0)
    return centre + d * grow[:, None]


def flipped(uv: np.ndarray, uv_tris: np.ndarray) -> np.ndarray:
    """(F,) signed doubled areas in uv."""
    a, b, c = (uv[uv_tris[:, k]] for k in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
