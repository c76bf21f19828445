"""Lids that close on the eyeball: blink without overshoot, never through the eye, for every identity."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from ..arkit import ARKIT_INDEX
from .mean import Blank
from .rig import smoother
from .seal import Seal
from .surface import Surface

BLINK_OVERLAP = 0.0009
CLEARANCE = 1.045
_LID_SHAPES = ("eyeBlink", "eyeLookDown", "eyeSquint", "eyeLookUp", "eyeWide", "cheekSquint", "eyeLookIn", "eyeLookOut")
_ROUNDS = 3


def close_blinks(shapes: np.ndarray, blank: Blank, seals: tuple[Seal, Seal]) -> np.ndarray:
    """Scale the blink along the lid, so that the lids of the mean head just meet."""
    out = shapes.copy()
    for side, seal in zip(("Left", "Right"), seals, strict=True):
        i = ARKIT_INDEX["eyeBlink" + side]
        for _ in range(_ROUNDS):
            rest, move = seal.gap(blank.mean), seal.gap(out[:, :, i])
            wanted = np.clip((rest + BLINK_OVERLAP) / np.maximum(-move, 1e-4), 0.4, 1.6)
            eye = blank.mean[blank.slots("eye_" + side.lower())][0]
            x = blank.mean[:, 0] - eye[0]
            # A cubic along the lid: smooth, and stiff enough not to copy the noise of single pairs.
            at = seal.x + (_centre(seal, blank) - eye[0])
            cubic = np.polynomial.Polynomial.fit(at, wanted, 3, w=seal.taper * np.maximum(-move, 0))
            near = np.linalg.norm(blank.mean - eye, axis=1) < 0.045
            factor = np.where(near, cubic(np.clip(x, at.min(), at.max())), 1.0)
            out[:, :, i] *= factor[:, None]
        closed = seal.close(blank.mean + out[:, :, i], BLINK_OVERLAP)
        out[:, :, i] = closed - blank.mean
    return out


def _centre(seal: Seal, blank: Blank) -> float:
    x = (seal.upper @ blank.mean[:, 0]) - seal.x
    return float(np.median(x))


def clear_eyeballs(
    shapes: np.ndarray, blank: Blank, surface: Surface, quads: np.ndarray, seals: tuple[Seal, Seal]
) -> np.ndarray:
    """Push lids that would cut into the eyeball, half-way or at the end of a shape, out to its surface.

    Shapes are straight lines and the eyeball is round: a lid that slides over it must bulge on its way.
    """
    out = shapes.copy()
    face = surface.vertices_of("face")
    rest = surface.matrix @ blank.mean
    average = smoother(quads, len(blank.mean))
    for name in ("left", "right"):
        eye = blank.mean[blank.slots("eye_" + name)]
        centre, radius = eye[0], float(np.linalg.norm(eye[1] - eye[0]))
        away = np.linalg.norm(rest[face] - centre, axis=1)
        lid = face[(away < radius * 1.5) & (away > radius * 1.01) & (rest[face, 2] > centre[2])]
        rows = surface.matrix[lid]
        used = np.unique(rows.indices)
        for shape in _LID_SHAPES:
            i = ARKIT_INDEX[shape + name.capitalize()]
            for _ in range(_ROUNDS):
                push = _needed(rest[lid] - centre, rows @ out[:, :, i], radius)
                if np.linalg.norm(push, axis=1).max() < 5e-5:
                    break
                out[used, :, i] += _fit(rows[:, used], push, average[used][:, used])
                if shape == "eyeBlink":
                    seal = seals[0 if name == "left" else 1]
                    out[:, :, i] = seal.close(blank.mean + out[:, :, i], BLINK_OVERLAP) - blank.mean
    return out


def _needed(local: np.ndarray, move: np.ndarray, radius: float) -> np.ndarray:
    """(n, 3) extra displacement at full strength that keeps every lid vertex off the eyeball."""
    keep = np.minimum(np.linalg.norm(local, axis=1), CLEARANCE * radius)
    extra = np.zeros(local.shape)
    for t in (0.35, 0.6, 1.0):
        p = local + t * move
        r = np.linalg.norm(p, axis=1)
        short = np.maximum(keep - r, 0) / t
        candidate = (short / r)[:, None] * p
        extra = np.where((short > np.linalg.norm(extra, axis=1))[:, None], candidate, extra)
    return extra


def _fit(rows: sp.csr_matrix, push: np.ndarray, average: sp.csr_matrix) -> np.ndarray:
    """Smooth control displacement that reproduces ``push`` on the dense vertices."""
    n = int(average.indptr.size - 1)
    rough = sp.identity(n) - average
    normal = rows.T @ rows + 0.05 * (rough.T @ rough) + 1e-3 * sp.identity(n)
    return np.asarray(splu(sp.csc_matrix(normal)).solve(rows.T @ push))


def blink_gain(shapes: np.ndarray, blank: Blank, seals: tuple[Seal, Seal]) -> np.ndarray:
    """(52, B) how much further each identity mode must blink, because it opens the eye further."""
    gain = np.zeros((52, blank.modes.shape[2]))
    for side, seal in zip(("Left", "Right"), seals, strict=True):
        i = ARKIT_INDEX["eyeBlink" + side]
        move, opened = seal.gap(shapes[:, :, i]), seal.gap(blank.modes)
        w = seal.taper * (np.abs(seal.x) < 0.75 * seal.x.max())
        gain[i] = -(w * move) @ opened / (w @ move**2)
    return gain
