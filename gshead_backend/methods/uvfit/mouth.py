"""Inside of the mouth: teeth, gums, tongue and cavity, darker with depth, in the photo's exposure."""

from __future__ import annotations

import numpy as np

from .cloud import Cloud
from .surface import LIPS_INNER, HeadSurface, smoothstep

_TEETH, _GUMS = np.array([0.86, 0.82, 0.76]), np.array([0.62, 0.36, 0.35])
_TONGUE, _CAVITY = np.array([0.66, 0.38, 0.36]), np.array([0.26, 0.09, 0.085])
_SOCKET = np.array([0.45, 0.27, 0.24])


def paint_mouth(surface: HeadSurface, cloud: Cloud, rest: np.ndarray) -> None:
    """Colour everything behind the lips; teeth keep the photo's colour where it showed them."""
    marks = np.einsum("lk,lkc->lc", surface.head.landmark_bary, rest[surface.faces[surface.head.landmark_triangles]])
    lips = marks[list(LIPS_INNER)]
    front = float(np.median(lips[:, 2]))
    depth = smoothstep((front - cloud.rest[:, 2]) / surface.scale, 0.004, 0.042)
    exposure = _exposure(cloud)
    for name, color, darkest in (
        ("teeth", _TEETH, 0.28), ("gums", _GUMS, 0.2), ("tongue", _TONGUE, 0.12), ("cavity", _CAVITY, 0.15),
        ("socket", _SOCKET, 1.0),
    ):  # fmt: skip
        mine = cloud.is_part(name)
        if not mine.any():
            continue
        shade = (1 - (1 - darkest) * depth[mine])[:, None]
        base = color
        if name == "teeth":
            base = _measured_teeth(cloud, mine, color * exposure)
        else:
            base = color * exposure
        if name == "tongue":
            shade = shade * (0.55 + 0.45 * np.clip(cloud.normal[mine] @ [0.0, 0.5, 0.866], 0, 1))[:, None]
            groove = np.exp(-((cloud.rest[mine, 0] / (0.0025 * surface.scale)) ** 2))
            shade = shade * (1 - 0.12 * groove)[:, None]
        if name == "teeth":  # the gaps between crowns
            shade = shade * (0.72 + 0.28 * np.clip(np.abs(cloud.normal[mine, 2]) * 1.15, 0, 1))[:, None]
        own = smoothstep(cloud.confidence[mine], 0.1, 0.4)[:, None] if name == "teeth" else 0.0
        cloud.color[mine] = (1 - own) * base * shade + own * cloud.color[mine]
        if name != "teeth":
            cloud.confidence[mine] = 0.0


def _exposure(cloud: Cloud) -> float:
    """Brightness of the face relative to a normally exposed one."""
    face = (cloud.confidence > 0.4) & cloud.is_part("skin") & (cloud.hair < 0.3) & (cloud.clothes < 0.3)
    if face.sum() < 50:
        return 1.0
    bright = float(np.quantile(cloud.color[face].max(1), 0.85))
    return float(np.clip(bright / 0.88, 0.55, 1.08))


def _measured_teeth(cloud: Cloud, mine: np.ndarray, default: np.ndarray) -> np.ndarray:
    seen = mine & (cloud.confidence > 0.4)
    if seen.sum() < 25:
        return default
    color = cloud.color[seen]
    y = color.mean(1)
    measured = color[y >= np.quantile(y, 0.55)].mean(0)
    plausible = measured.min() > 0.4 * default.min() and measured[0] < 1.7 * measured[2]
    return measured if plausible else default
