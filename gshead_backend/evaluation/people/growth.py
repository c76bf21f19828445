"""Hair of the test people: curves from the skin, bent by gravity around an ellipsoid that stands for the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import KDTree

from ...head.model import HeadModel
from ...portrait.labels import LABEL_INDEX
from .cast import Role

BROWS = ((70, 63, 105, 66, 107), (300, 293, 334, 296, 336))
LOWER_BROWS = ((46, 53, 52, 65, 55), (276, 283, 282, 295, 285))
LID_RIMS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (263, 466, 388, 387, 386, 385, 384, 398, 362))
LASH_LENGTH, BROW_RADIUS = 0.007, 0.00011
_LENGTH = {"crop": 0.008, "short": 0.042, "long": 0.34, "bob": 0.19, "curls": 0.06, "bun": 0.15}
_COUNT = {"crop": 30_000, "short": 14_000, "long": 9_000, "bob": 9_500, "curls": 9_000, "bun": 9_000}


@dataclass(frozen=True)
class Strands:
    """material: "hair", "brow", "lash" or "beard". points: (M, K, 3). radius: metres at the root. label: index."""

    material: str
    points: np.ndarray
    radius: float
    label: int


def grow_all(
    role: Role, head: HeadModel, rest: np.ndarray, posed: np.ndarray, names: np.ndarray, marks: np.ndarray
) -> list[Strands]:
    """Scalp hair, brows, lashes and beard. Roots are drawn at rest, so a person keeps every hair in every frame."""
    rng = np.random.default_rng([role.seed, 9])
    out = []
    skin = _Skin(head, rest, posed, names)
    if role.hair != "bald" and role.hat != "headscarf":
        out.append(_scalp(role, skin, marks, rng))
    out.append(_brows(role, skin, marks, rng))
    out.append(_lashes(role, skin, marks, rng))
    if role.beard in ("full", "moustache"):
        out.append(_beard(role, skin, marks, rng))
    return [s for s in out if len(s.points)]


class _Skin:
    """The outer skin at rest and now; places on it are triangles with barycentric coordinates."""

    def __init__(self, head: HeadModel, rest: np.ndarray, posed: np.ndarray, names: np.ndarray) -> None:
        outer = np.isin(names, ("skin", "scalp", "neck", "lids", "lips"))
        self.faces = head.faces[outer[head.faces].all(1)]
        self.rest, self.posed = rest, posed
        a, b, c = (rest[self.faces[:, k]] for k in range(3))
        self.cross = np.cross(b - a, c - a)
        self.area = np.linalg.norm(self.cross, axis=1) / 2
        self.middle = (a + b + c) / 3

    def scatter(
        self, density: np.ndarray, count: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Roots at rest, now, and normals now, (count, 3) each; ``density`` (F,) per area."""
        mass = self.area * density
        face = np.searchsorted(np.cumsum(mass) / mass.sum(), rng.random(count)).clip(0, len(mass) - 1)
        u, v = rng.random(count), rng.random(count)
        flip = u + v > 1
        u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
        bary = np.stack([1 - u - v, u, v], 1)[:, :, None]
        corner = self.faces[face]
        now = self.posed[corner]
        normal = np.cross(now[:, 1] - now[:, 0], now[:, 2] - now[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        return (self.rest[corner] * bary).sum(1), (now * bary).sum(1), normal


def _scalp(role: Role, skin: _Skin, marks: np.ndarray, rng: np.random.Generator) -> Strands:
    m, p = marks, skin.middle
    aside = np.abs(p[:, 0])
    hairline = m[10, 1] + 0.012 - 0.25 * aside + 0.030 * np.clip((aside - 0.042) / 0.02, 0, 1)
    front = p[:, 2] > m[127, 2] + 0.004
    back_low = m[152, 1] + 0.012
    back = np.where(p[:, 2] > m[127, 2] - 0.04, m[127, 1] - 0.012, back_low)
    grows = np.where(front, p[:, 1] > hairline, p[:, 1] > back)
    if role.hat == "beanie":
        grows &= p[:, 1] < m[10, 1] + 0.02
    _, roots, normals = skin.scatter(grows.astype(float), _COUNT[role.hair], rng)
    centre = np.array([0, m[10, 1] - 0.01, m[10, 2] - 0.085])
    extent = np.array([0.078, 0.108, 0.098])
    n, length = len(roots), _LENGTH[role.hair] * rng.uniform(0.8, 1.15, len(roots))
    steps = {"crop": 2, "short": 6, "curls": 14}.get(role.hair, 16)
    side = np.tanh((roots[:, 0] - 0.012 + rng.normal(0, 0.004, n)) / 0.02)
    ahead = np.clip((roots[:, 2] - centre[2]) / 0.08, -1, 1)
    comb = {
        "crop": np.stack([0.2 * side, np.full(n, -0.2), 0.6 * ahead], 1),
        "short": np.stack([0.75 * side, -0.45 + 0.5 * ahead, 0.45 * ahead - 0.3], 1),
        "curls": rng.normal(size=(n, 3)) * 0.6,
        "bun": np.array([0, m[10, 1] + 0.02, centre[2] - 0.11]) - roots,
    }.get(role.hair, np.stack([1.1 * side, np.full(n, -0.55), -0.45 * np.clip(ahead, 0, 1) - 0.2], 1))
    comb = comb / np.maximum(np.linalg.norm(comb, axis=1, keepdims=True), 1e-9) + 0.10 * rng.normal(size=(n, 3))
    stand = {"crop": 0.9, "short": 0.32, "curls": 1.2, "bun": 0.02}.get(role.hair, 0.16)
    fall = {"crop": 0.0, "short": 0.05, "curls": 0.06, "bun": 0.0}.get(role.hair, 0.42)
    puff = {"crop": 0.004, "short": 0.013, "curls": 0.05, "bun": 0.006}.get(role.hair, 0.016) * rng.random(n)
    clump = rng.normal(size=(64, 3))[(np.abs(roots @ np.array([917.0, 653.0, 811.0])).astype(int)) % 64]
    direction = comb + stand * normals
    points, at = np.empty((n, steps + 1, 3)), roots
    points[:, 0] = at
    for k in range(steps):
        direction = direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
        bend = 0.0
        if role.hair == "curls":
            phase = 1.9 * k + 6 * rng.random((n, 1)) * (k == 0) + clump[:, :1]
            bend = 0.9 * np.concatenate([np.cos(phase), np.sin(phase * 1.3), np.sin(phase)], 1)
        at = at + (direction + bend) * (length / steps)[:, None] + 0.0004 * clump
        q = (at - centre) / (extent + puff[:, None])
        inside = np.maximum(1 / np.maximum(np.linalg.norm(q, axis=1), 1e-9), 1)
        above_neck = at[:, 1] > m[152, 1] - 0.005
        at = np.where(above_neck[:, None], centre + (at - centre) * inside[:, None], at)
        shoulder = m[152, 1] - 0.10 - 0.35 * np.maximum(np.abs(at[:, 0]) - 0.06, 0)
        rests = (np.abs(at[:, 0]) < 0.2) & (at[:, 2] < 0.02)
        at[:, 1] = np.where(rests, np.maximum(at[:, 1], shoulder), at[:, 1])
        if role.hair == "bun":
            outward = (at - centre) / np.linalg.norm(at - centre, axis=1, keepdims=True)
            pull = np.array([0, m[10, 1] + 0.02, centre[2] - 0.11]) - at
            direction = pull - outward * (pull * outward).sum(1, keepdims=True)
        else:
            direction = direction + np.array([0, -fall, 0])
        points[:, k + 1] = at
    face = (np.abs(points[..., 0]) < 0.052) & (points[..., 1] < m[9, 1] + 0.004) & (points[..., 1] > m[152, 1])
    face &= points[..., 2] > m[33, 2] - 0.012
    points = points[~face.any(1)]
    if role.hair == "bun":
        points = np.concatenate([points, _knot(np.array([0, m[10, 1] + 0.02, centre[2] - 0.115]), steps, rng)])
    radius = {"crop": 0.00010, "curls": 0.00022}.get(role.hair, 0.00017)
    return Strands("hair", points, radius, LABEL_INDEX["hair"])


def _knot(at: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    count = 2500
    turn = rng.uniform(0, 2 * np.pi, (count, 1)) + np.linspace(0, 2.5, steps + 1)
    polar = np.arccos(rng.uniform(-0.9, 0.9, (count, 1)))
    shell = 0.034 * rng.uniform(0.8, 1, (count, 1))
    ring = [np.sin(polar) * np.cos(turn), np.cos(polar) + 0 * turn, np.sin(polar) * np.sin(turn)]
    return at + shell[..., None] * np.stack(ring, -1)


def _brows(role: Role, skin: _Skin, marks: np.ndarray, rng: np.random.Generator) -> Strands:
    parts = []
    for upper, lower in zip(BROWS, LOWER_BROWS, strict=True):
        top, bottom = marks[list(upper)], marks[list(lower)]
        count = 420
        t, s = rng.random(count), np.clip(rng.normal(0.5, 0.22, count), 0, 1)
        knots = np.linspace(0, 1, 5)
        line = CubicSpline(knots, top)(t) * s[:, None] + CubicSpline(knots, bottom)(t) * (1 - s[:, None])
        near = _nearest(skin, line)
        shift = skin.posed[skin.faces[near]].mean(1) - skin.rest[skin.faces[near]].mean(1)
        root = line + shift
        out = np.sign(line[:, 0])
        inner = t  # landmarks run from the temple to the nose
        lean = np.radians(20 + 55 * inner**2 + rng.normal(0, 10, count))
        way = np.stack([out * np.cos(lean), np.sin(lean), np.full(count, 0.1)], 1)
        length = rng.uniform(0.005, 0.009, count)
        k = np.linspace(0, 1, 4)[None, :, None]
        bow = np.array([0, -0.0012, -0.0006]) * k**2
        parts.append(root[:, None] + np.array([0, 0, 0.0006]) + way[:, None] * length[:, None, None] * k + bow)
    return Strands("brow", np.concatenate(parts), BROW_RADIUS, LABEL_INDEX["brows"])


def _nearest(skin: _Skin, points: np.ndarray) -> np.ndarray:
    return np.asarray(KDTree(skin.middle).query(points)[1])


def _lashes(role: Role, skin: _Skin, marks: np.ndarray, rng: np.random.Generator) -> Strands:
    parts = []
    for rim in LID_RIMS:
        curve = CubicSpline(np.linspace(0, 1, len(rim)), marks[list(rim)])
        t = rng.uniform(0.04, 0.94, 130)
        at = curve(t)
        near = _nearest(skin, at)
        root = at + skin.posed[skin.faces[near]].mean(1) - skin.rest[skin.faces[near]].mean(1)
        across = (at[:, 0] - marks[list(rim), 0].mean()) / 0.02
        way = np.stack([0.5 * across, np.full(130, 0.15), np.full(130, 0.85)], 1)
        length = LASH_LENGTH * rng.uniform(0.7, 1.1, 130) * (1 + 0.3 * role.lips)
        k = np.linspace(0, 1, 4)[None, :, None]
        parts.append(root[:, None] + way[:, None] * length[:, None, None] * k + np.array([0, 0.0035, 0]) * k**2)
    return Strands("lash", np.concatenate(parts), 0.00008, LABEL_INDEX["skin"])


def _beard(role: Role, skin: _Skin, marks: np.ndarray, rng: np.random.Generator) -> Strands:
    m, p = marks, skin.middle
    line = m[205, 1] - 0.012 + 0.3 * np.maximum(np.abs(p[:, 0]) - 0.025, 0)
    lips = (np.abs(p[:, 0]) < np.abs(m[61, 0]) + 0.003) & (p[:, 1] < m[0, 1] + 0.0015) & (p[:, 1] > m[17, 1] - 0.002)
    area = (p[:, 1] < np.minimum(line, m[2, 1] - 0.002)) & (p[:, 1] > m[152, 1] - 0.022)
    area &= (p[:, 2] > m[234, 2] + 0.002) & ~lips
    if role.beard == "moustache":
        area &= (p[:, 1] > m[0, 1]) & (np.abs(p[:, 0]) < np.abs(m[61, 0]) + 0.002)
    count = 5000 if role.beard == "moustache" else 14_000
    _, roots, normals = skin.scatter(area.astype(float), count, rng)
    way = 0.55 * normals + np.array([0, -0.75, 0.1]) + 0.25 * rng.normal(size=roots.shape)
    way[:, 0] += 0.3 * np.sign(roots[:, 0]) * (role.beard == "moustache")
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    length = (0.009 if role.beard == "moustache" else 0.018) * rng.uniform(0.6, 1.2, count)
    k = np.linspace(0, 1, 5)[None, :, None]
    points = roots[:, None] + way[:, None] * length[:, None, None] * k + np.array([0, -0.004, 0]) * k**2
    return Strands("beard", points, 0.00013, LABEL_INDEX["facial_hair"])
