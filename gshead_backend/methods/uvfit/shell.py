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
    thickness = _thickness(fit, surface, classes, flat + (posed - rest), hair)
    outward = _outward(surface, flat)
    reach = thickness * hair_mask(hair) * _taper(surface, flat, hair)
    reach = _smooth(surface, reach, 12)
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
    mirror = surface.head.mirror
    mirrored = 0.3 * weight[mirror] * (weight < 0.1)
    prior = 0.01
    total = weight + mirrored + prior
    hair = (weight * p_hair + mirrored * p_hair[mirror] + prior * surface.scalp) / total
    bust = smoothstep(surface.neck, 0.9, 1.0) * 0.5
    clothes = (weight * p_clothes + mirrored * p_clothes[mirror] + prior * bust) / total
    hair = _screened(surface, hair, total, 0.25)
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


def _thickness(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, posed: np.ndarray, hair: np.ndarray
) -> np.ndarray:
    """(V,) metres. On the outline from the matte per image angle; the median of those toward and away from the eye."""
    camera = fit.camera
    outer = surface.skin & (surface.neck < 0.5) & (hair > 0.3)
    if outer.sum() < 20:
        return np.zeros(hair.size)
    centre3 = surface.crown + posed.mean(0) - surface.vertices.mean(0)
    uvz = camera.project(posed)
    centre = camera.project(centre3[None])[0]
    metres = (centre[2] if not camera.orthographic else 1.0) / camera.K[0, 0]
    delta = uvz[:, :2] - centre[:2]
    angle = np.arctan2(delta[:, 0], -delta[:, 1])  # 0 = up in the image
    radius = np.linalg.norm(delta, axis=1)
    bins = ((angle + np.pi) / (2 * np.pi) * _ANGLES).astype(int) % _ANGLES
    mesh = np.zeros(_ANGLES)
    np.maximum.at(mesh, bins[surface.skin], radius[surface.skin])
    hairy = np.zeros(_ANGLES)
    np.maximum.at(hairy, bins[outer], radius[outer])
    outline = _outline(fit.matte * (classes.hair > 0.4), centre[:2], hairy)
    valid = (hairy > 0.9 * mesh) & (outline > 0)
    if valid.sum() < _ANGLES // 20:
        return np.full(hair.size, 0.5 * (_THICKNESS[0] + 0.012))
    centres = (np.arange(_ANGLES) + 0.5) / _ANGLES * 2 * np.pi - np.pi
    found = np.clip((outline - hairy)[valid] * metres, *_THICKNESS)
    spread = np.interp(centres, centres[valid], found, period=2 * np.pi)
    spread = gaussian_filter1d(median_filter(spread, 9, mode="wrap"), 2.0, mode="wrap")
    upper = np.abs(centres) < np.radians(75)
    middle = float(np.median(spread[upper]))
    facing = View.of(posed, surface.faces, camera).facing(posed, vertex_normals(posed, surface.faces))
    away = _away(camera, posed, surface)
    rim = 1 - smoothstep(np.maximum(facing, away), 0.25, 0.75)
    inner = np.where(away > 0, middle, 0.75 * middle)
    return rim * spread[bins] + (1 - rim) * inner


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
