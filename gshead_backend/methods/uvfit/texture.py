"""Skin that no photo shows goes on with the pores, freckles and stubble of the skin beside it."""

from __future__ import annotations

import numpy as np

from .cloud import Cloud
from .surface import NOSE_TIP, HeadSurface, nearest, smoothstep

_SURE = 0.35  # confidence from which a splat's own detail counts
_AROUND = 40  # neighbours whose mean is the colour without detail
_FEATURES = {"eye_distance": 0.014, "brow_distance": 0.009, "lip_distance": 0.011}
"""Metres around what is no texture of skin."""
_NOSE = 0.02
_RANGE = 2.5  # times the median deviation
_FAR = (0.03, 0.12)  # metres from seen skin over which it fades to a half
_AMID = 0.2  # of their radius: how far from a splat the middle of its neighbours may be
_ENOUGH = 500


def go_on(surface: HeadSurface, cloud: Cloud) -> None:
    """Multiply the colours of unseen skin by detail that is mirrored at the border of what the photo shows.

    Detail is a seen splat's colour over the mean of its neighbours'. Mirroring at the nearest seen place, on a cylinder
    around the head, continues it without a seam, as padding by reflection does.
    """
    skin = np.flatnonzero(cloud.is_part("skin") & (cloud.hair < 0.5) & (cloud.clothes < 0.5) & ~cloud.lid)
    if skin.size == 0:
        return
    source = skin[_plain(surface, cloud, skin) & (cloud.confidence[skin] > _SURE)]
    weak = skin[cloud.confidence[skin] < _SURE]
    if source.size < _ENOUGH or weak.size == 0:
        return
    color = np.log(np.maximum(cloud.color[source], 0.02))
    radius, around = nearest(cloud.mean[source], cloud.mean[source], _AROUND)
    detail = color - color[around].mean(1)
    # At the border the mean is of one side and its difference is no detail.
    aside = np.linalg.norm(cloud.mean[source][around].mean(1) - cloud.mean[source], axis=1)
    amid = aside < _AMID * radius[:, -1]
    source, detail = source[amid], detail[amid]
    if source.size < _ENOUGH:
        return
    limit = _RANGE * np.median(np.abs(detail), axis=0)
    detail = np.clip(detail, -limit, limit)
    flat = _unrolled(surface, cloud.mean)
    distance, border = nearest(flat[source], flat[weak])
    mirror = 2 * flat[source[border]] - flat[weak]
    found = nearest(flat[source], mirror)[1]
    gain = (1 - smoothstep(cloud.confidence[weak], 0.05, _SURE)) * (
        1 - 0.5 * smoothstep(distance / surface.scale, *_FAR)
    )
    cloud.color[weak] = np.clip(cloud.color[weak] * np.exp(gain[:, None] * detail[found]), 0, 1)


def _plain(surface: HeadSurface, cloud: Cloud, index: np.ndarray) -> np.ndarray:
    """(N,) bool: cheeks, forehead and chin, away from eyes, brows, nose and lips."""
    corners = surface.faces[cloud.triangle[index]]
    plain = np.linalg.norm(cloud.mean[index] - surface.landmarks[NOSE_TIP], axis=1) > _NOSE * surface.scale
    for name, metres in _FEATURES.items():
        plain &= getattr(surface, name)[corners].mean(1) > metres * surface.scale
    return plain & ~surface.ear[corners].any(1)


def _unrolled(surface: HeadSurface, points: np.ndarray) -> np.ndarray:
    """(N, 2) metres around and up a cylinder as wide as a head, (N, 3) points on the mean head."""
    radius = 0.08 * surface.scale
    angle = np.arctan2(points[:, 0] - surface.crown[0], points[:, 2] - surface.ear_z)
    return np.column_stack([radius * angle, points[:, 1]])
