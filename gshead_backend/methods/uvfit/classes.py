"""Which pixels of the portrait are skin, hair or clothes.

The portrait's parser says so; where none is installed, colour histograms seeded by the fitted head.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from ...portrait.labels import LABEL_INDEX
from ...portrait.types import PortraitFit
from .photo import disc, unit_scale
from .surface import BROW_LEFT, BROW_RIGHT, CHIN, EYE_LEFT, EYE_RIGHT, FOREHEAD, LIPS_OUTER, HeadSurface, smoothstep
from .zbuffer import depth_map

_BINS = (24, 28, 28, 4)
_SKIN = ("skin", "brows", "eyes", "lips", "mouth", "ears", "facial_hair", "glasses")
_HAIR = ("hair", "hat")


@dataclass(frozen=True)
class PixelClasses:
    """(H, W) float32 probabilities that sum to one inside the matte. face: (H, W) 0..1 inner face, always skin."""

    skin: np.ndarray
    hair: np.ndarray
    clothes: np.ndarray
    face: np.ndarray


def polygon(landmarks: np.ndarray, indices: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) uint8 mask of the convex hull of some landmarks."""
    mask = np.zeros(shape[:2], np.uint8)
    hull = cv2.convexHull(landmarks[list(indices)].astype(np.float32))
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    return mask


def classify(fit: PortraitFit, surface: HeadSurface, posed: np.ndarray) -> PixelClasses:
    """Class maps for ``fit`` whose head stands at ``posed`` (V, 3)."""
    return classify_by_color(fit, surface, posed) if fit.parsing is None else _parsed(fit, surface, posed)


def _parsed(fit: PortraitFit, surface: HeadSurface, posed: np.ndarray) -> PixelClasses:
    """The parser's classes: what lies on the face counts as skin, what lies on the scalp as hair."""
    assert fit.parsing is not None
    stack = np.stack(
        [sum(fit.parsing[LABEL_INDEX[n]].astype(np.float32) for n in names) for names in (_SKIN, _HAIR, ("clothes",))]
    )
    stack = (stack + 1e-4) / (stack + 1e-4).sum(0, keepdims=True)
    _, triangle = depth_map(posed, surface.faces, fit.camera)
    distance = _vertex_maps(surface, triangle)["face"]
    face = (distance < 0.004) & _below_brows(fit) & (stack[0] > 0.5)
    return PixelClasses(stack[0], stack[1], stack[2], face.astype(np.float32))


def _below_brows(fit: PortraitFit) -> np.ndarray:
    """(H, 1) bool."""
    return np.arange(fit.matte.shape[0])[:, None] > fit.landmarks[list(BROW_LEFT + BROW_RIGHT), 1].max()


def classify_by_color(fit: PortraitFit, surface: HeadSurface, posed: np.ndarray) -> PixelClasses:
    """Class maps without a parser."""
    h, w = fit.matte.shape
    scale = unit_scale(fit.image)
    _, triangle = depth_map(posed, surface.faces, fit.camera)
    fields = _vertex_maps(surface, triangle)
    code = _codes(fit.image, scale)
    sure = fit.matte > 0.85
    covered = triangle >= 0
    chin = fit.landmarks[CHIN]
    face_height = float(np.linalg.norm(fit.landmarks[CHIN] - fit.landmarks[FOREHEAD]))
    yy = (np.arange(h, dtype=np.float32)[:, None] - chin[1]) / face_height * np.ones((1, w), np.float32)
    beyond = cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, 3) / face_height

    features = sum(
        cv2.dilate(polygon(fit.landmarks, f, (h, w)), disc(6 * scale))
        for f in (LIPS_OUTER, EYE_LEFT, EYE_RIGHT, BROW_LEFT, BROW_RIGHT)
    )
    inner = covered & (fields["face"] < 0.006) & (fields["scalp"] < 0.2) & sure
    below_brow = _below_brows(fit)
    skin_seed = inner & below_brow & (features == 0)
    skin = _in_shadow_too(_histogram(code, skin_seed))
    skin_like = skin[code] > 0.05
    # Whatever stands clear of a bald head above the chin is hair, of whatever colour; beside the face it may be an ear.
    clear = sure & (beyond > 0.035) & (yy < -0.3) & (~skin_like | (yy < -0.85))
    scalp = sure & (fields["scalp"] > 0.5) & (yy < -0.5)
    if clear.mean() >= 0.004:
        # A high forehead lies on the template's scalp, too: what looks like skin there counts only if it looks like
        # the hair that stands clear, as fair and white hair may.
        scalp &= ~skin_like | (_histogram(code, clear)[code] > 0.1)
    else:
        scalp &= ~skin_like
    hair = _histogram(code, clear | scalp)
    low_seed = sure & (yy > 0.12) & ~skin_like
    clothes = _histogram(code, low_seed)

    on_neck = covered & (fields["neck"] > 0.2)
    prior_skin = np.where(covered, 0.3 * (1 - 0.8 * fields["scalp"]), 0.01) * np.where(yy > 0.45, 0.15, 1.0)
    prior_skin = np.where(covered & (fields["face"] < 0.004) & below_brow, 3.0, prior_skin)
    prior_hair = np.where(covered, 0.12 + 0.5 * fields["scalp"], 0.6) * (1 - 0.97 * smoothstep(yy, -0.02, 0.5))
    prior_hair = np.where(covered & (fields["face"] < 0.004) & below_brow, 0.01, prior_hair)
    prior_hair = np.where(on_neck, 0.2 * prior_hair, prior_hair)
    prior_clothes = 0.8 * smoothstep(yy, -0.1, 0.12)
    floor = 1e-3
    stack = np.stack(
        [(skin[code] + floor) * prior_skin, (hair[code] + floor) * prior_hair, (clothes[code] + floor) * prior_clothes]
    ).astype(np.float32)
    stack /= stack.sum(0, keepdims=True)
    guide = cv2.cvtColor(fit.image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    stack = np.stack([_guided(guide, p, round(6 * scale), 2e-4) for p in stack]).clip(0, 1) + 1e-6
    stack /= stack.sum(0, keepdims=True)
    stack = _connected_hair(stack, fit.matte, yy)
    face = (covered & (fields["face"] < 0.004) & below_brow).astype(np.float32)
    p_skin, p_hair, p_clothes = stack.astype(np.float32)
    return PixelClasses(p_skin, p_hair, p_clothes, face)


def _connected_hair(stack: np.ndarray, matte: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Dark collars are not hair: below the chin, hair counts only where it hangs together with the head's.

    ``height`` (H, W): below the chin, in face heights.
    """
    hair = ((stack[1] > 0.5) & (matte > 0.5)).astype(np.uint8)
    _, labels = cv2.connectedComponents(hair, connectivity=4)
    size = np.maximum(np.bincount(labels.ravel()), 1)
    on_head = np.bincount(labels.ravel(), (height < -0.25).ravel())
    middle = np.bincount(labels.ravel(), height.ravel()) / size
    strange = (on_head < 0.15 * size) & (middle > -0.25)
    strange[0] = False
    lost = cv2.dilate(strange[labels].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    out = stack.copy()
    out[2] = np.where(lost, out[2] + out[1], out[2])
    out[1] = np.where(lost, 0, out[1])
    return out


def _vertex_maps(surface: HeadSurface, triangle: np.ndarray) -> dict[str, np.ndarray]:
    """Images of the vertex fields (mean of the triangle's corners; far away outside the mesh)."""
    face = surface.face_distance[surface.faces].mean(1)
    scalp = surface.scalp[surface.faces].mean(1)
    neck = surface.neck[surface.faces].mean(1)
    inside = triangle >= 0
    return {
        "face": np.where(inside, face[triangle], 1.0),
        "scalp": np.where(inside, scalp[triangle], 0.0),
        "neck": np.where(inside, neck[triangle], 0.0),
    }


def _codes(image: np.ndarray, scale: float) -> np.ndarray:
    """(H, W) flat histogram bin of each pixel: Lab colour and how rough its neighbourhood is."""
    lab = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 0.8 * scale), cv2.COLOR_RGB2LAB)
    a = [(lab[..., i].astype(np.int32) * n) >> 8 for i, n in enumerate(_BINS[:3])]
    light = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)
    sigma = 3.0 * scale
    mean = cv2.GaussianBlur(light, (0, 0), sigma)
    rough = np.sqrt(np.maximum(cv2.GaussianBlur(light * light, (0, 0), sigma) - mean * mean, 0))
    level = np.clip(np.log2(np.maximum(rough, 1.0) / 2.0), 0, _BINS[3] - 1.001).astype(np.int32)
    return ((a[0] * _BINS[1] + a[1]) * _BINS[2] + a[2]) * _BINS[3] + level


def _histogram(code: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Smoothed density over the flat bins, 1 at the typical seed; flat and faint when there are no seeds."""
    n = int(np.prod(_BINS))
    counts = np.bincount(code[seed], minlength=n).astype(np.float32)
    if counts.sum() < 20:
        return np.full(n, 0.05, np.float32)
    density = gaussian_filter(counts.reshape(_BINS), (1.4, 0.9, 0.9, 0.6)).ravel()
    return density / np.median(density[code[seed]])


def _in_shadow_too(density: np.ndarray) -> np.ndarray:
    """Skin seen at 80 and 60 % of its brightness counts as skin, less surely."""
    cube = density.reshape(_BINS)
    out = cube.copy()
    for factor, weight in ((0.8, 0.4), (0.62, 0.2)):
        source = np.minimum(np.arange(_BINS[0]) / factor, _BINS[0] - 1).astype(int)
        out = np.maximum(out, weight * cube[source])
    return out.ravel()


def _guided(guide: np.ndarray, image: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """Guided filter (He et al. 2010) with a grey guide: smooths ``image`` but keeps the guide's edges."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(a: np.ndarray) -> np.ndarray:
        return cv2.blur(a, size)

    mg, mi = mean(guide), mean(image)
    a = (mean(guide * image) - mg * mi) / (mean(guide * guide) - mg * mg + eps)
    b = mi - a * mg
    return mean(a) * guide + mean(b)
