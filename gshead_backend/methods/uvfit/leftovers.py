"""What hangs beyond the head's mesh: clothes and long hair as inflated, closed layers."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ...portrait.types import PortraitFit
from .bust import rebind, steady_triangles
from .classes import PixelClasses
from .cloud import Cloud
from .hanging import HangingHair
from .layer import Layer, inflate, layer_splats, metres_per_pixel
from .photo import View, disc, unit_scale
from .shell import Shell
from .surface import CHIN, NOSE_TIP, HeadSurface, smoothstep
from .tresses import hanging_pixels, hanging_splats
from .zbuffer import far_depth_map

_CLOTHES_DEPTH, _HAIR_DEPTH, _RECEDE = 0.13, 0.028, 0.25
_FLAT = 0.5
_DISSOLVE = {"clothes": (0.12, 0.25), "hair": (0.08, 0.16)}


def leftovers(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, photo: np.ndarray, view: View, shell: Shell,
    cloud: Cloud, posed: np.ndarray, hanging: HangingHair | None, count: int, seed: int,
) -> Cloud | None:  # fmt: skip
    """At most about ``count`` splats for clothes and hair beyond the shell, bound to parts that never deform.

    ``posed`` (V, 3): the bare head as in the photo. ``view``: of it with the shell. ``cloud``: the
    finished splats on that.
    """
    outer = posed + shell.displacement
    behind, _ = far_depth_map(outer, surface.faces, fit.camera)
    layers = [_clothes(fit, surface, classes, view, behind), _hair(fit, classes, view, hanging)]
    layers = [layer for layer in layers if layer]
    flat = sum(int(layer.mask.sum()) for layer in layers)
    around = 0.0 if hanging is None else hanging_pixels(fit, classes, hanging)
    if flat + around == 0:
        return None
    stride = max(np.sqrt(2.0 * (flat + around) / count), unit_scale(fit.image))
    clouds = [layer_splats(fit, surface, photo, layer, stride, posed) for layer in layers]
    if hanging is not None:
        number = round(2.0 * around / stride**2)
        mass = hanging_splats(
            fit, surface, photo, classes, hanging, shell, _unseen_hair(cloud), posed, view, number, seed
        )  # fmt: skip
        if mass is not None:
            rebind(mass, surface, posed, np.arange(len(mass)), steady_triangles(surface, bust=False))
            clouds.append(mass)
    out = clouds[0] if clouds else None
    for cloud in clouds[1:]:
        out = cloud if out is None else out.join(cloud)
    return out if out is not None and len(out) else None


def _unseen_hair(cloud: Cloud) -> np.ndarray:
    """(3,) colour of the hair at the back of the head."""
    hair = cloud.hair > 0.5
    behind = hair & (cloud.confidence < 0.05)
    return cloud.color[behind if behind.sum() > 100 else hair].mean(0) if hair.any() else np.full(3, 0.2)


def _clothes(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, view: View, behind: np.ndarray
) -> Layer | None:
    """Clothes beyond the bust's outline; a collar may stand up beside the head if it goes down to the chest."""
    scale = unit_scale(fit.image)
    h = fit.matte.shape[0]
    chin, nose = fit.landmarks[CHIN, 1], fit.landmarks[NOSE_TIP, 1]
    mask = (np.arange(h)[:, None] > nose) & (classes.clothes > 0.5)
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc(4 * scale)) > 0
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    deep = np.bincount(labels.ravel(), (mask & (np.arange(h)[:, None] > chin)).ravel()) > 0
    # A turned person's far shoulder begins at the back of the neck, not at the near shoulder.
    nape = (surface.vertices[:, 1] < surface.landmarks[CHIN, 1]) & (surface.vertices[:, 2] < surface.ear_z)
    hangs = (surface.neck[surface.faces].mean(1) > 0.3) | nape[surface.faces].all(1)
    bust = hangs[view.triangle] & (view.triangle >= 0)
    layer = _beyond(
        fit, view, mask & deep[labels.astype(np.intp)], 150 * scale**2, _CLOTHES_DEPTH, "clothes", bust, behind
    )
    if layer is None:
        return None
    # A collar that stands beside the head goes around behind the neck; in front of it the chin would hide it.
    rise = np.maximum(chin - np.arange(h)[:, None], 0) * metres_per_pixel(
        fit, float(np.median(layer.middle[layer.mask]))
    )
    return replace(layer, middle=layer.middle + rise, height=layer.height * (1 - smoothstep(rise, 0.0, 0.02)))


def _hair(fit: PortraitFit, classes: PixelClasses, view: View, hanging: HangingHair | None) -> Layer | None:
    """Hair outside the shell's outline, above what hangs."""
    mask = classes.hair > 0.5
    if hanging is not None:
        mask[hanging.first :] = False
    return _beyond(fit, view, mask, 400 * unit_scale(fit.image) ** 2, _HAIR_DEPTH, "hair")


def _beyond(
    fit: PortraitFit, view: View, mask: np.ndarray, smallest: float, thickest: float, region: str,
    beside: np.ndarray | None = None, behind: np.ndarray | None = None,
) -> Layer | None:  # fmt: skip
    """Pixels of ``mask`` that the mesh does not cover, as a lens that starts at the mesh's own rim.

    Args:
        beside: (H, W) bool, the part of the mesh that it hangs on; all when not given.
        behind: (H, W) depth of the mesh's other side: the lens goes on as thick as the mesh ends. None: it is free.
    """
    scale = unit_scale(fit.image)
    person = fit.matte > 0.5
    covered = np.isfinite(view.depth)
    mask = (person & ~covered & mask).astype(np.uint8)
    sturdy = cv2.dilate(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc(2.5 * scale)), disc(1.5 * scale))
    mask = _large((mask > 0) & (sturdy > 0), smallest)  # slivers along jaw and neck are the fit's error
    if not mask.any() or not covered.any():
        return None
    rim = covered & (cv2.erode(covered.astype(np.uint8), disc(2 * scale)) == 0)
    distance, labels = cv2.distanceTransformWithLabels(
        (~rim).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    near = rim if beside is None or not (rim & beside).any() else rim & beside
    if near is not rim:
        labels = cv2.distanceTransformWithLabels(
            (~near).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )[1]
    half = np.zeros(mask.shape) if behind is None else np.where(near, 0.5 * (behind - view.depth), 0.0)
    table, thick = np.zeros(labels.max() + 1), np.zeros(labels.max() + 1)
    table[labels[near]], thick[labels[near]] = view.depth[near] + half[near], half[near]
    middle = cv2.GaussianBlur(table[labels], (0, 0), 8 * scale)
    metres = metres_per_pixel(fit, float(np.median(middle[mask])))
    middle = middle + (distance * metres) ** 2 / (2 * _RECEDE)  # shoulders and hair turn away from the camera
    start = np.where(~person | (covered & ~rim), 0.0, np.nan)
    if behind is None:
        height = inflate(mask, start, metres)
        height = thickest * np.tanh(height / thickest)
    else:
        start = np.where(covered & person, thick[labels], start)
        height = np.minimum(inflate(mask, start, metres, _FLAT), thickest)
    overlap = cv2.dilate(mask.astype(np.uint8), disc(1.5 * scale)) > 0
    # Its depth is a guess: it dissolves before it can look like a board from the side.
    solid = 1 - smoothstep(distance * metres, *_DISSOLVE[region])
    return Layer(overlap & person, height, middle, region, solid)


def _large(mask: np.ndarray, smallest: float) -> np.ndarray:
    """Components of at least ``smallest`` pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= smallest
    keep[0] = False
    return keep[labels.astype(np.intp)] if count > 1 else np.zeros(mask.shape, bool)
