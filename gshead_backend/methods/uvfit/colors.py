"""From pixels to colours: unprojection with confidence, mirroring under the photo's light, completion."""

from __future__ import annotations

import cv2
import numpy as np

from ...portrait.types import PortraitFit
from .classes import PixelClasses, polygon
from .cloud import Cloud
from .complete import mirrored, neighbour_graph, screened_poisson
from .light import fit_light, relight, shading
from .photo import View, disc, sample, unit_scale
from .surface import LIPS_INNER, HeadSurface, smoothstep

_FIRM = (0.1, 0.35)  # confidence that skin needs to tell of the light: less, and it is sheen along the outline
_CARRIES = (0.13, 0.5)  # … to be carried on where nothing is seen; the same sheen greyed whole cheeks
_HOLD = (1e-4, 8e-3, 2e-4)  # what unseen skin, hair and clothes keep of their mean colour, with _POINTS points
_POINTS = 14000
_HAIR_SHADE = 0.6  # power: light goes through it and around it more than skin tells
_TOOTH = 0.002  # metres: teeth farther behind others are hidden by them


def observe(
    fit: PortraitFit, surface: HeadSurface, cloud: Cloud, classes: PixelClasses, photo: np.ndarray, view: View,
    hidden: np.ndarray | None = None,
) -> None:  # fmt: skip
    """Give every splat the photo's colour and say how far to trust it.

    hidden: (H, W) 0..1, where something stands before the face.
    """
    uv, _, _, _ = view.pixels(cloud.posed)
    scale = unit_scale(fit.image)
    cloud.color = sample(photo, uv).astype(np.float64)
    sharp = np.ascontiguousarray(fit.matte, np.float32)
    seen = view.visibility(cloud.posed, cloud.posed_normal)
    trust = seen * smoothstep(sample(cv2.erode(sharp, disc(5 * scale)), uv), 0.5, 0.95)
    # Hair has no firm surface: it may be read closer to the outline and at a flatter angle.
    rim = seen**0.75 * smoothstep(sample(cv2.erode(sharp, disc(2.5 * scale)), uv), 0.5, 0.95)
    trust = np.where(cloud.hair > 0.5, rim, trust)
    skin = cloud.is_part("skin")
    p_hair, p_skin, p_clothes = (sample(m, uv) for m in (classes.hair, classes.skin, classes.clothes))
    face = sample(classes.face, uv) > 0.5
    body = skin & ~face
    is_hair, is_clothes = cloud.hair > 0.5, cloud.clothes > 0.5
    trust = np.where(body & is_hair, trust * smoothstep(p_hair, 0.25, 0.6), trust)
    trust = np.where(body & is_clothes & ~is_hair, trust * smoothstep(p_clothes, 0.25, 0.6), trust)
    trust = np.where(body & ~is_hair & ~is_clothes, trust * smoothstep(p_skin, 0.3, 0.7), trust)
    trust = trust * _mouth_gate(fit, cloud, uv, trust * face)
    if hidden is not None:
        trust = trust * (1 - sample(hidden, uv))
    trust = np.where(cloud.lid, trust * _not_dark(cloud.color, trust * face), trust)
    cloud.confidence = np.where(cloud.is_part("teeth"), _teeth_shown(fit, cloud, uv, view), trust)


def _mouth_gate(fit: PortraitFit, cloud: Cloud, uv: np.ndarray, skin_weight: np.ndarray) -> np.ndarray:
    """(N,) 0 or 1: near the lips' line only reddish pixels belong to lips and only pale ones to teeth.

    The landmarks of the inner lips are a pixel or two off, the colours are not.
    """
    sure = (skin_weight > 0.4) & cloud.is_part("skin")
    if sure.sum() < 50:
        return np.ones(len(cloud))
    scale = unit_scale(fit.image)
    opening = polygon(fit.landmarks, LIPS_INNER, fit.matte.shape).astype(np.float32)
    near = sample(cv2.dilate(opening, disc(6 * scale)), uv) > 0.3
    redness = (cloud.color[:, 0] - cloud.color[:, 2]) / np.maximum(cloud.color.max(1), 0.05)
    pale = redness < 0.6 * float(np.median(redness[sure]))
    bright = cloud.color.mean(1) / float(np.median(cloud.color[sure].mean(1)))
    gate = np.ones(len(cloud))
    gate[cloud.is_part("skin") & near & (pale | (bright < 0.55))] = 0.0
    gate[~cloud.is_part("skin")] = 0.0
    return gate


def _teeth_shown(fit: PortraitFit, cloud: Cloud, uv: np.ndarray, view: View) -> np.ndarray:
    """(N,) 0..1: teeth between the photo's own lips, shaded corners and gaps included, but nothing red.

    Whether the fitted lips would hide them says less than what the pixels show.
    """
    teeth = cloud.is_part("teeth")
    if not teeth.any():
        return np.zeros(len(cloud))
    color = cloud.color
    redness = (color[:, 0] - np.minimum(color[:, 1], color[:, 2])) / np.maximum(color.max(1), 0.05)
    opening = polygon(fit.landmarks, LIPS_INNER, fit.matte.shape).astype(np.float32)
    opening = cv2.GaussianBlur(opening, (0, 0), 1.5 * unit_scale(fit.image))
    not_red = 1 - smoothstep(redness, 0.3, 0.45) * smoothstep(color.max(1), 0.15, 0.3)
    facing = smoothstep(view.facing(cloud.posed, cloud.posed_normal), 0.05, 0.4)
    _, z, row, column = view.pixels(cloud.posed)
    cell = np.stack([row, column], 1)[teeth] // max(2, round(3 * unit_scale(fit.image)))
    _, cell = np.unique(cell, axis=0, return_inverse=True)
    nearest = np.full(cell.max() + 1, np.inf)
    np.minimum.at(nearest, cell.ravel(), z[teeth])
    front = teeth.copy()
    front[teeth] = z[teeth] < nearest[cell.ravel()] + _TOOTH
    return smoothstep(sample(opening, uv), 0.45, 0.8) * not_red * facing * front


def _not_dark(color: np.ndarray, skin_weight: np.ndarray) -> np.ndarray:
    """(N,) 0..1: lashes and the crease above them must not be stretched over a closing lid."""
    sure = skin_weight > 0.4
    if sure.sum() < 50:
        return np.zeros(color.shape[0])
    return smoothstep(color.mean(1) / float(np.median(color[sure].mean(1))), 0.72, 0.9)


def complete(surface: HeadSurface, cloud: Cloud) -> np.ndarray:
    """Fill unseen skin, hair and clothes; returns the (9, 3) light coefficients of the photo."""
    outer = np.flatnonzero(cloud.is_part("skin"))
    group = np.where(cloud.hair > 0.5, 1, np.where(cloud.clothes > 0.5, 2, 0))[outer]
    face_like = group == 0
    told = cloud.confidence[outer[face_like]]
    light = fit_light(cloud.posed_normal[outer[face_like]], cloud.color[outer[face_like]],
                      told * smoothstep(told, *_FIRM))  # fmt: skip
    shade = shading(light, cloud.posed_normal[outer])
    lit = face_like & (cloud.confidence[outer] > 0.25)
    if lit.sum() > 50:  # light fitted to what faces the camera says little about what does not
        shade = np.clip(shade, shade[lit].min(0), shade[lit].max(0))
    shade[group == 1] **= _HAIR_SHADE
    shade[group == 2] = 1.0  # a coat's folds tell nothing about light from the side
    even = relight(cloud.color[outer], shade, np.ones_like(shade))
    value, weight = mirrored(cloud.mean[outer], even, cloud.confidence[outer], group)
    result = cloud.color[outer].copy()
    sure = [cloud.confidence[outer] * (group == label) for label in (0, 1, 2)]
    skin_median = _median(even, sure[0], np.array([0.72, 0.55, 0.47]))
    priors = (
        0.97 * skin_median,
        _median(even, sure[1], 0.45 * skin_median),
        _median(even, sure[2], np.array([0.25, 0.25, 0.27])),
    )
    for label, prior in enumerate(priors):
        mine = group == label
        if not mine.any():
            continue
        graph = neighbour_graph(cloud.rest[outer[mine]], cloud.normal[outer[mine]])
        w = weight[mine] * (1 - _lashes(surface, cloud, outer[mine], even[mine], skin_median))
        w = w * smoothstep(w, *_CARRIES) if label == 0 else w
        # Hair goes on as what it mostly is; a coat goes on as a coat, however much of the shirt shows.
        hold = np.full(mine.sum(), _HOLD[label] * _POINTS / len(outer))  # a length in millimetres, not in points
        hold[cloud.lid[outer[mine]] & (label == 0)] = 0.01
        solved = screened_poisson(graph, value[mine], w, prior, hold)
        solved = relight(solved, np.ones_like(shade[mine]), shade[mine])
        # a wide seam for hair: photo strands turn into made-up ones
        keep = smoothstep(cloud.confidence[outer[mine]], *((0.05, 0.55) if label == 1 else (0.02, 0.2)))[:, None]
        result[mine] = keep * cloud.color[outer[mine]] + (1 - keep) * solved
    cloud.color[outer] = result
    return light


def _lashes(surface: HeadSurface, cloud: Cloud, index: np.ndarray, color: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(N,) 0..1: dark splats around the eyes; they keep their colour but must not darken the lids."""
    near = surface.eye_distance[surface.faces[cloud.triangle[index]]].mean(1) < 0.007 * surface.scale
    return near * (1 - smoothstep(color.mean(1), 0.72 * skin.mean(), 0.9 * skin.mean()))


def _median(color: np.ndarray, weight: np.ndarray, default: np.ndarray) -> np.ndarray:
    strong = weight > 0.3
    return np.median(color[strong], axis=0) if strong.sum() >= 30 else default
