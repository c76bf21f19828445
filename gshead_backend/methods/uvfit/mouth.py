"""Inside of the mouth: teeth, gums, tongue and cavity, darker with depth, in the photo's exposure."""

from __future__ import annotations

import numpy as np

from ...portrait.types import PortraitFit
from .classes import polygon
from .cloud import Cloud
from .surface import LIPS_INNER, HeadSurface, smoothstep

_TEETH, _GUMS = np.array([0.90, 0.85, 0.77]), np.array([0.62, 0.36, 0.35])
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
        ("teeth", _TEETH, 0.36), ("gums", _GUMS, 0.2), ("tongue", _TONGUE, 0.12), ("cavity", _CAVITY, 0.15),
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


def lengthen_teeth(fit: PortraitFit, surface: HeadSurface, cloud: Cloud) -> None:
    """Stretch the upper teeth down to where a smile in the photo shows their edges; at most 5 mm.

    The head model knows jaws, not dentists: without this a smile shows a dark gap below its teeth.
    """
    names = surface.head.region_names
    wanted = [i for i, name in enumerate(names) if "upper" in name and "teeth" in name]
    upper = cloud.is_part("teeth") & np.isin(surface.head.region[surface.faces[cloud.triangle, 0]], wanted)
    middle = upper & (np.abs(cloud.mean[:, 0]) < 0.011 * surface.scale)
    shown = _lower_edge(fit)
    if shown is None or middle.sum() < 20:
        return
    uvz = fit.camera.project(cloud.posed[middle])
    metres = (float(np.median(uvz[:, 2])) if not fit.camera.orthographic else 1.0) / float(fit.camera.K[1, 1])
    missing = float(np.clip((shown - np.quantile(uvz[:, 1], 0.97)) * metres, 0, 0.005))
    top, bottom = np.quantile(cloud.rest[middle, 1], [0.9, 0.03])
    if missing < 0.0004 or top - bottom < 0.002:
        return
    factor = 1 + missing / (top - bottom)
    drop = np.minimum(cloud.rest[upper, 1] - top, 0) * (factor - 1)
    for points in (cloud.rest, cloud.posed):
        points[upper, 1] += drop
    cloud.sigma[upper, :2] *= np.sqrt(factor)


def _lower_edge(fit: PortraitFit) -> float | None:
    """Image row of the upper teeth's lower edge in the middle of the mouth; None when no teeth show."""
    opening = polygon(fit.landmarks, LIPS_INNER, fit.matte.shape) > 0
    lips = fit.landmarks[list(LIPS_INNER)]
    left, right = lips[:, 0].min(), lips[:, 0].max()
    columns = np.arange(int(left + 0.35 * (right - left)), int(left + 0.65 * (right - left)) + 1)
    if columns.size < 3 or columns.min() < 0 or columns.max() >= fit.matte.shape[1]:
        return None
    color = fit.image[:, columns].astype(np.float64) / 255
    pale = (color.max(2) - color.min(2) < 0.22 * color.max(2)) & (color.mean(2) > 0.5) & opening[:, columns]
    height = pale.sum(0)
    if np.median(height) < 0.03 * (right - left):
        return None
    first = pale.argmax(0)
    ends = [first[i] + int(np.argmin(np.append(pale[first[i] :, i], False))) for i in range(columns.size) if height[i]]
    return float(np.median(ends))


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
