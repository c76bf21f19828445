"""Hair and clothes as a displaced shell of the head's mesh: which vertices carry them, and how far out they reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.spatial import cKDTree

from ...camera import Camera
from ...portrait.types import PortraitFit
from .classes import PixelClasses
from .photo import View
from .surface import HeadSurface, smoothstep, vertex_normals

_ANGLES = 240
_THICKNESS = (0.002, 0.055)
_TAPER = 0.028


@dataclass(frozen=True)
class Shell:
    """The portrait's outer surface over the head's vertices.

    Attributes:
        hair, clothes: (V,) 0..1.
        displacement: (V, 3) metres from the neutral mesh to the outer surface, in head space.
        covered_ear: (V,) bool, ears hidden under hair.
    """

    hair: np.ndarray
    clothes: np.ndarray
    displacement: np.ndarray
    covered_ear: np.ndarray


def build_shell(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, rest: np.ndarray, posed: np.ndarray
) -> Shell:
    """Vote for hair and clothes where the photo shows them, then push hair out to the matte's outline."""
    view = View.of(posed, surface.faces, fit.camera)
    hair, clothes, covered_ear = _vote(fit, surface, classes, view, posed)
    flat = _flatten(surface, rest, covered_ear)
    outward = _outward(surface, flat)
    shape = hair_mask(hair) * _taper(surface, flat, hair)
    outline = _Outline.of(fit, surface, classes, flat + (posed - rest), hair)
    reach = np.zeros(hair.size)
    for _ in range(3):  # what tapering and smoothing lose against the outline is made up for
        outline.correct(flat + (posed - rest) + reach[:, None] * outward)
        reach = _smooth(surface, outline.thickness() * shape, 12)
    displacement = (flat - rest) + reach[:, None] * outward
    displacement[~surface.skin] = 0
    return Shell(hair, clothes, displacement, covered_ear)


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
    prior = 0.01
    total = weight + mirrored + prior
    hair = (weight * p_hair + mirrored * p_hair[mirror] + prior * surface.scalp) / total
    bust = smoothstep(surface.neck, 0.9, 1.0) * 0.5
    clothes = (weight * p_clothes + mirrored * p_clothes[mirror] + prior * bust) / total
    hair = _smooth(surface, _screened(surface, hair, total, 0.25), 4) * _hair_limit(surface)
    clothes = _screened(surface, clothes, total, 0.25)
    covered = np.zeros_like(surface.ear)
    for side in (1, -1):
        ear = surface.ear & (np.sign(posed[:, 0]) == side)
        if ear.any():
            w = weight[ear] + 0.02
            hidden = float((w * hair[ear]).sum() / w.sum()) > 0.5
            hair[ear] = 1.0 if hidden else 0.0
            covered[ear] = hidden
    return hair * surface.skin, np.minimum(clothes, 1 - hair) * surface.skin, covered


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


def _flatten(surface: HeadSurface, rest: np.ndarray, ears: np.ndarray) -> np.ndarray:
    """Covered ears are pulled flat, so that hair does not bulge over them."""
    flat = rest.astype(np.float64).copy()
    if not ears.any():
        return flat
    average = surface.laplacian[ears]
    for _ in range(300):
        flat[ears] -= average @ flat
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
    distance = cKDTree(vertices[bare]).query(vertices)[0]
    return 0.12 + 0.88 * smoothstep(distance / (_TAPER * surface.scale), 0.0, 1.0)


class _Outline:
    """Hair thickness from the matte: per image angle on the outline, their median toward and away from the camera."""

    def __init__(
        self, camera: Camera, surface: HeadSurface, mask: np.ndarray, posed: np.ndarray, hair: np.ndarray
    ) -> None:
        self._camera, self._surface, self._mask = camera, surface, mask
        self._outer = surface.skin & (hair > 0.3)
        centre3 = surface.crown + posed.mean(0) - surface.vertices.mean(0)
        self._centre = camera.project(centre3[None])[0]
        self._metres = (self._centre[2] if not camera.orthographic else 1.0) / camera.K[0, 0]
        self._bins, self._bald = self._polar(posed)
        facing = View.of(posed, surface.faces, camera).facing(posed, vertex_normals(posed, surface.faces))
        self._back = _away(camera, posed, surface)
        self._rim = 1 - smoothstep(np.maximum(facing, self._back), 0.25, 0.75)
        self._spread = np.zeros(_ANGLES)

    @classmethod
    def of(
        cls, fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, posed: np.ndarray, hair: np.ndarray
    ) -> _Outline:
        return cls(fit.camera, surface, fit.matte * (classes.hair > 0.4), posed, hair)

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
        outline = _outline(self._mask, self._centre[:2], reached)
        valid = (reached > 0.9 * whole) & (outline > 0)
        if valid.sum() < _ANGLES // 20:
            self._spread = np.maximum(self._spread, 0.006)
            return
        centres = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
        missing = np.interp(centres, centres[valid], ((outline - reached) * self._metres)[valid], period=2 * np.pi)
        spread = self._spread + missing
        spread = gaussian_filter1d(median_filter(spread, 9, mode="wrap"), 2.0, mode="wrap")
        self._spread = np.clip(spread, *_THICKNESS)

    def thickness(self) -> np.ndarray:
        """(V,) metres."""
        centres = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
        middle = float(np.median(self._spread[np.abs(centres) < np.radians(75)]))
        inner = np.where(self._back > 0, middle, 0.75 * middle)
        return self._rim * self._spread[self._bins] + (1 - self._rim) * inner


def _away(camera: Camera, posed: np.ndarray, surface: HeadSurface) -> np.ndarray:
    to_eye = camera.position - posed
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    return np.clip(-(to_eye * vertex_normals(posed, surface.faces)).sum(1), 0, 1)


def _outline(mask: np.ndarray, centre: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(_ANGLES,) pixels: how far the mask reaches outward without a gap from ``start``; 0 where it does not begin."""
    angles = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
    direction = np.stack([np.sin(angles), -np.cos(angles)], 1)
    steps = np.arange(0, 0.6 * mask.shape[0], 0.5)
    radius = np.maximum(start - 6, 1)[:, None] + steps
    point = centre + radius[..., None] * direction[:, None]
    column = np.clip(point[..., 0], 0, mask.shape[1] - 1).astype(int)
    row = np.clip(point[..., 1], 0, mask.shape[0] - 1).astype(int)
    inside = (point[..., 0] >= 0) & (point[..., 1] >= 0)
    inside &= (point[..., 0] < mask.shape[1]) & (point[..., 1] < mask.shape[0])
    solid = (mask[row, column] > 0.5) & inside
    run = np.cumprod(solid, axis=1).sum(1)
    return np.where(run > 0, radius[np.arange(_ANGLES), np.maximum(run - 1, 0)], 0.0)
