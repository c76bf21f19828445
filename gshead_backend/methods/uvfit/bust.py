"""Where the bust ends, and what may hang on it: the photo's borders, a round back, triangles that never deform."""

from __future__ import annotations

import cv2
import numpy as np

from ...avatar.types import REGIONS
from ...portrait.types import PortraitFit
from .cloud import Cloud
from .photo import sample
from .surface import CHIN, TRAGUS, HeadSurface, nearest, smoothstep

_BEYOND_PHOTO = (0.0, 0.03)
_ROUND = np.array([0.2, 0.13, 0.15])


def fade_bust(fit: PortraitFit, surface: HeadSurface, cloud: Cloud, posed: np.ndarray) -> np.ndarray:
    """Let the bust dissolve beyond the photo's borders; returns the factor (N,) 0..1 that was applied."""
    marks = _landmarks(surface, posed)
    uvz = fit.camera.project(cloud.posed)
    box = np.array([0, 0, fit.camera.width, fit.camera.height]) if fit.covers is None else fit.covers
    metres = (uvz[:, 2] if not fit.camera.orthographic else np.ones(len(cloud))) / float(fit.camera.K[0, 0])
    outside = np.maximum(np.maximum(box[:2] - uvz[:, :2], uvz[:, :2] - box[2:]), 0)
    beyond = np.linalg.norm(outside, axis=1) * metres / surface.scale
    below = smoothstep((marks[CHIN, 1] - cloud.posed[:, 1]) / surface.scale, -0.01, 0.03)
    factor = 1 - smoothstep(beyond, *_BEYOND_PHOTO) * below
    # The back, which no photo shows, ends in a round: a cut bust's edge would stick out like a shelf.
    depth = (marks[CHIN, 2] - cloud.posed[:, 2]) / surface.scale
    centre = np.array([marks[CHIN, 0], marks[CHIN, 1] - 0.03 * surface.scale, marks[list(TRAGUS), 2].mean()])
    rho = np.linalg.norm((cloud.posed - centre) / (_ROUND * surface.scale), axis=1)
    factor = factor * (1 - smoothstep(rho, 0.72, 0.98) * below * smoothstep(depth, 0.06, 0.1))
    x0, y0, x1, y1 = (round(float(v)) for v in box)
    matte = np.ascontiguousarray(fit.matte[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)], np.float32)
    matte = cv2.blur(matte, (5, 5), borderType=cv2.BORDER_REPLICATE)  # goes on beyond the photo as it ended there
    worn = np.isin(cloud.region, [REGIONS.index(n) for n in ("clothes", "neck")])
    # Shoulders wider than the person's are cut along the outline, front and back.
    factor = np.where(worn, factor * smoothstep(sample(matte, uvz[:, :2] - [x0, y0]), 0.15, 0.6), factor)
    hanging = np.isin(cloud.region, [REGIONS.index(n) for n in ("clothes", "neck", "skin", "hair")])
    factor = np.where(hanging, factor, 1.0)
    opacity = np.clip(factor / (1 + np.exp(-cloud.opacity_logit)), 1e-4, 1 - 1e-4)
    cloud.opacity_logit = np.log(opacity / (1 - opacity))
    return factor


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
