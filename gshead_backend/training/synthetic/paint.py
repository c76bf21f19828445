"""Layered procedural skin: linear albedo and gloss of a face at the points of a canvas."""

from __future__ import annotations

import itertools

import numpy as np

from .face_spec import FaceSpec
from .surface import Canvas

# Landmarks of mediapipe's face mesh around which layers are placed.
_CHEEKS, _NOSE, _UNDER_EYES, _NOSTRILS = (50, 280), (4,), (230, 450), (98, 327)
_FOLDS = ((129, 206, 216, 57), (358, 426, 436, 287))
_BAGS = ((228, 229, 230, 231, 232), (448, 449, 450, 451, 452))
_CROW = (226, 446)


def noise(points: np.ndarray, wavelength: float, rng: np.random.Generator, waves: int = 20) -> np.ndarray:
    """(N,) smooth noise of unit variance: a sum of random plane waves."""
    k = rng.normal(size=(3, waves)) / wavelength
    phase = rng.uniform(0, 2 * np.pi, waves)
    return np.cos((2 * np.pi * points @ k + phase).astype(np.float32)).sum(1) * np.sqrt(2 / waves)


def step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smoothstep; falls when ``high`` < ``low``."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(color: np.ndarray, other: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return color + (other - color) * np.clip(weight, 0, 1)[:, None]


def spot(c: Canvas, landmarks: tuple[int, ...], sigma: float) -> np.ndarray:
    """(N,) Gaussian bumps around landmarks of the mean head; sigma in metres."""
    at = c.surface.landmarks[list(landmarks)]
    d2 = ((c.rest[:, None] - at[None]) ** 2).sum(-1)
    return np.exp(-0.5 * d2.min(1) / sigma**2)


def skin_layers(c: Canvas, face: FaceSpec, cap: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) linear albedo of skin and lips (without brows and beard), and (N,) gloss.

    Args:
        cap: (V,) 0..1, how far hair covers the scalp: its roots shine through.
    """
    rng = np.random.default_rng([face.seed, 1])
    x, light = c.rest, 1 - face.melanin
    color = np.tile(face.skin_color, (len(x), 1))
    broad, middle, fine = noise(x, 0.05, rng), noise(x, 0.012, rng), noise(x, 0.0035, rng)
    strength = face.mottling * (0.5 + 0.5 * light)
    color *= np.exp((0.04 * broad + 0.035 * middle + 0.025 * fine) * face.mottling)[:, None]
    red = strength * (0.14 * middle + 0.08 * broad) * c.front
    red = red + (0.25 + 0.55 * face.blush) * spot(c, _CHEEKS, 0.017) * (0.4 + 0.6 * light)
    red += (
        0.5 * spot(c, _NOSE, 0.011) * (0.4 + 0.6 * light) + 0.5 * c.ear * light + 0.2 * spot(c, (152,), 0.014) * light
    )
    color *= np.exp(-np.maximum(red, -0.2)[:, None] * np.array([0.02, 0.26, 0.22]))
    socket = spot(c, _UNDER_EYES, 0.008) * (0.25 + 0.5 * face.wrinkles) + 0.22 * step(c.eye.min(1), 0.009, 0.001)
    color *= np.exp(-socket[:, None] * np.array([0.30, 0.42, 0.30]))
    color *= np.exp(-0.9 * spot(c, _NOSTRILS, 0.0028))[:, None]
    color *= np.exp(-0.12 * c.neck * light)[:, None]
    color = _spots(c, face, color, rng)
    color = _age(c, face, color, rng)
    color = _makeup(c, face, color, rng)
    color, lip = _lips(c, face, color, rng)
    color = _scalp(c, face, color, cap)
    oily = 0.22 + 0.25 * spot(c, (151, 4, 6), 0.018) + 0.12 * fine.clip(-1, 1)
    return np.clip(color, 0.003, 0.9), np.clip(oily + 0.35 * lip * (1 + face.makeup), 0.02, 1)


def _spots(c: Canvas, face: FaceSpec, color: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Freckles over nose and cheeks, moles anywhere, age spots."""
    skin = np.flatnonzero(c.surface.skin)
    for count, radius, dark, where in (
        (int(420 * face.freckles), (0.0006, 0.0014), (0.22, 0.5, 0.75), "nose"),
        (int(14 * face.moles), (0.0008, 0.0019), (0.9, 1.3, 1.5), "all"),
        (int(26 * face.wrinkles * (1 - face.melanin)), (0.002, 0.005), (0.2, 0.32, 0.4), "all"),
    ):
        if not count:
            continue
        at = c.surface.vertices[rng.choice(skin, count)] + rng.normal(0, 0.002, (count, 3))
        if where == "nose":
            centre = c.surface.landmarks[6] + [0, -0.012, 0]
            near = rng.random(count) < np.exp(-0.5 * (((at - centre) / [0.055, 0.03, 0.05]) ** 2).sum(1))
            extra = c.surface.landmarks[rng.choice([50, 280, 205, 425, 4, 197, 117, 346, 107, 336], count)]
            at = np.where(near[:, None], at, extra + rng.normal(0, 0.012, (count, 3)))
        size = rng.uniform(*radius, count)
        for p, r in zip(at, size, strict=True):
            close = np.flatnonzero(np.abs(c.rest - p).max(1) < 3 * r)
            amount = np.exp(-0.5 * (((c.rest[close] - p) / r) ** 2).sum(1))[:, None]
            color[close] *= np.exp(-amount * np.array(dark))
    return color


def _age(c: Canvas, face: FaceSpec, color: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Folds beside the mouth, lines on the brow and around the eyes, painted as the shade they hold."""
    if face.wrinkles < 0.02:
        return color
    shade = np.zeros(len(color))
    for ring in _FOLDS:
        shade = np.maximum(shade, 0.85 * step(_to_line(c, ring), 0.0034, 0.0))
    wobble = 0.0025 * noise(c.rest * [0.4, 0, 0], 0.02, rng)
    for k in range(4):
        y = c.surface.landmarks[151, 1] - 0.004 + 0.0085 * k + 0.0015 * rng.standard_normal()
        line = step(np.abs(c.rest[:, 1] - y - wobble), 0.0012, 0.0) * step(np.abs(c.rest[:, 0]), 0.042, 0.02) * c.front
        shade = np.maximum(shade, 0.6 * line)
    for corner in _CROW:
        d = c.rest - c.surface.landmarks[corner]
        out = d[:, 0] * np.sign(c.surface.landmarks[corner, 0])
        fan = np.cos(np.arctan2(d[:, 1], np.maximum(out, 1e-4)) * 9)
        shade = np.maximum(shade, 0.55 * step(fan, 0.75, 1.0) * step(out, 0.002, 0.006) * step(out, 0.02, 0.01))
    for ring in _BAGS:
        shade = np.maximum(shade, 0.7 * step(_to_line(c, ring), 0.003, 0.0))
    return color * np.exp(-(face.wrinkles * shade)[:, None] * np.array([0.5, 0.75, 0.7]))


def _to_line(c: Canvas, ring: tuple[int, ...]) -> np.ndarray:
    """(N,) metres to the polyline through landmarks."""
    points = c.surface.landmarks[list(ring)]
    best = np.full(len(c.rest), np.inf)
    for a, b in itertools.pairwise(points):
        t = np.clip(((c.rest - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
        best = np.minimum(best, np.linalg.norm(c.rest - a - t[:, None] * (b - a), axis=1))
    return best


def _makeup(c: Canvas, face: FaceSpec, color: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if face.makeup < 0.05:
        return color
    color = mix(color, face.skin_color * 1.03, np.full(len(color), 0.4 * face.makeup))
    rouge = np.array([0.55, 0.16, 0.15]) * (0.35 + 0.65 * (1 - face.melanin))
    color = mix(color, rouge, 0.35 * face.makeup * spot(c, (117, 346), 0.014))
    shadow = np.array([[0.10, 0.06, 0.06], [0.25, 0.13, 0.09], [0.10, 0.12, 0.20], [0.16, 0.07, 0.14]])[rng.integers(4)]
    above = step(c.rest[:, 1] - c.surface.landmarks[[33, 263], 1].mean(), -0.001, 0.004)
    return mix(color, shadow, 0.7 * face.makeup * step(c.eye.min(1), 0.009, 0.0015) * above * c.front)


def _lips(c: Canvas, face: FaceSpec, color: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    soft = 0.0008 if face.makeup > 0.25 else 0.0018
    inside = step(c.lip, soft, -soft) * c.front
    inside = np.maximum(inside, c.lips * c.front)
    lines = 1 + 0.10 * np.sin(c.rest[:, 0] * 2 * np.pi / 0.0021 + 1.5 * noise(c.rest, 0.006, rng))
    tone = face.lip_color * (lines * np.exp(0.06 * noise(c.rest, 0.005, rng)))[:, None]
    return mix(color, tone, face.lip_strength * inside), inside


def _scalp(c: Canvas, face: FaceSpec, color: np.ndarray, cap: np.ndarray | None) -> np.ndarray:
    if cap is None:
        return color
    return mix(color, face.hair_color * 0.7 + 0.05 * face.skin_color, 0.85 * c.at(cap))


def eye_layers(c: Canvas, face: FaceSpec) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) linear albedo of eyeballs at rest and (N,) gloss."""
    rng = np.random.default_rng([face.seed, 2])
    color, gloss = np.zeros((len(c.rest), 3)), np.ones(len(c.rest))
    veins = noise(c.rest, 0.0025, rng)
    radius = _iris_angle(c)
    for joint, part in ((3, "eye_left"), (4, "eye_right")):
        mine = np.flatnonzero(c.is_part(part))
        if not mine.size:
            continue
        ray = c.rest[mine] - c.surface.head.joints[joint]
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        angle, turn = np.arccos(np.clip(ray[:, 2], -1, 1)), np.arctan2(ray[:, 1], ray[:, 0])
        white = np.array([0.66, 0.62, 0.585]) * (1 - 0.10 * face.wrinkles * np.array([0, 0.5, 1.5]))
        ball = white * np.exp(-0.07 * np.maximum(veins[mine], 0)[:, None] * np.array([0, 1, 1]))
        ball *= np.exp(-step(angle, 0.5, 1.0)[:, None] * np.array([0.15, 0.35, 0.35]))
        t = angle / radius
        spokes = 1 + 0.32 * np.sin(23 * turn + 2 * np.sin(5 * turn)) * step(t, 0.35, 0.7)
        iris = face.iris_color * (spokes * (1.5 - 0.7 * t))[:, None]
        iris = mix(iris, face.iris_color * [1.5, 1.0, 0.5], 0.6 * step(t, 0.62, 0.42))
        iris = mix(iris, face.iris_color * 0.18, step(t, 0.82, 1.0))
        ball = mix(ball, iris, step(angle, radius * 1.04, radius * 0.96))
        pupil = radius * face.pupil / 0.38
        color[mine] = mix(ball, np.full((1, 3), 0.004), step(angle, pupil * 1.06, pupil * 0.94))
    return color, gloss


def _iris_angle(c: Canvas) -> float:
    """Radians of half opening of an iris of 5.9 mm radius."""
    mine = c.surface.vertices[c.surface.vertex_part == 1]
    radius = np.median(np.linalg.norm(mine - c.surface.head.joints[3], axis=1)) if len(mine) else 0.0125
    return float(np.arcsin(np.clip(0.0059 / radius, 0.2, 0.6)))


def mouth_layers(c: Canvas, face: FaceSpec) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) linear albedo of teeth, gums, tongue and cavity, and (N,) gloss."""
    rng = np.random.default_rng([face.seed, 3])
    flesh = np.array([0.34, 0.115, 0.105]) * np.exp(rng.normal(0, 0.1))
    color = np.tile(flesh, (len(c.rest), 1)) * np.exp(0.08 * noise(c.rest, 0.004, rng))[:, None]
    tooth = np.array([0.60, 0.50, 0.36]) + face.teeth * np.array([0.12, 0.17, 0.24])
    teeth = c.is_part("teeth")
    color[teeth] = tooth * np.exp(0.05 * noise(c.rest[teeth], 0.004, rng))[:, None]
    tongue = c.is_part("tongue")
    color[tongue] = flesh * [1.25, 1.15, 1.2]
    color[c.is_part("socket")] = face.skin_color * [0.9, 0.5, 0.45]
    color[c.is_part("cavity")] *= 0.35
    return color, np.where(teeth, 0.5, 0.35)
