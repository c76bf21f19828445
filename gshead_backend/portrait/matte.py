"""The head and what hangs on it, cut out softly.

MediaPipe's selfie segmentation says roughly where people are (256x256). Only what belongs to this head is kept; in a
band around the outline each pixel is then explained as a mixture of the colours just inside and just outside.
"""

from __future__ import annotations

import cv2
import numpy as np

from .crop import Crop, face_height, head_crop
from .guided import GuidedFilter
from .networks import run

NET = 256
FACTOR = 2.2
WIDE_FACTOR = 3.2
MAX_FACTOR = 2.9
SHAPE_SIZE = 384
FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176,
             149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip


def people(image: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 to (S, S) float32: probability of belonging to a person."""
    size = image.shape[0]
    small = cv2.resize(image, (NET, NET), interpolation=cv2.INTER_AREA)
    (raw,) = run("selfie_segmentation.tflite", small, low=0.0, high=1.0, outputs=("activation_10",))
    return np.clip(cv2.resize(raw[0, 0], (size, size), interpolation=cv2.INTER_LINEAR), 0, 1)


def head_window(image: np.ndarray, points: np.ndarray) -> tuple[Crop, np.ndarray]:
    """The crop that holds this head with its hair, and the person probability inside it (at the crop's size).

    Args:
        image: the whole photo. points: (478, 2) landmarks in it.
    """
    wide = head_crop(points, WIDE_FACTOR).resized(NET * 2)
    seen = people(wide.cut(image))
    crop = head_crop(points, _needed_factor(wide, seen * wide.inside(image.shape), points))
    scale = wide.scale / crop.scale
    x, y = (
        (((np.arange(crop.size) + 0.5) / crop.scale + crop.origin[k] - wide.origin[k]) * wide.scale - 0.5).astype(
            np.float32
        )
        for k in (0, 1)
    )
    coarse = cv2.remap(seen, *np.meshgrid(x, y), interpolation=cv2.INTER_LINEAR)
    tight = people(crop.cut(image))
    probability = (tight + scale * coarse) / (1 + scale)
    return crop, probability.astype(np.float32)


def _needed_factor(wide: Crop, seen: np.ndarray, points: np.ndarray) -> float:
    """Crop side in face heights so that hair above the chin stays inside; ``FACTOR`` when that is enough."""
    local = wide.to_crop(points)
    unit = face_height(points) * wide.scale
    mask = _of_this_head(seen > 0.5, local, unit)
    mask[int(local[152, 1]) :] = False
    y, x = np.nonzero(mask)
    if y.size < 100:
        return FACTOR
    center = (wide.size / 2, wide.size / 2)
    reach = max(
        float(np.percentile(np.abs(x - center[0]), 99.5)), float(center[1] - np.percentile(y, 0.5))
    )  # a few stray pixels do not count
    return float(np.clip(2.12 * reach / unit, FACTOR, MAX_FACTOR))


def cut_out(
    image: np.ndarray,
    probability: np.ndarray,
    landmarks: np.ndarray,
    inside: np.ndarray,
    rivals: tuple[np.ndarray, ...] = (),
) -> np.ndarray:
    """(S, S) float32 matte of one head; nothing outside the photo, and no soft edge where the photo ends.

    Args:
        image: (S, S, 3) uint8 crop. probability: (S, S) from :func:`head_window`. landmarks: (478, 2) crop pixels.
        inside: (S, S) bool, pixels that the photo covers.
        rivals: (4,) boxes of other faces, crop pixels.
    """
    unit = face_height(landmarks)
    mask = probability > 0.5
    if rivals:
        mask &= _watershed(image, mask, landmarks, rivals)
    mask &= _enlarged(_of_this_head(*_reduced(mask, landmarks, unit)), mask.shape)
    soft = np.where(mask, np.maximum(probability, 0.5), np.minimum(probability, 0.5))
    near = cv2.dilate(mask.astype(np.uint8), _disk(0.035 * unit)).astype(bool)
    return _refine(image, np.where(near, soft, 0).astype(np.float32), mask, unit) * inside.astype(np.float32)


def _reduced(mask: np.ndarray, points: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Mask, landmarks and face height at no more than ``SHAPE_SIZE`` pixels: shapes need no more."""
    share = min(1.0, SHAPE_SIZE / mask.shape[0])
    if share == 1.0:
        return mask, points, unit
    small = cv2.resize(mask.astype(np.float32), (SHAPE_SIZE, SHAPE_SIZE), interpolation=cv2.INTER_AREA)
    return small >= 0.5, points * share, unit * share


def _enlarged(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A reduced mask at full size, a reduced pixel wider so that it takes nothing from the outline."""
    if mask.shape == shape:
        return mask
    wider = cv2.dilate(mask.astype(np.uint8), _disk(1))
    return cv2.resize(wider, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST).astype(bool)


def _disk(radius: float) -> np.ndarray:
    r = max(1, round(radius))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1))


def _polygon(shape: tuple[int, ...], points: np.ndarray) -> np.ndarray:
    out = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(out, [np.round(points[list(FACE_OVAL)]).astype(np.int32)], 1)
    return out


def _of_this_head(mask: np.ndarray, points: np.ndarray, unit: float) -> np.ndarray:
    """The part of a person mask that hangs together with this face and is no wider than a head and its shoulders.

    Thin bridges (6 % of the face height) to people behind are cut by an opening; what the opening ate at the rim of
    the kept part grows back.
    """
    face = _polygon(mask.shape, points)
    allowed = (mask & _plausible(mask.shape, points, unit)) | face.astype(bool)
    opened = np.asarray(cv2.morphologyEx(allowed.astype(np.uint8), cv2.MORPH_OPEN, _disk(0.06 * unit)) | face, np.uint8)
    _, labels = cv2.connectedComponents(opened, connectivity=4)
    kept = np.isin(labels, np.unique(labels[face > 0])) & (opened > 0)
    grown = cv2.dilate(kept.astype(np.uint8), _disk(0.1 * unit)).astype(bool) & allowed
    holes = ~grown
    count, labels, stats, _ = cv2.connectedComponentsWithStats(holes.astype(np.uint8), connectivity=4)
    small = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] < (0.08 * unit) ** 2]
    return grown | np.isin(labels, small)


def _plausible(shape: tuple[int, ...], points: np.ndarray, unit: float) -> np.ndarray:
    """Where one head with voluminous hair, its neck and its shoulders can be, in the head's own tilted frame."""
    up = points[10] - points[152]
    up = up / np.linalg.norm(up)
    right = np.array([-up[1], up[0]])
    y, x = np.mgrid[: shape[0], : shape[1]]
    d = np.stack([x, y], -1) - points[152]
    across, height = np.abs(d @ right) / unit, (d @ up) / unit
    head = (across < 1.15) & (height > 0)
    shoulders = across < 0.85 + np.maximum(0, -height) * 2.2
    return np.where(height > 0, head & (height < 2.1), shoulders | (across < 1.15))


def _watershed(
    image: np.ndarray, mask: np.ndarray, landmarks: np.ndarray, rivals: tuple[np.ndarray, ...]
) -> np.ndarray:
    """Bool: floods along colour edges from this face and from the others; a pixel belongs to whom it reaches first."""
    markers = np.zeros(mask.shape, np.int32)
    markers[~cv2.dilate(mask.astype(np.uint8), _disk(5)).astype(bool)] = 1
    for box in rivals:
        c, r = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) * 0.45, 1)
        cv2.ellipse(markers, (tuple(c.tolist()), tuple((2 * r).tolist()), 0.0), 2, -1)
    markers[_polygon(mask.shape, landmarks) > 0] = 3
    flooded = cv2.watershed(np.ascontiguousarray(image), markers)
    mine = (flooded == 3).astype(np.uint8)
    return cv2.morphologyEx(mine, cv2.MORPH_CLOSE, _disk(2)).astype(bool)  # closes the one-pixel ridges


def _refine(image: np.ndarray, soft: np.ndarray, mask: np.ndarray, unit: float) -> np.ndarray:
    """Alpha in a band around the outline from the local inside and outside colours, smoothed along image edges."""
    color = image.astype(np.float32) / 255
    inner = cv2.erode(mask.astype(np.uint8), _disk(0.022 * unit))
    outer = 1 - cv2.dilate(mask.astype(np.uint8), _disk(0.03 * unit))
    band = (inner == 0) & (outer == 0)
    sigma = 0.045 * unit
    front, front_var = _local_color(color, inner.astype(np.float32), sigma)
    back, back_var = _local_color(color, outer.astype(np.float32), sigma)
    axis = front - back
    length2 = (axis**2).sum(-1)
    mixed = np.clip(((color - back) * axis).sum(-1) / np.maximum(length2, 1e-5), 0, 1)
    trust = length2 / (length2 + 1.5 * (front_var + back_var) + 2e-3)
    trust = trust * trust
    alpha = np.where(band, trust * mixed + (1 - trust) * soft, inner).astype(np.float32)
    smooth = GuidedFilter(color, max(2, round(0.012 * unit)), 2e-4)(alpha)
    out = np.where(band, np.clip(smooth, 0, 1), inner)
    reach = cv2.GaussianBlur(soft, (0, 0), 0.02 * unit)  # nothing far from where the network saw a person
    out = out * np.clip(reach / 0.12, 0, 1)
    out[out < 1 / 255] = 0
    return out.astype(np.float32)


def _local_color(color: np.ndarray, weight: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean (H, W, 3) and summed variance (H, W) of the weighted colours nearby; far from any, a wider mean.

    The means are smooth, so they are taken at a resolution at which ``sigma`` is about four pixels.
    """
    h, w = weight.shape
    small = (max(1, round(w * min(1, 4 / sigma))), max(1, round(h * min(1, 4 / sigma))))
    ratio = small[0] / w
    colors = np.dstack([color * weight[..., None], (color**2).sum(-1) * weight])

    def spread(values: np.ndarray) -> np.ndarray:
        values = cv2.resize(values, small, interpolation=cv2.INTER_AREA)
        near = cv2.GaussianBlur(values, (0, 0), sigma * ratio)
        far = cv2.GaussianBlur(values, (0, 0), 3 * sigma * ratio)
        return cv2.resize(near + 0.02 * far, (w, h), interpolation=cv2.INTER_LINEAR)

    total = spread(colors) / np.maximum(spread(weight), 1e-6)[..., None]
    mean = total[..., :3]
    return mean, np.maximum(total[..., 3] - (mean**2).sum(-1), 0)
