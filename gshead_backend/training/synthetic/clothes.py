"""Clothes on the shoulders: cloth over the torso, continued below the bust, with collars and lapels."""

from __future__ import annotations

import numpy as np

from ...head.model import HeadModel
from ...head.skinning import PersonalHead
from .fabric import sheet
from .glasses import landmark_points
from .hair import CANVAS
from .hairs import no_surfels
from .necklines import COLLARLESS, Neckline, neckline
from .paint import step
from .style_spec import StyleSpec
from .surface import Canvas, canvas, personal_frame
from .surfels import Surfels, join


def clothes_surfels(
    head: HeadModel, person: PersonalHead, skin: np.ndarray, style: StyleSpec, rng: np.random.Generator
) -> Surfels:
    """Everything worn below the chin, and the body below the bust, bare down to the neckline.

    ``skin``: (3,) linear albedo of the bare bust.
    """
    c = canvas(head, CANVAS)
    at, normal = personal_frame(c, person)
    marks = landmark_points(head, person)
    chin = marks[152]
    throat = chin[1] - 0.045
    begins = neckline(style, chin, throat)
    y, line = at[:, 1], begins(at)
    below = (c.neck > 0.02) | (c.torso > 0.02)
    low = below & (y < line) & (c.part == 0) & (y < chin[1] - 0.004)
    thick = 0.006 + 0.008 * (style.clothes in ("sweater", "hoodie", "suit", "scarf"))
    lift = thick * step(np.minimum(line - y, 1.0), 0.0, 0.012) + 0.0015
    cloth = (at + normal * lift[:, None])[low]
    color, second = np.asarray(style.clothes_color), np.asarray(style.second_color)
    parts = []
    if low.any():
        parts.append(sheet(cloth, normal[low], 1.5 * c.spacing[low], c.rest[low], color, second, style.pattern,
                           "clothes", rng, anchor="torso"))  # fmt: skip
    parts.append(_below(at[c.torso > 0.5], thick, begins, skin, style, rng))
    parts.append(_collar(style, marks, at, c, rng, throat))
    if style.earrings and style.hat not in ("headscarf",):
        parts.append(_earrings(c, at, rng))
    return join(*parts)


def _below(
    bust: np.ndarray, thick: float, begins: Neckline, skin: np.ndarray, style: StyleSpec, rng: np.random.Generator
) -> Surfels:
    """Shoulders, chest and arms below the cut of the bust, as a loft of flat ovals, dressed up to the neckline."""
    if len(bust) < 10:
        return no_surfels()
    count = 16_000
    top, bottom = np.percentile(bust[:, 1], 45), bust[:, 1].min() - 0.75
    half = np.percentile(np.abs(bust[:, 0]), 99) + thick
    middle_z, deep = np.percentile(bust[:, 2], [5, 95]).mean(), np.ptp(np.percentile(bust[:, 2], [3, 97])) / 2 + thick
    u, angle = rng.random(count), rng.uniform(0, 2 * np.pi, count)
    y = top + (bottom - top) * u**1.6
    drop = np.clip((top - y) / 0.10, 0, 1)
    a = half * (0.93 + 0.26 * np.sqrt(drop))
    b = deep * (0.80 + 0.30 * drop)
    p = 2.6
    cx, sz = np.cos(angle), np.sin(angle)
    r = (np.abs(cx) ** p + np.abs(sz) ** p) ** (-1 / p)
    at = np.stack([a * r * cx, y, middle_z + b * r * sz], 1)
    normal = np.stack(
        [np.sign(cx) * np.abs(cx) ** (p - 1) / a, 0.25 * (1 - drop) / half, np.sign(sz) * np.abs(sz) ** (p - 1) / b], 1
    )
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    worn, spacing = at[:, 1] < begins(at), 0.0062 + 0.008 * u
    parts = [sheet(at[worn], normal[worn], spacing[worn], at[worn], np.asarray(style.clothes_color),
                   np.asarray(style.second_color), style.pattern, "clothes", rng, anchor="torso")]  # fmt: skip
    if not worn.all():
        bare = at[~worn] - thick * normal[~worn]
        parts.append(sheet(bare, normal[~worn], spacing[~worn], bare, skin, skin, "plain", "skin", rng,
                           anchor="torso", gloss=0.3))  # fmt: skip
    return join(*parts)


def _collar(
    style: StyleSpec, marks: np.ndarray, at: np.ndarray, c: Canvas, rng: np.random.Generator, throat: float
) -> Surfels:
    """A band around the neck: shirt and suit collars, turtlenecks, hoods and scarves."""
    kind = style.clothes
    if kind in COLLARLESS:
        return no_surfels()
    ring = at[(np.abs(at[:, 1] - throat) < 0.008) & (c.part == 0)]
    if len(ring) < 8:
        return no_surfels()
    centre = np.array([0, throat, (ring[:, 2].min() + ring[:, 2].max()) / 2])
    a, b = np.percentile(np.abs(ring[:, 0]), 96), np.ptp(ring[:, 2]) / 2
    height, flare, gap, puff = {"shirt": (0.032, 0.35, 0.5, 0.004), "suit": (0.034, 0.35, 0.45, 0.004),
                                "sweater": (0.012, 0.1, 0, 0.006), "turtleneck": (0.055, 0.05, 0, 0.005),
                                "hoodie": (0.03, 0.9, 0.35, 0.022), "scarf": (0.075, 0.25, 0, 0.022)}[kind]  # fmt: skip
    count = 9000
    angle, v = rng.uniform(gap, 2 * np.pi - gap, count), rng.random(count)
    wave = 0.35 * puff * np.sin(v * 12 + 3 * np.sin(angle)) if kind in ("scarf", "hoodie") else 0
    out = puff + flare * 0.02 * (1 - v) + wave + 0.003
    lift = (
        -0.02
        + height * v
        + 0.016 * (1 - np.cos(angle)) / 2
        - (0.022 if kind in ("shirt", "suit", "sweater") else 0.012)
    )
    p = np.stack([np.sin(angle) * (a + out), lift, np.cos(angle) * (b + out)], 1)
    normal = np.stack([np.sin(angle), np.full(count, 0.25), np.cos(angle)], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    color = np.array([0.7, 0.7, 0.69]) if kind == "suit" and style.seed % 3 else np.asarray(style.clothes_color)
    parts = [sheet(centre + p, normal, np.full(count, 0.0032), p, color, np.asarray(style.second_color),
                   "plain" if kind == "suit" else style.pattern, "clothes", rng, anchor="torso")]  # fmt: skip
    if kind == "suit":
        parts.append(_chest(at, c, rng, color, np.asarray(style.second_color), throat))
    return join(*parts)


def _chest(
    at: np.ndarray, c: Canvas, rng: np.random.Generator, shirt: np.ndarray, tie: np.ndarray, throat: float
) -> Surfels:
    """Shirt and tie in a suit's opening."""
    front = at[(np.abs(at[:, 0]) < 0.02) & (at[:, 2] > np.median(at[:, 2])) & (c.part == 0)]
    count = 7000
    y = rng.uniform(throat - 0.22, throat - 0.015, count)
    t = (throat - 0.015 - y) / 0.2
    x = rng.uniform(-1, 1, count) * (0.012 + 0.034 * np.clip(1.15 - t, 0, 1))
    order = np.argsort(front[:, 1])
    z = np.interp(y, front[order, 1], front[order, 2]) + 0.012 + 0.02 * np.clip(t - 0.3, 0, 1)
    p = np.stack([x, y, z - 3 * x**2], 1)
    is_tie = np.abs(x) < 0.010 + 0.02 * np.clip(t, 0, 1)
    normal = np.tile([0.0, 0.2, 0.98], (count, 1))
    p[is_tie, 2] += 0.004
    parts = []
    for mine, color, second, pattern in ((~is_tie, shirt, shirt, "plain"), (is_tie, tie, tie * 0.6, "stripes")):
        spacing = np.full(mine.sum(), 0.003)
        parts.append(
            sheet(p[mine], normal[mine], spacing, p[mine], color, second, pattern, "clothes", rng, anchor="torso")
        )
    return join(*parts)


def _earrings(c: Canvas, at: np.ndarray, rng: np.random.Generator) -> Surfels:
    """A small drop below each lobe."""
    parts = []
    metal = np.array([[0.75, 0.6, 0.3], [0.7, 0.7, 0.72], [0.8, 0.78, 0.74]])[rng.integers(3)]
    for side in (-1, 1):
        ear = at[(c.ear > 0.6) & (np.sign(at[:, 0]) == side)]
        if len(ear) < 5:
            continue
        lobe = ear[ear[:, 1].argsort()[: max(3, len(ear) // 20)]].mean(0)
        p = lobe + [side * 0.003, -0.004, 0.003] + 0.0022 * rng.normal(size=(60, 3))
        normal = (p - lobe) / np.maximum(np.linalg.norm(p - lobe, axis=1, keepdims=True), 1e-9)
        parts.append(sheet(p, normal, np.full(60, 0.0018), p, metal, metal, "plain", "clothes", rng, gloss=1.0))
    return join(*parts) if parts else no_surfels()
