"""What hangs beyond the head's mesh: clothes and long hair as inflated, closed layers. The bust ends with the photo.

A layer is a height over a middle plane that faces the camera: ``h = ratio sqrt(2 u)`` with ``-laplace(u) = 1`` inside
the region and u = 0 on the matte's outline, which makes a round bar out of a strip. It is drawn in front and behind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from ...avatar.types import REGIONS
from ...portrait.types import PortraitFit
from .classes import PixelClasses
from .cloud import NORMAL_SIGMA, OPACITY_LOGIT, TANGENT_SIGMA, Cloud
from .hanging import HangingHair, find_hanging, hanging_splats
from .photo import View, disc, sample, unit_scale
from .surface import CHIN, NOSE_TIP, PARTS, TRAGUS, HeadSurface, nearest, smoothstep

_GRID = 128
_CLOTHES_DEPTH, _HAIR_DEPTH, _RECEDE = 0.07, 0.028, 0.25
_DISSOLVE = {"clothes": (0.12, 0.25), "hair": (0.08, 0.16)}
_BEYOND_PHOTO = (0.0, 0.03)
_ROUND = np.array([0.2, 0.13, 0.15])


@dataclass(frozen=True)
class _Layer:
    """height, middle: (H, W) metres (view axis). mask: (H, W) bool where splats are wanted. region: splat region.
    solid: (H, W) 0..1 opacity."""

    mask: np.ndarray
    height: np.ndarray
    middle: np.ndarray
    region: str
    solid: np.ndarray


def leftovers(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, photo: np.ndarray, view: View, posed: np.ndarray,
    outer: np.ndarray, count: int, seed: int,
) -> Cloud | None:  # fmt: skip
    """At most about ``count`` splats for clothes and hair beyond the shell, bound to parts that never deform.

    ``posed``, ``outer`` (V, 3): the head as in the photo, bare and with the shell.
    """
    hanging = find_hanging(fit, surface, classes, view, outer)
    layers = [_clothes(fit, surface, classes, view), _hair(fit, classes, view, hanging)]
    layers = [layer for layer in layers if layer]
    flat = sum(int(layer.mask.sum()) for layer in layers)
    around = 0.0 if hanging is None else 1.3 * float(hanging.reach.sum())
    if flat + around == 0:
        return None
    stride = max(np.sqrt(2.0 * (flat + around) / count), unit_scale(fit.image))
    clouds = [_splats(fit, surface, photo, layer, stride, posed) for layer in layers]
    if hanging is not None:
        mass = hanging_splats(fit, photo, classes, hanging, round(2.0 * around / stride**2), seed)
        if mass is not None:
            rebind(mass, surface, posed, np.arange(len(mass)), steady_triangles(surface, bust=False))
            clouds.append(mass)
    out = clouds[0] if clouds else None
    for cloud in clouds[1:]:
        out = cloud if out is None else out.join(cloud)
    return out if out is not None and len(out) else None


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


def _inflate(mask: np.ndarray, outline: np.ndarray, metres: float) -> np.ndarray:
    """(H, W) height in metres of ``mask``; zero on pixels of ``outline``, free elsewhere."""
    h, w = mask.shape
    step = max(1, round(max(h, w) / _GRID))
    small, edge = mask[::step, ::step], outline[::step, ::step]
    index = np.full(small.shape, -1)
    index[small] = np.arange(small.sum())
    n = int(small.sum())
    if n == 0:
        return np.zeros(mask.shape)
    diagonal, rows, columns = np.full(n, 1e-5), [], []
    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        other = np.roll(index, (-dy, -dx), (0, 1))
        border = np.roll(edge, (-dy, -dx), (0, 1))
        valid = np.ones(small.shape, bool)
        valid[-1 if dy == 1 else 0, :] &= dy == 0
        valid[:, -1 if dx == 1 else 0] &= dx == 0
        here = small & valid
        inner = here & (other >= 0)
        np.add.at(diagonal, index[inner | (here & border)], 1.0)
        rows.append(index[inner])
        columns.append(other[inner])
    r, c = np.concatenate(rows), np.concatenate(columns)
    A = coo_matrix((np.full(r.size, -1.0), (r, c)), (n, n)) + coo_matrix((diagonal, (np.arange(n), np.arange(n))))
    u = np.zeros(small.shape, np.float32)
    u[small] = np.maximum(np.asarray(spsolve(A.tocsc(), np.full(n, (step * metres) ** 2))), 0)
    height = np.sqrt(2 * cv2.GaussianBlur(u, (0, 0), 1.0))
    return cv2.resize(height, (w, h), interpolation=cv2.INTER_LINEAR).astype(np.float64)


def _metres(fit: PortraitFit, depth: float) -> float:
    return (depth if not fit.camera.orthographic else 1.0) / float(fit.camera.K[0, 0])


def _large(mask: np.ndarray, smallest: float) -> np.ndarray:
    """Components of at least ``smallest`` pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keep = stats[:, cv2.CC_STAT_AREA] >= smallest
    keep[0] = False
    return keep[labels.astype(np.intp)] if count > 1 else np.zeros(mask.shape, bool)


def _clothes(fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, view: View) -> _Layer | None:
    """Clothes beyond the bust's outline; a collar may stand up beside the head if it goes down to the chest."""
    scale = unit_scale(fit.image)
    h = fit.matte.shape[0]
    chin, nose = fit.landmarks[CHIN, 1], fit.landmarks[NOSE_TIP, 1]
    mask = (np.arange(h)[:, None] > nose) & (classes.clothes > 0.5)
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc(4 * scale)) > 0
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    deep = np.bincount(labels.ravel(), (mask & (np.arange(h)[:, None] > chin)).ravel()) > 0
    bust = (surface.neck[surface.faces].mean(1) > 0.3)[view.triangle] & (view.triangle >= 0)
    layer = _beyond(fit, view, mask & deep[labels.astype(np.intp)], 150 * scale**2, _CLOTHES_DEPTH, "clothes", bust)
    if layer is None:
        return None
    # A collar that stands beside the head goes around behind the neck; in front of it the chin would hide it.
    rise = np.maximum(chin - np.arange(h)[:, None], 0) * _metres(fit, float(np.median(layer.middle[layer.mask])))
    return replace(layer, middle=layer.middle + rise, height=layer.height * (1 - smoothstep(rise, 0.0, 0.02)))


def _hair(fit: PortraitFit, classes: PixelClasses, view: View, hanging: HangingHair | None) -> _Layer | None:
    """Hair outside the shell's outline, above what hangs."""
    mask = classes.hair > 0.5
    if hanging is not None:
        mask[hanging.first :] = False
    return _beyond(fit, view, mask, 400 * unit_scale(fit.image) ** 2, _HAIR_DEPTH, "hair")


def _beyond(
    fit: PortraitFit, view: View, mask: np.ndarray, smallest: float, thickest: float, region: str,
    beside: np.ndarray | None = None,
) -> _Layer | None:  # fmt: skip
    """Pixels of ``mask`` that the mesh does not cover, as a lens that starts at the mesh's own rim.

    ``beside`` (H, W) bool: the part of the mesh that it hangs on; all when not given.
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
    table = np.zeros(labels.max() + 1)
    table[labels[near]] = view.depth[near]
    middle = cv2.GaussianBlur(table[labels], (0, 0), 8 * scale)
    metres = _metres(fit, float(np.median(middle[mask])))
    middle = middle + (distance * metres) ** 2 / (2 * _RECEDE)  # shoulders and hair turn away from the camera
    height = _inflate(mask, ~person | (covered & ~rim), metres)
    height = thickest * np.tanh(height / thickest)
    overlap = cv2.dilate(mask.astype(np.uint8), disc(1.5 * scale)) > 0
    # Its depth is a guess: it dissolves before it can look like a board from the side.
    solid = 1 - smoothstep(distance * metres, *_DISSOLVE[region])
    return _Layer(overlap & person, height, middle, region, solid)


def _splats(
    fit: PortraitFit, surface: HeadSurface, photo: np.ndarray, layer: _Layer, stride: float, posed: np.ndarray
) -> Cloud:
    """Front and back sheet of one layer on a jittered grid of ``stride`` pixels."""
    h, w = layer.mask.shape
    rows = np.arange(0.5 * stride, h, stride * 0.87)
    columns = np.arange(0.5 * stride, w, stride)
    v, u = np.meshgrid(rows, columns, indexing="ij")
    u = u + (np.arange(rows.size) % 2)[:, None] * 0.5 * stride
    uv = np.stack([u.ravel(), v.ravel()], 1)
    inside = sample(layer.mask.astype(np.float32), uv) > 0.5
    uv = uv[inside & (uv[:, 0] < w) & (uv[:, 1] < h)]
    height = sample(layer.height.astype(np.float32), uv).astype(np.float64)
    middle = sample(layer.middle.astype(np.float32), uv).astype(np.float64)
    metres = _metres(fit, float(np.median(middle))) if len(uv) else 1.0
    gy, gx = np.gradient(cv2.GaussianBlur(layer.height.astype(np.float32), (0, 0), 2 * unit_scale(fit.image)) / metres)
    slope = np.stack([sample(gx.astype(np.float32), uv), sample(gy.astype(np.float32), uv)], 1).astype(np.float64)
    color = sample(photo, uv).astype(np.float64)
    mine = np.dstack([photo * layer.mask[..., None], layer.mask]).astype(np.float32)
    soft = sample(cv2.GaussianBlur(mine, (0, 0), 5 * unit_scale(fit.image)), uv).astype(np.float64)
    behind = 0.88 * soft[:, :3] / np.maximum(soft[:, 3:], 1e-3)
    sides = [(-1.0, color, 1.0), (1.0, behind, 0.0)]
    parts = [_sheet(fit, surface, layer.region, uv, middle, sign * height, sign * slope, c, trust, stride * metres)
             for sign, c, trust in sides]  # fmt: skip
    cloud = parts[0].join(parts[1])
    opacity = np.clip(np.tile(sample(layer.solid.astype(np.float32), uv), 2).astype(np.float64) * 0.95, 1e-4, 0.95)
    cloud.opacity_logit = np.log(opacity / (1 - opacity))
    cloud = cloud.keep(opacity > 0.02)
    rebind(cloud, surface, posed, np.arange(len(cloud)), steady_triangles(surface, bust=layer.region == "clothes"))
    return cloud


def _sheet(
    fit: PortraitFit, surface: HeadSurface, region: str, uv: np.ndarray, middle: np.ndarray, height: np.ndarray,
    slope: np.ndarray, color: np.ndarray, trust: float, spacing: float,
) -> Cloud:  # fmt: skip
    """Splats at depth ``middle + height`` under the pixels ``uv``; ``slope`` (N, 2) is the gradient of the depth."""
    camera, n = fit.camera, uv.shape[0]
    z = middle + height
    xy = (uv - camera.K[:2, 2]) / camera.K[[0, 1], [0, 1]] * (1.0 if camera.orthographic else z[:, None])
    R, t = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
    point = (np.column_stack([xy, z]) - t) @ R
    facing = -1.0 if trust > 0 else 1.0
    normal = np.column_stack([-facing * slope, np.full(n, facing)])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    steep = np.linalg.norm(slope, axis=1, keepdims=True)
    along = np.where(steep > 1e-6, slope / np.maximum(steep, 1e-6), np.array([1.0, 0.0]))
    tangent = np.column_stack([along, steep])
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    stretch = np.minimum(np.sqrt(1 + steep[:, 0] ** 2), 3.0)
    sigma = spacing * TANGENT_SIGMA * np.column_stack([stretch, np.ones(n), np.full(n, NORMAL_SIGMA)])
    index = REGIONS.index(region)
    return Cloud(
        triangle=np.zeros(n, np.int32), bary=np.full((n, 3), 1 / 3, np.float32),
        part=np.full(n, PARTS.index("skin"), np.uint8), region=np.full(n, index, np.uint8),
        hair=np.full(n, float(region == "hair")), clothes=np.full(n, float(region == "clothes")),
        lid=np.zeros(n, bool), mean=point, rest=point, posed=point, normal=normal @ R, posed_normal=normal @ R,
        tangent=tangent @ R, sigma=sigma, color=color, confidence=np.full(n, 0.8 * trust),
        opacity_logit=np.full(n, OPACITY_LOGIT),
    )  # fmt: skip
