"""Glasses fitted to a person's eyes, nose and ears."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...head.model import HeadModel
from ...head.skinning import PersonalHead
from ...portrait.labels import LABEL_INDEX
from .fabric import sheet
from .hairs import along, no_surfels, surfels
from .style_spec import StyleSpec
from .surfels import ANCHORS, Surfels, join

_SHAPES = {"round": (0.0225, 0.0215, 2.0), "square": (0.0265, 0.0195, 4.5), "rimless": (0.0255, 0.018, 3.0),
           "thick": (0.0265, 0.021, 3.2), "sunglasses": (0.0285, 0.0235, 2.8)}  # fmt: skip
"""Half width, half height in metres, and the exponent of the superellipse."""
_WIRE = {"round": 0.0009, "square": 0.0013, "rimless": 0.0005, "thick": 0.0023, "sunglasses": 0.0016}


def glasses_surfels(head: HeadModel, person: PersonalHead, style: StyleSpec, rng: np.random.Generator) -> Surfels:
    """Frame, temples and lenses; nothing when ``style.glasses`` is "none"."""
    if style.glasses == "none":
        return no_surfels()
    marks = landmark_points(head, person)
    half_x, half_y, power = _SHAPES[style.glasses]
    size = np.linalg.norm(marks[33, :2] - marks[263, :2]) / 0.088
    half_x, half_y = half_x * size * rng.uniform(0.93, 1.08), half_y * size * rng.uniform(0.9, 1.1)
    wire = _WIRE[style.glasses]
    z = max(marks[[168, 105, 334, 159, 386, 50, 280], 2].max() + 0.002, marks[[159, 386], 2].mean() + 0.016)
    parts, color = [], np.asarray(style.frame_color)
    angle = np.linspace(0, 2 * np.pi, 121)
    outline = np.stack([_power(np.cos(angle), 2 / power) * half_x, _power(np.sin(angle), 2 / power) * half_y], 1)
    corners = []
    for ring, sign in (((33, 133), -1), ((263, 362), 1)):
        centre = marks[list(ring)].mean(0)
        at = np.stack([centre[0] + sign * 0.001 + outline[:, 0], centre[1] - 0.002 + outline[:, 1], np.full(121, z)], 1)
        at[:, 2] -= 0.9 * np.maximum(np.abs(at[:, 0]) - 0.03, 0) ** 2 / 0.03  # frames bend around the face
        parts.append(_wire(at, wire, color, 0.35 if style.glasses == "rimless" else 0.97))
        parts.append(_lens(at, style, rng))
        corners.append(at[np.argmax(sign * at[:, 0])] + [0, 0.3 * half_y, 0])
        inner = at[np.argmin(sign * at[:, 0] - 0.2 * at[:, 1])]
        parts.append(_wire(_curve(inner, np.array([0, inner[1] + 0.003, z + 0.003])), wire, color, 0.97))
    for corner, ear in zip(corners, (234, 454), strict=True):
        side = np.sign(corner[0])
        hook = np.array([1.04 * marks[ear, 0] + side * 0.006, marks[127, 1] + 0.012, marks[ear, 2] - 0.012])
        parts.append(_wire(_curve(corner, hook, 40), wire * 1.2, color, 0.97))
    return join(*parts)


def landmark_points(head: HeadModel, person: PersonalHead) -> np.ndarray:
    """(468, 3) on the neutral head."""
    corners = person.rest[head.faces[head.landmark_triangles]]
    return np.einsum("lk,lkc->lc", head.landmark_bary, corners).astype(np.float64)


def _power(v: np.ndarray, exponent: float) -> np.ndarray:
    return np.sign(v) * np.abs(v) ** exponent


def _curve(a: np.ndarray, b: np.ndarray, count: int = 8) -> np.ndarray:
    return a + np.linspace(0, 1, count)[:, None] * (b - a)


def _wire(at: np.ndarray, radius: float, color: np.ndarray, opacity: float) -> Surfels:
    """A round bar along points (K, 3)."""
    a, b = at[:-1], at[1:]
    toward = np.tile([0.0, 0.2, 1.0], (len(a), 1)) + np.stack([3 * (a[:, 0]), 0 * a[:, 0], 0 * a[:, 0]], 1) * 8
    made = along(a, b, toward, 0.62 * radius)
    made["scales"][:, 0] = np.maximum(0.62 * np.linalg.norm(b - a, axis=1), 0.62 * radius)
    made["scales"][:, 2] = 0.62 * radius
    return surfels(made, np.tile(color, (len(a), 1)), "glasses", opacity=opacity, gloss=0.8,
                   anchor=ANCHORS.index("cranium"))  # fmt: skip


def _lens(outline: np.ndarray, style: StyleSpec, rng: np.random.Generator) -> Surfels:
    """The glass: dark in sunglasses, else clear, with what it mirrors. Clear glass is labelled background: it says
    nothing of what lies behind it, which keeps its own label."""
    centre, step = outline.mean(0), 0.0011
    low, high = outline.min(0), outline.max(0)
    x, y = np.meshgrid(np.arange(low[0], high[0], step), np.arange(low[1], high[1], step))
    p = np.stack([x.ravel(), y.ravel()], 1) - centre[:2]
    radius = np.linalg.norm(outline[:, :2] - centre[:2], axis=1)
    bearing = np.arctan2(outline[:, 1] - centre[1], outline[:, 0] - centre[0])
    order = np.argsort(bearing)
    limit = np.interp(np.arctan2(p[:, 1], p[:, 0]), bearing[order], radius[order], period=2 * np.pi)
    p = p[np.linalg.norm(p, axis=1) < limit]
    at = np.concatenate([p + centre[:2], np.full((len(p), 1), outline[:, 2].max() - 0.001)], 1)
    at[:, 2] -= 0.9 * np.maximum(np.abs(at[:, 0]) - 0.03, 0) ** 2 / 0.03
    dark = style.glasses == "sunglasses"
    tint = np.array([0.012, 0.011, 0.010]) if dark else np.array([0.55, 0.6, 0.65])
    normal = np.tile([0.0, 0.0, 1.0], (len(at), 1)) + np.stack([6 * p[:, 0], 6 * p[:, 1], 0 * p[:, 0]], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    glass = sheet(at, normal, np.full(len(at), step), at, tint, tint, "plain", "glasses", rng,
                  opacity=0.9 if dark else 0.035, gloss=1.0)  # fmt: skip
    room = np.random.default_rng([style.seed, 8])  # the same in both lenses
    shine = _mirrored(p / np.abs(p).max(0), room)
    if dark:
        return replace(glass, albedo=np.clip(glass.albedo + 0.5 * shine[:, None], 0, 0.9))
    return replace(
        glass, albedo=np.clip(glass.albedo + 0.3 * shine[:, None], 0, 0.9),
        opacities=glass.opacities + room.uniform(0.1, 0.75) * shine,
        labels=np.full(len(glass), LABEL_INDEX["background"], np.uint8),
    )  # fmt: skip


def _mirrored(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) 0..1, how bright the room is that a lens mirrors at points (N, 2) in -1..1: sky, windows, blinds."""
    if rng.random() < 0.35:
        return np.zeros(len(p))
    out = rng.uniform(0, 0.35) * np.clip(p[:, 1] + rng.uniform(-0.3, 0.5), 0, 1)
    for _ in range(rng.integers(0, 3)):
        middle, half = rng.uniform(-0.8, 0.8, 2), rng.uniform(0.12, 0.6, 2)
        q = (p - middle) @ np.array([[1, rng.normal(0, 0.25)], [rng.normal(0, 0.25), 1]])
        pane = (np.abs(q) < half).all(1) * rng.uniform(0.3, 1)
        if rng.random() < 0.4:
            pane *= np.abs(q).min(1) > 0.06  # with a cross
        out = np.maximum(out, pane)
    return out
