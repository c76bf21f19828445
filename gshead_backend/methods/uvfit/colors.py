"""From pixels to colours: unprojection with confidence, mirroring under the photo's light, completion."""

from __future__ import annotations

import cv2
import numpy as np

from ...avatar.types import REGIONS
from ...portrait.types import PortraitFit
from .classes import PixelClasses, polygon
from .cloud import Cloud
from .complete import mirrored, neighbour_graph, screened_poisson
from .light import fit_light, relight, shading
from .photo import View, disc, sample, unit_scale
from .surface import LIPS_INNER, HeadSurface, smoothstep


def observe(
    fit: PortraitFit, surface: HeadSurface, cloud: Cloud, classes: PixelClasses, photo: np.ndarray, view: View
) -> None:
    """Give every splat the photo's colour and say how far to trust it."""
    uv, _, _, _ = view.pixels(cloud.posed)
    scale = unit_scale(fit.image)
    cloud.color = sample(photo, uv).astype(np.float64)
    matte = cv2.erode(np.ascontiguousarray(fit.matte, np.float32), disc(3 * scale))
    trust = view.visibility(cloud.posed, cloud.posed_normal) * smoothstep(sample(matte, uv), 0.5, 0.95)
    skin = cloud.is_part("skin")
    p_hair, p_skin, p_clothes = (sample(m, uv) for m in (classes.hair, classes.skin, classes.clothes))
    face = sample(classes.face, uv) > 0.5
    body = skin & ~face
    is_hair, is_clothes = cloud.hair > 0.5, cloud.clothes > 0.5
    trust = np.where(body & is_hair, trust * smoothstep(p_hair, 0.25, 0.6), trust)
    trust = np.where(body & is_clothes & ~is_hair, trust * smoothstep(p_clothes, 0.25, 0.6), trust)
    trust = np.where(body & ~is_hair & ~is_clothes, trust * smoothstep(p_skin, 0.3, 0.7), trust)
    trust[cloud.lid] = 0.0
    opening = polygon(fit.landmarks, LIPS_INNER, fit.matte.shape).astype(np.float32)
    inside = sample(cv2.dilate(opening, disc(1.5 * scale)), uv) > 0.3
    trust[skin & inside] = 0.0  # teeth never on the lips
    mouth = cloud.is_part("teeth", "gums", "tongue", "cavity")
    within = sample(cv2.erode(opening, disc(1.0 * scale)), uv) > 0.7
    trust[mouth & ~within] = 0.0  # lips never on the teeth
    cloud.confidence = trust


def complete(surface: HeadSurface, cloud: Cloud) -> np.ndarray:
    """Fill unseen skin, hair and clothes; returns the nine light coefficients of the photo."""
    outer = np.flatnonzero(cloud.is_part("skin"))
    group = np.where(cloud.hair > 0.5, 1, np.where(cloud.clothes > 0.5, 2, 0))[outer]
    face_like = group == 0
    light = fit_light(cloud.posed_normal[outer[face_like]], cloud.color[outer[face_like]],
                      cloud.confidence[outer[face_like]])  # fmt: skip
    shade = shading(light, cloud.posed_normal[outer])
    even = np.where(face_like[:, None], relight(cloud.color[outer], shade, np.ones_like(shade)), cloud.color[outer])
    value, weight = mirrored(cloud.mean[outer], even, cloud.confidence[outer], group)
    result = cloud.color[outer].copy()
    skin_median = _median(even, cloud.confidence[outer] * (group == 0), np.array([0.72, 0.55, 0.47]))
    for label in (0, 1, 2):
        mine = group == label
        if not mine.any():
            continue
        prior = _median(even, cloud.confidence[outer] * mine, None)
        if prior is None:
            prior = {0: skin_median, 1: 0.45 * skin_median, 2: np.array([0.25, 0.25, 0.27])}[label]
        elif label == 0:
            prior = 0.97 * prior
        graph = neighbour_graph(cloud.rest[outer[mine]], cloud.normal[outer[mine]])
        w = weight[mine]
        solved = screened_poisson(graph, value[mine], w, prior, 2e-4 if label == 0 else 2e-3)
        if label == 0:
            solved = relight(solved, np.ones(mine.sum()), shade[mine])
        keep = smoothstep(cloud.confidence[outer[mine]], 0.05, 0.3)[:, None]
        result[mine] = keep * cloud.color[outer[mine]] + (1 - keep) * solved
    cloud.color[outer] = result
    return light


def _median(color: np.ndarray, weight: np.ndarray, default: np.ndarray | None) -> np.ndarray | None:
    strong = weight > 0.3
    return np.median(color[strong], axis=0) if strong.sum() >= 30 else default


HAIR_REGION = REGIONS.index("hair")
