"""What covers each vertex of the head: hair, clothes or nothing, as the photo's pixels vote."""

from __future__ import annotations

import numpy as np

from ...avatar.facing import vertex_normals
from ...camera import Camera
from ...portrait.labels import LABEL_INDEX
from ...portrait.types import PortraitFit
from .classes import PixelClasses
from .hanging import HangingHair
from .photo import View
from .surface import CHIN, HeadSurface, nearest, smoothstep

_COLLAR_SLOPE = 0.6
_FREE, _EAR_WIDTH = 0.45, 0.04  # shares of an ear's height that is seen of a free one, and that a row of it is wide
_HAIRLINE = 6  # steps of smoothing: how gradually the scalp ends
_LOBE, _TIP = 0.14, 0.2  # shares of an ear's height, and of what is seen of it, that the fit's error explains


def vote(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, view: View, posed: np.ndarray,
    hanging: HangingHair | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(V,) 0..1 hair, (V,) 0..1 clothes, (V,) bool ears under hair. ``posed`` (V, 3): the bare head in the photo."""
    normals = vertex_normals(posed, surface.faces)
    _, _, row, column = view.pixels(posed)
    seen = view.visibility(posed, normals) * surface.skin * (fit.matte[row, column] > 0.7)
    inner = (surface.face_distance < 0.004) & (classes.face[row, column] > 0)
    weight = np.where(inner, np.maximum(seen, 0.3), seen)
    p_hair = np.where(inner, 0.0, classes.hair[row, column])
    p_clothes = np.where(inner, 0.0, classes.clothes[row, column])
    rim, beyond_hair = _rim_vote(fit, surface, classes, view, posed, normals)
    draped = _draped(fit, surface, posed, hanging)
    side = np.maximum(draped, smooth(surface, surface.scalp, _HAIRLINE))
    rim = np.where(inner | surface.ear, 0.0, rim * side)
    p_hair = (weight * p_hair + rim * beyond_hair) / np.maximum(weight + rim, 1e-6)
    weight = weight + rim
    mirror = surface.head.mirror
    mirrored = 0.3 * weight[mirror] * (weight < 0.1)
    prior = 0.01 + 0.06 * smoothstep(surface.scalp, 0.8, 1.0)
    hairline = prior + 0.04 * ~draped
    hairy = _has_hair(surface, weight, p_hair)
    covered = _covered_ears(surface, weight, p_hair * hairy, posed)
    p_hair, weight = np.where(covered, 1.0, p_hair), np.where(covered, np.maximum(weight, 0.3), weight)
    # Bare ears stand out of the hair around them and must not spread their skin into it.
    bare_ear = surface.ear & ~covered
    voice = np.where(bare_ear, 1e-3, 1.0)
    total = (weight + mirrored + hairline) * voice
    usual = surface.scalp * hairy
    hair = (weight * p_hair + mirrored * p_hair[mirror] + hairline * usual) * voice / total
    dressed = _dressed_below(surface, p_clothes, weight)
    hidden = 0.05 * dressed
    clothes = (weight * p_clothes + mirrored * p_clothes[mirror] + hidden) / (weight + mirrored + prior + hidden)
    hair = smooth(surface, _screened(surface, hair, total, 0.15), 4) * hair_limit(surface)
    clothes = _screened(surface, clothes, (weight + mirrored + prior) * voice, 0.25)
    hair = np.where(covered, 1.0, np.where(bare_ear, 0.0, hair))
    hair = np.maximum(hair, side * _sideburns(surface, posed, covered, view.facing(posed, normals)))
    return hair * surface.skin, np.minimum(clothes, 1 - hair) * surface.skin, covered


def _draped(fit: PortraitFit, surface: HeadSurface, posed: np.ndarray, hanging: HangingHair | None) -> np.ndarray:
    """(V,) bool: where hair that shows beside the face lies over its edge, too.

    From the front hair before temples and ears looks like hair that grows behind them; ears tell. Where the photo shows
    them up to half their height, the face ends at the usual hairline, unless hair falls past the chin on that side.
    """
    pixels = fit.camera.project(posed)[:, :2]
    long = np.zeros(len(posed), bool) if hanging is None else hanging.beside(pixels, hanging.drapes)
    return long | (not _ears_stand_free(fit, surface, pixels))


def _ears_stand_free(fit: PortraitFit, surface: HeadSurface, pixels: np.ndarray) -> bool:
    """Whether the parser sees one ear at least up to half its height; False where it says nothing about ears."""
    if fit.parsing is None:
        return False
    y, x = np.nonzero(fit.parsing.argmax(0) == LABEL_INDEX["ears"])
    middle = pixels[surface.skin, 0].mean()
    for side in (-1, 1):
        ear = pixels[surface.ear & (side * (pixels[:, 0] - middle) > 0)]
        if len(ear):
            height, at = float(np.ptp(ear[:, 1])), ear.mean(0)
            near = (np.abs(x - at[0]) < 0.5 * height) & (np.abs(y - at[1]) < 0.7 * height)
            rows = (np.bincount(y[near], minlength=1) >= _EAR_WIDTH * height).sum()
            if rows >= _FREE * height:
                return True
    return False


def _has_hair(surface: HeadSurface, weight: np.ndarray, p_hair: np.ndarray) -> float:
    """0 (bald all over, as far as the photo shows) .. 1; without it, a bald head's unseen back would grow hair."""
    scalp = weight * (surface.scalp > 0.5)
    if scalp.sum() < 0.02 * (surface.scalp > 0.5).sum():
        return 1.0
    return float(smoothstep((scalp * p_hair).sum() / scalp.sum(), 0.12, 0.3))


def _sideburns(surface: HeadSurface, posed: np.ndarray, covered: np.ndarray, facing: np.ndarray) -> np.ndarray:
    """(V,) 0..1: hair over an ear also hangs over the edge-on skin beside it, which the photo hardly shows."""
    if not covered.any():
        return np.zeros(facing.size)
    distance = nearest(posed[covered], posed)[0] / surface.scale
    return (1 - smoothstep(distance, 0.012, 0.032)) * (1 - smoothstep(facing, 0.3, 0.5)) * hair_limit(surface)


def _covered_ears(surface: HeadSurface, weight: np.ndarray, p_hair: np.ndarray, posed: np.ndarray) -> np.ndarray:
    """(V,) bool: ears, or the upper parts of ears, over which the photo shows hair; lobes often show below it."""
    covered = np.zeros_like(surface.ear)
    cuts: list[float | None] = []
    sides = [surface.ear & (np.sign(posed[:, 0]) == side) for side in (1, -1)]
    height = posed[:, 1]
    for ear in sides:
        seen = ear.any() and weight[ear].mean() > 0.03
        cuts.append(_ear_cut(height[ear], weight[ear], p_hair[ear]) if seen else None)
    for ear, cut, other in zip(sides, cuts, cuts[::-1], strict=True):
        cut = other if cut is None else cut  # an ear that the photo does not show goes with the other one
        if cut is not None and ear.any():
            low, high = height[ear].min(), height[ear].max()
            covered |= ear & (height >= low + cut * (high - low))
    return covered


def _ear_cut(height: np.ndarray, weight: np.ndarray, p_hair: np.ndarray) -> float:
    """0 (all hair) .. 1.01 (bare): the share of an ear's height above which hair covers it, by the fewest errors."""
    cuts = np.append(np.linspace(0.0, 1.0, 26)[:-1], 1.01)
    share = (height - height.min()) / max(float(np.ptp(height)), 1e-6)
    above = share[None] >= cuts[:, None]
    wrong = (weight * np.where(above, 1 - p_hair, p_hair)).sum(1)
    best = int(wrong.argmin())
    if (weight * above[best]).sum() < _TIP * weight.sum():
        return 1.01
    return 0.0 if cuts[best] < _LOBE else float(cuts[best])


def _rim_vote(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, view: View, posed: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices seen edge-on: what the photo shows just beyond them tells whether hair stands there."""
    ahead = view.facing(posed, normals) + away(fit.camera, posed, surface)
    uv, z, row, column = view.pixels(posed)
    side = normals @ fit.camera.viewmat[:2, :3].T
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
    step = 0.008 * fit.camera.K[0, 0] / (1.0 if fit.camera.orthographic else np.maximum(z, 1e-3))
    target = uv + side * step[:, None]
    column = np.clip(target[:, 0], 0, fit.camera.width - 1).astype(int)
    row = np.clip(target[:, 1], 0, fit.camera.height - 1).astype(int)
    free = ~np.isfinite(view.depth[row, column])
    hair = classes.hair[row, column] * (fit.matte[row, column] > 0.5)
    # Only in favour of hair: beyond a bare crown there is background, too.
    weight = 0.3 * (1 - smoothstep(ahead, 0.2, 0.5)) * free * smoothstep(hair, 0.3, 0.7)
    return weight * surface.skin * (1 - smoothstep(surface.neck, 0.0, 0.3)), hair


def _dressed_below(surface: HeadSurface, p_clothes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(V,) 0..1 by height along a collar's slope: clothes seen in front go all the way around and down."""
    seen = (weight > 0.05) & (surface.neck > 0.3)
    if seen.sum() < 30:
        return smoothstep(surface.neck, 0.9, 1.0) * 0.5
    front = surface.landmarks[CHIN, 2]  # collars rise from the pit of the throat to the nape
    y = surface.vertices[:, 1] - _COLLAR_SLOPE * np.maximum(front - surface.vertices[:, 2] - 0.04 * surface.scale, 0)
    edges = np.linspace(y[seen].min(), y[seen].max() + 1e-6, 16)
    bins = np.clip(np.digitize(y[seen], edges) - 1, 0, 14)
    total = np.bincount(bins, weight[seen], 15)
    share = np.bincount(bins, (weight * p_clothes)[seen], 15) / np.maximum(total, 1e-6)
    share = np.maximum.accumulate(np.where(total > 0.1, share, 0)[::-1])[::-1]
    return smoothstep(np.interp(y, 0.5 * (edges[1:] + edges[:-1]), share), 0.3, 0.7) * (surface.neck > 0.1)


def hair_limit(surface: HeadSurface) -> np.ndarray:
    """(V,) 0 on jaw, throat and lower neck: hair that hangs there is no shell of the head (see ``hanging``)."""
    y, z, s = surface.vertices[:, 1], surface.vertices[:, 2], surface.scale
    nose, mouth = surface.landmarks[2, 1], surface.landmarks[13, 1]
    behind = smoothstep(surface.ear_z - z, 0.012 * s, 0.03 * s)
    lowest = behind * (mouth - 0.03 * s) + (1 - behind) * (nose - 0.004 * s)
    return smoothstep(y - lowest, -0.012 * s, 0.006 * s)


def _screened(surface: HeadSurface, value: np.ndarray, weight: np.ndarray, smooth: float) -> np.ndarray:
    """Minimise weight (x - value)^2 + smooth |gradient|^2 over the mesh by Jacobi steps."""
    average = surface.laplacian.copy()
    average.setdiag(0)
    average = -average
    x = value.copy()
    for _ in range(250):
        x = (weight * value + smooth * (average @ x)) / (weight + smooth)
    return x


def smooth(surface: HeadSurface, value: np.ndarray, steps: int) -> np.ndarray:
    """(V,) averaged over the mesh."""
    for _ in range(steps):
        value = value - 0.5 * (surface.laplacian @ value)
    return value


def away(camera: Camera, posed: np.ndarray, surface: HeadSurface) -> np.ndarray:
    """(V,) 0..1: how far a vertex turns its back to the camera."""
    to_eye = camera.position - posed
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    return np.clip(-(to_eye * vertex_normals(posed, surface.faces)).sum(1), 0, 1)
