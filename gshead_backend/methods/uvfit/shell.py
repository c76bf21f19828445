"""Hair and clothes as a displaced shell of the head's mesh: which vertices carry them, and how far out they reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.sparse.linalg import spsolve

from ...camera import Camera
from ...portrait.types import PortraitFit
from .classes import PixelClasses
from .photo import View, sample
from .surface import CHIN, NOSE_TIP, HeadSurface, nearest, smoothstep, vertex_normals

_ANGLES = 240
_THICKNESS = (0.002, 0.09)
_PADDING = (0.002, 0.03)
_NECK = (0.0, 0.012)
_COLLAR_SLOPE = 0.6
_TAPER = 0.028
_LOBE, _TIP = 0.14, 0.2  # shares of an ear's height, and of what is seen of it, that the fit's error explains
_SPLAT_REACH = 0.002  # splats are drawn beyond their centres


@dataclass(frozen=True)
class Shell:
    """The portrait's outer surface over the head's vertices.

    Attributes:
        hair, clothes: (V,) 0..1.
        displacement: (V, 3) metres from the neutral mesh to the outer surface, in head space.
        covered_ear: (V,) bool, ears hidden under hair.
        folded: (F,) bool, triangles of flattened ears that face inward: nothing belongs on them.
    """

    hair: np.ndarray
    clothes: np.ndarray
    displacement: np.ndarray
    covered_ear: np.ndarray
    folded: np.ndarray


def build_shell(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, rest: np.ndarray, posed: np.ndarray
) -> Shell:
    """Vote for hair and clothes where the photo shows them, then push hair out to the matte's outline."""
    view = View.of(posed, surface.faces, fit.camera)
    hair, clothes, covered_ear = _vote(fit, surface, classes, view, posed)
    flat = _flatten(surface, rest, covered_ear)
    outward = _outward(surface, flat)
    shape = hair_mask(hair) * _taper(surface, flat, hair)
    crown = surface.crown + flat.mean(0) - surface.vertices.mean(0)
    outline = _Outline(fit, surface, classes.hair > 0.4, flat + (posed - rest), hair > 0.3, crown)
    reach = np.zeros(hair.size)
    for _ in range(3):  # what tapering and smoothing lose against the outline is made up for
        outline.correct(flat + (posed - rest) + reach[:, None] * outward)
        reach = _smooth(surface, outline.thickness() * shape, 12)
    reach = _within(fit, surface, flat + (posed - rest), reach, outward)
    displacement = (flat - rest) + reach[:, None] * outward
    displacement += _padding(fit, surface, classes.clothes, posed, clothes, _PADDING)
    bare = 1 - smoothstep(np.maximum(clothes, hair), 0.2, 0.6)
    displacement += _padding(fit, surface, classes.skin, posed, bare * _neck_sides(surface), _NECK)
    displacement[~surface.skin] = 0
    return Shell(hair, clothes, displacement, covered_ear, _folded(surface, rest + displacement, covered_ear))


def _within(
    fit: PortraitFit, surface: HeadSurface, posed: np.ndarray, reach: np.ndarray, outward: np.ndarray
) -> np.ndarray:
    """(V,) ``reach``, shorter where it would leave the matte: below an ear the outline tells little about the hair."""
    matte = np.ascontiguousarray(fit.matte, np.float32)

    def inside(points: np.ndarray) -> np.ndarray:
        return sample(matte, fit.camera.project(points)[:, :2]) > 0.5

    movable = inside(posed) & (reach > 0)
    for _ in range(8):
        beyond = movable & ~inside(posed + reach[:, None] * outward)
        if not beyond.any():
            break
        reach = np.where(beyond, 0.8 * reach, reach)
    return np.minimum(reach, _smooth(surface, reach, 4) + 0.002)


def hair_mask(hair: np.ndarray) -> np.ndarray:
    """The vote with a firm border."""
    return smoothstep(hair, 0.3, 0.65)


def _vote(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, view: View, posed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    normals = vertex_normals(posed, surface.faces)
    _, _, row, column = view.pixels(posed)
    seen = view.visibility(posed, normals) * surface.skin * (fit.matte[row, column] > 0.7)
    inner = (surface.face_distance < 0.004) & (classes.face[row, column] > 0)
    weight = np.where(inner, np.maximum(seen, 0.3), seen)
    p_hair = np.where(inner, 0.0, classes.hair[row, column])
    p_clothes = np.where(inner, 0.0, classes.clothes[row, column])
    rim, beyond_hair = _rim_vote(fit, surface, classes, view, posed, normals)
    rim = np.where(inner | surface.ear, 0.0, rim)
    p_hair = (weight * p_hair + rim * beyond_hair) / np.maximum(weight + rim, 1e-6)
    weight = weight + rim
    mirror = surface.head.mirror
    mirrored = 0.3 * weight[mirror] * (weight < 0.1)
    prior = 0.01 + 0.06 * smoothstep(surface.scalp, 0.8, 1.0)
    hairy = _has_hair(surface, weight, p_hair)
    covered = _covered_ears(surface, weight, p_hair * hairy, posed)
    p_hair, weight = np.where(covered, 1.0, p_hair), np.where(covered, np.maximum(weight, 0.3), weight)
    # Bare ears stand out of the hair around them and must not spread their skin into it.
    bare_ear = surface.ear & ~covered
    voice = np.where(bare_ear, 1e-3, 1.0)
    total = (weight + mirrored + prior) * voice
    usual = surface.scalp * hairy
    hair = (weight * p_hair + mirrored * p_hair[mirror] + prior * usual) * voice / total
    dressed = _dressed_below(surface, p_clothes, weight)
    hidden = 0.05 * dressed
    clothes = (weight * p_clothes + mirrored * p_clothes[mirror] + hidden) / (weight + mirrored + prior + hidden)
    hair = _smooth(surface, _screened(surface, hair, total, 0.15), 4) * _hair_limit(surface)
    clothes = _screened(surface, clothes, total, 0.25)
    hair = np.where(covered, 1.0, np.where(bare_ear, 0.0, hair))
    hair = np.maximum(hair, _sideburns(surface, posed, covered, view.facing(posed, normals)))
    return hair * surface.skin, np.minimum(clothes, 1 - hair) * surface.skin, covered


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
    return (1 - smoothstep(distance, 0.012, 0.032)) * (1 - smoothstep(facing, 0.3, 0.5)) * _hair_limit(surface)


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
    ahead = view.facing(posed, normals) + _away(fit.camera, posed, surface)
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


def _hair_limit(surface: HeadSurface) -> np.ndarray:
    """(V,) 0 on jaw, throat and lower neck: hair that hangs there is no shell of the head (see ``leftovers``)."""
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


def _smooth(surface: HeadSurface, value: np.ndarray, steps: int) -> np.ndarray:
    for _ in range(steps):
        value = value - 0.5 * (surface.laplacian @ value)
    return value


def _folded(surface: HeadSurface, outer: np.ndarray, ears: np.ndarray) -> np.ndarray:
    corners = outer[surface.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    radial = corners.mean(1) - (surface.crown + outer.mean(0) - surface.vertices.mean(0))
    length = np.linalg.norm(normal, axis=1) * np.linalg.norm(radial, axis=1)
    inward = (normal * radial).sum(1) < 0.0 * np.maximum(length, 1e-20)
    return inward & ears[surface.faces].any(1)


def _flatten(surface: HeadSurface, rest: np.ndarray, ears: np.ndarray) -> np.ndarray:
    """Covered ears become the membrane over their rim, so that hair does not bulge over them."""
    flat = rest.astype(np.float64).copy()
    if ears.any():
        rows = surface.laplacian[ears].tocsc()
        flat[ears] = np.asarray(spsolve(rows[:, ears], -(rows[:, ~ears] @ flat[~ears])))
    return flat


def _outward(surface: HeadSurface, vertices: np.ndarray) -> np.ndarray:
    normal = vertex_normals(vertices, surface.faces)
    radial = vertices - (surface.crown + (vertices.mean(0) - surface.vertices.mean(0)))
    radial /= np.maximum(np.linalg.norm(radial, axis=1, keepdims=True), 1e-9)
    out = normal + radial
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


def _taper(surface: HeadSurface, vertices: np.ndarray, hair: np.ndarray) -> np.ndarray:
    bare = surface.skin & (hair < 0.45)
    if not bare.any():
        return np.ones(hair.size)
    distance = nearest(vertices[bare], vertices)[0]
    return 0.12 + 0.88 * smoothstep(distance / (_TAPER * surface.scale), 0.0, 1.0)


class _Outline:
    """Thickness of hair or clothes from the matte: per image angle about ``centre`` on the outline, their median
    toward and away from the camera."""

    def __init__(
        self, fit: PortraitFit, surface: HeadSurface, mask: np.ndarray, posed: np.ndarray, worn: np.ndarray,
        centre: np.ndarray, limits: tuple[float, float] = _THICKNESS,
    ) -> None:  # fmt: skip
        camera = fit.camera
        self._camera, self._surface, self._limits = camera, surface, limits
        self._mask, self._person = mask, fit.matte > 0.5
        self._outer = surface.skin & worn
        self._centre = camera.project(centre[None])[0]
        self._metres = (self._centre[2] if not camera.orthographic else 1.0) / camera.K[0, 0]
        self._bins, self._bald = self._polar(posed)
        facing = View.of(posed, surface.faces, camera).facing(posed, vertex_normals(posed, surface.faces))
        self._back = _away(camera, posed, surface)
        self._rim = 1 - smoothstep(np.maximum(facing, self._back), 0.25, 0.75)
        self._spread = np.zeros(_ANGLES)

    def _polar(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(V,) angle bin and radius in pixels about the cranium's centre; angle 0 is up in the image."""
        delta = self._camera.project(points)[:, :2] - self._centre[:2]
        angle = np.arctan2(delta[:, 0], -delta[:, 1])
        bins = ((angle + np.pi) / (2 * np.pi) * _ANGLES).astype(int) % _ANGLES
        return bins, np.linalg.norm(delta, axis=1)

    def correct(self, points: np.ndarray) -> None:
        """Add what ``points`` (V, 3), the shell so far, still miss to the outline."""
        bins, radius = self._polar(points)
        reached, whole = np.zeros(_ANGLES), np.zeros(_ANGLES)
        np.maximum.at(reached, bins[self._outer], radius[self._outer])
        np.maximum.at(whole, bins[self._surface.skin], radius[self._surface.skin])
        outline = _outline(self._person, self._mask, self._centre[:2], reached)
        valid = (reached > 0.9 * whole) & (outline > 0)
        if valid.sum() < _ANGLES // 20:
            self._spread = np.maximum(self._spread, self._limits[0])
            return
        centres = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
        gap = ((outline - reached) * self._metres)[valid] - _SPLAT_REACH
        missing = np.interp(centres, centres[valid], gap, period=2 * np.pi)
        spread = self._spread + missing
        spread = gaussian_filter1d(median_filter(spread, 9, mode="wrap"), 2.0, mode="wrap")
        self._spread = np.clip(spread, *self._limits)

    def thickness(self) -> np.ndarray:
        """(V,) metres."""
        centres = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
        middle = float(np.median(self._spread[np.abs(centres) < np.radians(75)]))
        inner = np.where(self._back > 0, middle, 0.75 * middle)
        return self._rim * self._spread[self._bins] + (1 - self._rim) * inner


def _padding(
    fit: PortraitFit, surface: HeadSurface, mask: np.ndarray, posed: np.ndarray, share: np.ndarray,
    limits: tuple[float, float],
) -> np.ndarray:  # fmt: skip
    """(V, 3) metres: what ``share`` (V,) says is worn, or bare, pushed out to the outline of its pixels."""
    worn = surface.skin & (share > 0.4)
    if worn.sum() < 50:
        return np.zeros_like(posed)
    bare = surface.skin & ~worn
    distance = nearest(posed[bare], posed)[0] if bare.any() else np.full(share.size, 1.0)
    shape = smoothstep(share, 0.3, 0.7) * (0.1 + 0.9 * smoothstep(distance / surface.scale, 0.0, 0.03))
    centre = np.array([posed[worn, 0].mean(), np.quantile(posed[worn, 1], 0.1), posed[worn, 2].mean()])
    outline = _Outline(fit, surface, mask > 0.4, posed, worn, centre, limits)
    normal = vertex_normals(posed, surface.faces)
    normal = np.stack([_smooth(surface, normal[:, i], 30) for i in range(3)], 1)
    reach = np.zeros(share.size)
    for _ in range(3):
        outline.correct(posed + reach[:, None] * normal)
        reach = _smooth(surface, outline.thickness() * shape, 25)
    return reach[:, None] * normal


def _neck_sides(surface: HeadSurface) -> np.ndarray:
    """(V,) 0..1: the neck from behind the jaw down, which no landmark holds."""
    s, marks = surface.scale, surface.landmarks
    below = smoothstep(marks[NOSE_TIP, 1] - surface.vertices[:, 1], 0.02 * s, 0.035 * s)
    behind = smoothstep(marks[CHIN, 2] - surface.vertices[:, 2], 0.02 * s, 0.04 * s)
    clear = smoothstep(surface.face_distance, 0.006 * s, 0.015 * s)
    return below * np.maximum(behind, surface.neck) * clear * surface.skin * ~surface.ear


def _away(camera: Camera, posed: np.ndarray, surface: HeadSurface) -> np.ndarray:
    to_eye = camera.position - posed
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    return np.clip(-(to_eye * vertex_normals(posed, surface.faces)).sum(1), 0, 1)


def _outline(person: np.ndarray, mask: np.ndarray, centre: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(_ANGLES,) pixels: how far the person reaches outward without a gap; 0 where it does not end in ``mask``."""
    angles = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
    direction = np.stack([np.sin(angles), -np.cos(angles)], 1)
    steps = np.arange(0, 0.7 * mask.shape[0], 0.5)
    radius = np.maximum(0.6 * start, 1)[:, None] + steps
    point = centre + radius[..., None] * direction[:, None]
    column = np.clip(point[..., 0], 0, mask.shape[1] - 1).astype(int)
    row = np.clip(point[..., 1], 0, mask.shape[0] - 1).astype(int)
    inside = (point[..., 0] >= 0) & (point[..., 1] >= 0)
    inside &= (point[..., 0] < mask.shape[1]) & (point[..., 1] < mask.shape[0])
    solid = person[row, column] & inside & (mask[row, column] | (radius < start[:, None]))
    last = np.maximum(np.cumprod(solid, axis=1).sum(1) - 1, 0)
    at = np.arange(_ANGLES)
    back = np.maximum(last - 4, 0)  # two pixels inside the edge, where the classes are sure
    ends = solid[:, 0] & mask[row[at, back], column[at, back]] & inside[at, np.minimum(last + 1, steps.size - 1)]
    return np.where(ends, radius[at, last], 0.0)
