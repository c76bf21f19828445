"""Where the bust ends, by the photo and the outline, and what may hang on it: triangles that never deform."""

from __future__ import annotations

import cv2
import numpy as np

from ...avatar.types import REGIONS
from ...portrait.types import PortraitFit
from .cloud import Cloud
from .surface import CHIN, HeadSurface, nearest, smoothstep

_BEYOND_PHOTO = (0.0, 0.015)
_BELOW_CHIN = 0.01  # metres: what is lower is neck and bust
_SLANT = 0.5  # of the outline's own end, to its sides
_GONE = -9.0  # logit
_TUCKED = 0.6  # of their size, of splats that were moved in
_WORN = ("clothes", "neck")


def fade_bust(fit: PortraitFit, surface: HeadSurface, cloud: Cloud, posed: np.ndarray) -> np.ndarray:
    """Let the bust dissolve beyond the photo's borders; returns the factor (N,) 0..1 that was applied."""
    marks = _landmarks(surface, posed)
    uvz = fit.camera.project(cloud.posed)
    box = photo_box(fit)
    metres = (uvz[:, 2] if not fit.camera.orthographic else np.ones(len(cloud))) / float(fit.camera.K[0, 0])
    outside = np.maximum(np.maximum(box[:2] - uvz[:, :2], uvz[:, :2] - box[2:]), 0)
    beyond = np.linalg.norm(outside, axis=1) * metres / surface.scale
    below = smoothstep((marks[CHIN, 1] - cloud.posed[:, 1]) / surface.scale, -0.01, 0.03)
    factor = 1 - smoothstep(beyond, *_BEYOND_PHOTO) * below
    hanging = np.isin(cloud.region, [REGIONS.index(n) for n in (*_WORN, "skin", "hair")])
    factor = np.where(hanging, factor, 1.0)
    opacity = np.clip(factor / (1 + np.exp(-cloud.opacity_logit)), 1e-4, 1 - 1e-4)
    cloud.opacity_logit = np.log(opacity / (1 - opacity))
    return factor


def into_outline(fit: PortraitFit, points: np.ndarray) -> np.ndarray:
    """(N, 2) pixels from where (N, 3) points are seen to the nearest pixel of the person.

    Beyond the photo the matte goes on as it ended there.
    """
    x0, y0, x1, y1 = (round(float(v)) for v in photo_box(fit))
    matte = np.ascontiguousarray(fit.matte[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)], np.float32)
    inside = cv2.blur(matte, (5, 5), borderType=cv2.BORDER_REPLICATE) > 0.6
    if inside.all() or not inside.any():
        return np.zeros((len(points), 2))
    _, label = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label = label.astype(np.intp)
    place = np.zeros((label.max() + 1, 2))
    place[label[inside]] = np.argwhere(inside)[:, ::-1]
    pixel = np.floor(fit.camera.project(points)[:, :2] - [x0, y0])
    pixel = pixel.clip(0, [matte.shape[1] - 1, matte.shape[0] - 1]).astype(np.intp)
    return place[label[pixel[:, 1], pixel[:, 0]]] - pixel


def below_end(shift: np.ndarray) -> np.ndarray:
    """(N,) bool: the person ends above, as in a cut-out or a rendered bust; ``shift`` (N, 2) by ``into_outline``."""
    return -shift[:, 1] > np.maximum(_SLANT * np.abs(shift[:, 0]), 2)


def tuck_in(fit: PortraitFit, surface: HeadSurface, cloud: Cloud, posed: np.ndarray) -> None:
    """Move what is worn and stands out beyond the person's outline in to it, at its depth.

    So shoulders that are wider than the person's become the sides of a narrower bust, which stays closed. What is below
    the person's end vanishes.
    """
    chin = _landmarks(surface, posed)[CHIN, 1] - _BELOW_CHIN * surface.scale
    bare = cloud.is_part("skin") & (cloud.hair < 0.5) & (cloud.posed[:, 1] < chin)
    worn = np.flatnonzero(bare | np.isin(cloud.region, [REGIONS.index(n) for n in _WORN]))
    depth = fit.camera.project(cloud.posed[worn])[:, 2:]
    metres = (depth if not fit.camera.orthographic else 1.0) / fit.camera.K[[0, 1], [0, 1]]
    shift = into_outline(fit, cloud.posed[worn])
    cloud.opacity_logit[worn[below_end(shift)]] = _GONE
    move = (shift * metres) @ fit.camera.viewmat[:2, :3]
    for field in (cloud.rest, cloud.posed, cloud.mean):
        field[worn] += move
    # Many lie side by side now, and turned: round and small ones leave no gaps and do not spread beyond the outline.
    moved = worn[np.linalg.norm(move, axis=1) > cloud.sigma[worn, 0]]
    cloud.sigma[moved] = _TUCKED * cloud.sigma[moved, :1]


def photo_box(fit: PortraitFit) -> np.ndarray:
    """(4,) left, top, right, bottom of the photo in the picture's pixels."""
    return np.array([0, 0, fit.camera.width, fit.camera.height]) if fit.covers is None else np.asarray(fit.covers)


def rebind(cloud: Cloud, surface: HeadSurface, rest: np.ndarray, index: np.ndarray, triangles: np.ndarray) -> None:
    """Hang splats ``index`` on the nearest of ``triangles`` (bool over faces) without moving them."""
    candidates = np.flatnonzero(triangles)
    if index.size == 0 or candidates.size == 0:
        return
    centres = rest[surface.faces[candidates]].mean(1)
    closest = nearest(centres, cloud.rest[index])[1]
    cloud.triangle[index] = candidates[closest]
    cloud.bary[index] = 1 / 3


def steady_triangles(surface: HeadSurface, *, bust: bool) -> np.ndarray:
    """(F,) bool: no expression moves them; on the bust (they stay when the neck turns) or on the cranium."""
    root = surface.head.skin_weights[surface.faces, 0].mean(1)
    wanted = surface.rigid & ((root > 0.6) if bust else (root < 0.05))
    return wanted if wanted.sum() > 20 else surface.rigid


def _landmarks(surface: HeadSurface, vertices: np.ndarray) -> np.ndarray:
    head = surface.head
    return np.einsum("lk,lkc->lc", head.landmark_bary, vertices[surface.faces[head.landmark_triangles]])
