"""Single hairs on the face as thin surfels: brows, lashes, stubble and beards."""

from __future__ import annotations

import numpy as np

from ...head.rotation import matrix_to_quat
from ...portrait.labels import LABEL_INDEX
from .face_spec import FaceSpec
from .paint import noise, step
from .surface import Canvas
from .surfels import Surfels, join


def along(start: np.ndarray, end: np.ndarray, normal: np.ndarray, width: np.ndarray | float) -> dict[str, np.ndarray]:
    """means, quats, scales and normals of thin Gaussians between points (N, 3), flat toward ``normal``."""
    axis = end - start
    length = np.linalg.norm(axis, axis=1)
    x = axis / np.maximum(length, 1e-9)[:, None]
    z = normal - x * (normal * x).sum(1, keepdims=True)
    z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-9)
    y = np.cross(z, x)
    w = np.broadcast_to(width, length.shape)
    return {
        "means": (start + end) / 2, "quats": _quats(x, y, z),
        "scales": np.stack([np.maximum(0.30 * length, w), w, 0.7 * w], 1), "normals": z,
    }  # fmt: skip


def _quats(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return matrix_to_quat(np.stack([x, y, z], -1))


def surfels(
    geometry: dict[str, np.ndarray], albedo: np.ndarray, label: str, *, opacity: np.ndarray | float = 0.85,
    gloss: float = 0.15, anchor: int = 0,
) -> Surfels:  # fmt: skip
    """Surfels of one kind."""
    n = len(geometry["means"])
    full = np.full(n, 1.0)
    return Surfels(
        geometry["means"], geometry["quats"], geometry["scales"], full * opacity, np.clip(albedo, 0, 0.95),
        geometry["normals"], full * gloss, np.full(n, LABEL_INDEX[label], np.uint8), np.full(n, anchor, np.uint8),
    )  # fmt: skip


def brows(c: Canvas, position: np.ndarray, normal: np.ndarray, face: FaceSpec, rng: np.random.Generator) -> Surfels:
    """Hairs that rise at the inner end and lie down toward the outer one."""
    half = 0.0031 * face.brow_thickness
    parts = []
    for side in (0, 1):
        d, t = c.brow[:, side], c.brow_along[:, side]
        taper = half * np.clip(np.minimum(0.75 + 1.2 * t, 1.45 * (1.06 - t) + 0.25), 0.12, 1)
        shifted = d + 0.0008
        inside = step(np.abs(shifted) / np.maximum(taper, 1e-5), 1.2, 0.7)
        chance = inside * (t > 0.0) * (t < 1.0) * c.front * (c.part == 0)
        weight = chance * c.spacing**2
        if weight.sum() <= 0:
            continue
        count = int(520 * face.brow_density * face.brow_thickness)
        pick = rng.choice(len(d), count, p=weight / weight.sum())
        jitter = rng.normal(0, 0.0004, (count, 3))
        start = position[pick] + jitter
        sign = -1.0 if side == 0 else 1.0
        lean = np.radians(62 - 62 * t[pick] + np.where(shifted[pick] > 0, -28, 12) + rng.normal(0, 13, count))
        direction = np.stack([sign * np.cos(lean), np.sin(lean), np.full(count, -0.15)], 1)
        n = normal[pick]
        direction -= n * (direction * n).sum(1, keepdims=True)
        length = rng.uniform(0.0035, 0.0075, count) * (0.75 + 0.35 * face.brow_thickness)
        end = start + direction * length[:, None] + n * 0.0007
        shade = face.brow_color * np.exp(rng.normal(0, 0.22, count))[:, None]
        parts.append(
            surfels(along(start + n * 0.0003, end, n, 0.00016), shade, "brows", opacity=0.22 + 0.35 * face.brow_density)
        )
    return _join(parts)


def lashes(c: Canvas, position: np.ndarray, normal: np.ndarray, face: FaceSpec, rng: np.random.Generator) -> Surfels:
    """Along the edges of the lids, longer above."""
    parts = []
    marks = c.surface.landmarks
    for side in (0, 1):
        edge = np.abs(c.eye[:, side]) < 0.0011
        pick = np.flatnonzero(edge & (c.part == 0) & (c.front > 0.5))
        if pick.size < 8:
            continue
        pick = rng.choice(pick, 240)
        corner = marks[[33, 133]] if side == 0 else marks[[263, 362]]
        middle = corner.mean(0)
        upper = c.rest[pick, 1] > middle[1] + 0.0004
        keep = upper | (rng.random(240) < 0.35)
        pick, upper = pick[keep], upper[keep]
        across = (c.rest[pick, 0] - middle[0]) / 0.016
        direction = np.stack([0.75 * across, np.where(upper, 0.35, -0.75), np.full(pick.size, 0.75)], 1)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = np.where(upper, 0.0046, 0.0022) * (0.7 + 0.9 * face.makeup) * rng.uniform(0.7, 1.2, pick.size)
        start = position[pick]
        tone = np.minimum(face.brow_color, 0.05) * (1 - 0.7 * face.makeup) + 0.003
        albedo = np.tile(tone, (pick.size, 1))
        made = along(start, start + direction * length[:, None], normal[pick], 0.0001)
        parts.append(surfels(made, albedo, "skin", opacity=0.4 + 0.5 * face.makeup))
    return _join(parts)


def beard_area(c: Canvas, kind: str, seed: int) -> np.ndarray:
    """(N,) 0..1, where a kind of beard grows; ``seed`` of its ragged border."""
    m = c.surface.landmarks
    rng = np.random.default_rng([seed, 6])
    x, y, z = c.rest.T
    y = y + 0.003 * noise(c.rest, 0.014, rng) + 0.0015 * noise(c.rest, 0.004, rng)
    x = x + 0.003 * noise(c.rest, 0.011, rng)
    mouth, chin, nose = m[[13, 14]].mean(0), m[152], m[2]
    below_nose = step(c.rest[:, 1], nose[1] + 0.001, nose[1] - 0.003)
    off_lips = step(c.lip, 0.0005, 0.003)
    front = step(z, m[234, 2] - 0.004, m[234, 2] + 0.012)
    low = 0.5 * (mouth[1] + 0.010 + m[[50, 280], 1].mean() - 0.016)
    line = low + (0.35 + 0.5 * rng.random()) * np.maximum(np.abs(x) - 0.028, 0)  # from the mouth up to the ears
    over_lip = step(np.abs(x), 0.036, 0.022)
    cheek = np.maximum(step(y, line + 0.006, line - 0.010), over_lip) * front
    throat = step(y, chin[1] - 0.050, chin[1] - 0.014)
    whole = cheek * below_nose * off_lips * throat * (c.part == 0)
    near = step(np.abs(x) + 0.35 * np.maximum(mouth[1] + 0.006 - y, 0), 0.034, 0.020)
    moustache = whole * near * step(y, mouth[1] - 0.004, mouth[1] + 0.004) * (z > mouth[2] - 0.03)
    if kind == "moustache":
        return moustache
    if kind == "goatee":
        return whole * step(np.abs(x), 0.034, 0.024) * (z > chin[2] - 0.035)
    if kind == "none":
        return np.zeros(len(x))
    under = step(y, mouth[1] - 0.012, mouth[1] - 0.005) * (y < mouth[1])  # thin beside the middle of the lower lip
    soul = 1 - 0.6 * step(np.abs(x), 0.02, 0.012) * under
    return whole * soul


def beard(c: Canvas, position: np.ndarray, normal: np.ndarray, face: FaceSpec, rng: np.random.Generator) -> Surfels:
    """Moustache, goatee or beard as short strands that hang and leave the skin."""
    area = beard_area(c, face.beard, face.seed)
    if face.beard in ("none", "stubble") or area.sum() <= 0:
        return _join([])
    weight = area * c.spacing**2
    weight *= 1 + 0.35 * np.clip(noise(c.rest, 0.01, rng), -1, 1)
    count = {"moustache": 2600, "goatee": 3600, "full": 9000, "long": 10000}[face.beard]
    pick = rng.choice(len(area), count, p=weight / weight.sum())
    thick = {"moustache": 0.006, "goatee": 0.009, "full": 0.010, "long": 0.034}[face.beard] * rng.uniform(0.7, 1.3)
    edge = np.clip(area[pick], 0.15, 1)
    start = position[pick] + rng.normal(0, 0.0004, (count, 3))
    n = normal[pick]
    aside = 0.25 * np.sign(start[:, 0]) * (np.abs(start[:, 0]) > 0.004)
    down = np.stack([aside, np.full(count, -1.0), np.full(count, 0.1)], 1)
    down += 0.35 * rng.normal(size=(count, 3))
    down -= 0.8 * n * (down * n).sum(1, keepdims=True)
    down /= np.linalg.norm(down, axis=1, keepdims=True)
    length = thick * rng.uniform(0.5, 1.25, count) * edge
    first = start + (0.45 * down + 0.75 * n) * (0.5 * length)[:, None]
    second = first + (0.9 * down + 0.25 * n) * (0.7 * length)[:, None]
    gray = (rng.random(count) < 0.25 * face.wrinkles)[:, None] * 0.25
    base = face.hair_color * 0.85 * np.exp(rng.normal(0, 0.25, count))[:, None] + gray
    inner = surfels(along(start, first, n, 0.00026), base * 0.7, "facial_hair", opacity=0.75)
    outer = surfels(along(first, second, n, 0.00024), base, "facial_hair", opacity=0.7)
    return _join([inner, outer])


def no_surfels() -> Surfels:
    """Nothing."""
    return _join([])


def _join(parts: list[Surfels]) -> Surfels:
    if parts:
        return join(*parts)
    empty = np.zeros((0, 3))
    return Surfels(empty, np.zeros((0, 4)), empty, np.zeros(0), empty, empty, np.zeros(0), np.zeros(0, np.uint8),
                   np.zeros(0, np.uint8))  # fmt: skip
