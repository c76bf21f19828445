"""From a population in the base mesh's space to a mean head and identity modes on the head's control points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from .cage import Cage, build_cage
from .eyes import eye_gather
from .population import align, principal_modes, sample_heads
from .source import AnnyWheel, BaseMesh
from .teeth import row_gather

EYE_SCALE = 0.965
OVERALL = 1.045
# The eyes' place in head space: the origin lies between the ears, as in FLAME.
EYES_AT = np.array([0.0, 0.035, 0.070])
# Labial curves of the helper bands: xz from the middle of the crowns, y from the biting edges, left half.
UPPER_CROWN = (15079, 15075, 15074, 15073, 15072, 15084, 15083, 15082, 15081)
UPPER_EDGE = (15069, 15086, 15071, 15070, 15085, 15078, 15077, 15076, 15080)
LOWER_CROWN = (15012, 15013, 15014, 15015, 15011, 15016, 15017, 15018, 15009)
LOWER_EDGE = (15010, 15001, 15002, 15003, 15004, 15005, 15006, 15007, 15008)


@dataclass(frozen=True)
class Blank:
    """The head before expressions and rig.

    Attributes:
        cage: faces over base points. skin: (S,) base points of the first S control points (skin and tongue).
        control_count: C = S + 16: then left eye, right eye, upper teeth, lower teeth, four each.
        points: (P, 3) mean of the base points that are used, head space; NaN elsewhere.
        gather: sparse (3C, 3P) linear map from base points to control points.
        stretch: (P, 3) proportion correction as scale factors of displacements.
        mean: (C, 3). modes: (C, 3, B) per standard deviation. kept: share of the variance in the modes.
    """

    base: BaseMesh
    cage: Cage
    skin: np.ndarray
    points: np.ndarray
    gather: sp.csr_matrix
    stretch: np.ndarray
    mean: np.ndarray
    modes: np.ndarray
    kept: float

    @property
    def control_count(self) -> int:
        return len(self.skin) + 16

    def control(self, points: np.ndarray) -> np.ndarray:
        """(P, 3) base points, or displacements, to (C, 3) control points."""
        return (self.gather @ np.nan_to_num(points).reshape(-1)).reshape(-1, 3)

    def slots(self, name: str) -> slice:
        """Control points of ``eye_left``, ``eye_right``, ``upper`` or ``lower``."""
        first = len(self.skin) + 4 * ("eye_left", "eye_right", "upper", "lower").index(name)
        return slice(first, first + 4)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def proportions(points: np.ndarray) -> np.ndarray:
    """(p, 3) scale factors about the origin that bring the raw mean to adult proportions.

    The raw population is small and narrow: everything grows by 4.5 %, the cranium by as much again in width, and the
    back of the head comes forward by 3.5 %.
    """
    y, z = points[:, 1] - EYES_AT[1], points[:, 2] - EYES_AT[2]
    cranium = _smoothstep((y - 0.005) / 0.055)
    back = _smoothstep((-z - 0.06) / 0.06) * _smoothstep((y + 0.09) / 0.05)
    out = np.full(points.shape, OVERALL)
    out[:, 0] *= 1 + 0.045 * np.maximum(cranium, 0.6 * back)
    out[:, 2] *= 1 - 0.035 * back
    return out


def _gather(base: BaseMesh, skin: np.ndarray, points: np.ndarray) -> sp.csr_matrix:
    count = len(base.points)
    rows, cols, data = [], [], []

    def add(block: np.ndarray, first: int, index: np.ndarray) -> None:
        r, c = np.nonzero(block)
        rows.append(3 * first + r)
        cols.append((3 * index[:, None] + np.arange(3)).ravel()[c])
        data.append(block[r, c])

    s = len(skin)
    rows.append(np.arange(3 * s))
    cols.append((3 * skin[:, None] + np.arange(3)).ravel())
    data.append(np.ones(3 * s))
    for k, name in enumerate(("helper-l-eye", "helper-r-eye")):
        eye = base.group_points(name)
        add(eye_gather(points, eye, EYE_SCALE), s + 4 * k, eye)
    for k, name in enumerate(("helper-upper-teeth", "helper-lower-teeth")):
        band = base.group_points(name)
        add(np.kron(row_gather(points, band), np.eye(3)), s + 8 + 4 * k, band)
    shape = (3 * (s + 16), 3 * count)
    return sp.csr_matrix((np.concatenate(data), (np.concatenate(rows), np.concatenate(cols))), shape=shape)


def make_blank(wheel: AnnyWheel, *, people: int, modes: int, seed: int) -> Blank:
    """Sample the population, align it, choose the cage on its mean and reduce it to principal modes."""
    base = wheel.base_mesh()
    rows = np.flatnonzero((base.points[:, 1] > 0.40) & (np.abs(base.points[:, 0]) < 0.30))
    samples = sample_heads(wheel, base.points, rows, people, seed)
    body = np.isin(rows, base.quads[base.group == "body"])
    eyes = np.isin(rows, np.r_[base.group_points("helper-l-eye"), base.group_points("helper-r-eye")])
    middle = samples[:, eyes].mean(1).mean(0)
    offset = samples.mean(0) - middle
    skull = body & (offset[:, 1] > -0.09) & (np.abs(offset[:, 0]) < 0.068)
    weights = skull * (1.0 + 2.0 * (offset[:, 2] > -0.04)) + 0.01 * eyes
    samples = align(samples, weights, size_kept=0.6)
    samples = samples - samples[:, eyes].mean((0, 1)) + EYES_AT.astype(np.float32)
    place = np.full(len(base.points), -1)
    place[rows] = np.arange(len(rows))
    mirror = place[base.mirror[rows]]
    stretch = proportions(_symmetric(samples.mean(0), mirror))
    samples = EYES_AT.astype(np.float32) + (samples - EYES_AT.astype(np.float32)) * stretch.astype(np.float32)

    points = np.full(base.points.shape, np.nan)
    points[rows] = _symmetric(samples.mean(0), mirror)
    cage = build_cage(base, points, EYES_AT)
    skin = np.unique(cage.quads)
    helpers = np.concatenate(
        [base.group_points(f"helper-{n}") for n in ("l-eye", "r-eye", "upper-teeth", "lower-teeth")]
    )
    used = np.isin(rows, np.r_[skin, helpers])
    importance = np.full(len(rows), 1.0)
    importance[offset[:, 1] < -0.13] = 0.16
    importance[(offset[:, 2] > -0.05) & (offset[:, 1] > -0.11)] = 1.7
    importance[np.isin(rows, cage.quads[cage.part == "cavity"])] = 0.1
    index = np.flatnonzero(used)
    back = np.full(len(rows), -1)
    back[index] = np.arange(len(index))
    mean, fields, _, kept = principal_modes(samples[:, index], back[mirror[index]], importance[index], modes)
    gather = _gather(base, skin, points)

    def spread(values: np.ndarray) -> np.ndarray:
        full = np.zeros((len(base.points), *values.shape[1:]))
        full[rows[index]] = values
        return full

    full_stretch = np.ones(base.points.shape)
    full_stretch[rows] = stretch
    control_modes = (gather @ spread(fields).reshape(-1, modes)).reshape(-1, 3, modes)
    control_mean = (gather @ spread(mean).reshape(-1)).reshape(-1, 3)
    return Blank(base, cage, skin, points, gather, full_stretch, control_mean, control_modes, float(kept))


def _symmetric(points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    return (points + points[mirror] * [-1, 1, 1]) / 2
