"""Hair and clothes as a displaced shell of the head's mesh: how far out they reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import spsolve

from ...avatar.facing import vertex_normals
from ...portrait.types import PortraitFit
from .classes import PixelClasses
from .hanging import HangingHair
from .outline import Outline
from .photo import View, sample
from .surface import CHIN, NOSE_TIP, HeadSurface, nearest, smoothstep
from .votes import hair_limit, smooth, vote

_THICKNESS = (0.002, 0.09)
_PADDING = (0.002, 0.03)
_NECK = (0.0, 0.012)
_TAPER = 0.028
_STEP = 0.003  # metres of hair


@dataclass(frozen=True)
class Shell:
    """The portrait's outer surface over the head's vertices.

    Attributes:
        hair, clothes: (V,) 0..1.
        displacement: (V, 3) metres from the neutral mesh to the outer surface, in head space.
        covered_ear: (V,) bool, ears hidden under hair.
        folded: (F,) bool, triangles of flattened ears that face inward, and steps under hair that hangs on: nothing
            belongs on them.
    """

    hair: np.ndarray
    clothes: np.ndarray
    displacement: np.ndarray
    covered_ear: np.ndarray
    folded: np.ndarray


def build_shell(
    fit: PortraitFit, surface: HeadSurface, classes: PixelClasses, rest: np.ndarray, posed: np.ndarray,
    hanging: HangingHair | None = None,
) -> Shell:  # fmt: skip
    """Vote for hair and clothes where the photo shows them, then push hair out to the matte's outline.

    Where hair hangs on below (``hanging``) the shell ends as thick as it is.
    """
    view = View.of(posed, surface.faces, fit.camera)
    hair, clothes, covered_ear = vote(fit, surface, classes, view, posed, hanging)
    flat = _flatten(surface, rest, covered_ear)
    outward = _outward(surface, flat)
    goes_on = _goes_on(fit, surface, posed, hanging)
    shape = hair_mask(hair) * _taper(surface, flat, hair, goes_on)
    crown = surface.crown + flat.mean(0) - surface.vertices.mean(0)
    outline = Outline(fit, surface, classes.hair > 0.4, flat + (posed - rest), hair > 0.3, crown, _THICKNESS)
    reach = np.zeros(hair.size)
    for _ in range(3):  # what tapering and smoothing lose against the outline is made up for
        outline.correct(flat + (posed - rest) + reach[:, None] * outward)
        reach = smooth(surface, outline.thickness() * shape, 12)
    reach = _within(fit, surface, flat + (posed - rest), reach, outward)
    displacement = (flat - rest) + reach[:, None] * outward
    displacement += _padding(fit, surface, classes.clothes, posed, clothes, _PADDING)
    bare = 1 - smoothstep(np.maximum(clothes, hair), 0.2, 0.6)
    displacement += _padding(fit, surface, classes.skin, posed, bare * _neck_sides(surface), _NECK)
    displacement[~surface.skin] = 0
    empty = _folded(surface, rest + displacement, covered_ear) | _steps(surface, reach, goes_on)
    return Shell(hair, clothes, displacement, covered_ear, empty)


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
    return np.minimum(reach, smooth(surface, reach, 4) + 0.002)


def hair_mask(hair: np.ndarray) -> np.ndarray:
    """The vote with a firm border."""
    return smoothstep(hair, 0.3, 0.65)


def _folded(surface: HeadSurface, outer: np.ndarray, ears: np.ndarray) -> np.ndarray:
    corners = outer[surface.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    radial = corners.mean(1) - (surface.crown + outer.mean(0) - surface.vertices.mean(0))
    length = np.linalg.norm(normal, axis=1) * np.linalg.norm(radial, axis=1)
    inward = (normal * radial).sum(1) < 0.0 * np.maximum(length, 1e-20)
    return inward & ears[surface.faces].any(1)


def _steps(surface: HeadSurface, reach: np.ndarray, goes_on: np.ndarray) -> np.ndarray:
    """(F,) bool: from the shell's end in to the skin, where hair hangs on below and nothing tapers."""
    return goes_on[surface.faces].any(1) & (reach[surface.faces].max(1) > _STEP * surface.scale)


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


def _goes_on(fit: PortraitFit, surface: HeadSurface, posed: np.ndarray, hanging: HangingHair | None) -> np.ndarray:
    """(V,) bool: skin below the shell over which hair hangs."""
    if hanging is None:
        return np.zeros(len(posed), bool)
    falls = hanging.beside(fit.camera.project(posed)[:, :2], hanging.falls)
    return surface.skin & (hair_limit(surface) < 0.5) & falls


def _taper(surface: HeadSurface, vertices: np.ndarray, hair: np.ndarray, goes_on: np.ndarray) -> np.ndarray:
    bare = surface.skin & (hair < 0.45) & ~goes_on
    if not bare.any():
        return np.ones(hair.size)
    distance = nearest(vertices[bare], vertices)[0]
    return 0.12 + 0.88 * smoothstep(distance / (_TAPER * surface.scale), 0.0, 1.0)


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
    outline = Outline(fit, surface, mask > 0.4, posed, worn, centre, limits)
    normal = vertex_normals(posed, surface.faces)
    normal = np.stack([smooth(surface, normal[:, i], 30) for i in range(3)], 1)
    reach = np.zeros(share.size)
    for _ in range(3):
        outline.correct(posed + reach[:, None] * normal)
        reach = smooth(surface, outline.thickness() * shape, 25)
    return reach[:, None] * normal


def _neck_sides(surface: HeadSurface) -> np.ndarray:
    """(V,) 0..1: the neck from behind the jaw down, which no landmark holds."""
    s, marks = surface.scale, surface.landmarks
    below = smoothstep(marks[NOSE_TIP, 1] - surface.vertices[:, 1], 0.02 * s, 0.035 * s)
    behind = smoothstep(marks[CHIN, 2] - surface.vertices[:, 2], 0.02 * s, 0.04 * s)
    clear = smoothstep(surface.face_distance, 0.006 * s, 0.015 * s)
    return below * np.maximum(behind, surface.neck) * clear * surface.skin * ~surface.ear
