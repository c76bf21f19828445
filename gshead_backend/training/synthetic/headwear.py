"""Hats and scarves over the head: shells of cloth over the scalp, brims, folds."""

from __future__ import annotations

import numpy as np

from ...avatar.facing import vertex_normals
from ...head.model import HeadModel
from ...head.skinning import PersonalHead
from .fabric import sheet
from .hair import CANVAS
from .hairs import no_surfels
from .paint import noise, step
from .style_spec import StyleSpec
from .surface import canvas, personal_frame
from .surfels import Surfels, join

CLOTH_CANVAS = 60_000


def headwear_surfels(head: HeadModel, person: PersonalHead, style: StyleSpec, rng: np.random.Generator) -> Surfels:
    """What is worn on the head; nothing when ``style.hat`` is "none"."""
    if style.hat == "none":
        return no_surfels()
    if style.hat in ("headscarf", "turban"):
        return _wrapped(head, person, style, rng)
    c = canvas(head, CANVAS)
    at, normal = personal_frame(c, person)
    m, s = c.surface.landmarks, c.surface.scale
    _, y, z = c.rest.T
    outer = c.part == 0
    band = m[10, 1] - (0.004 - 0.02 * style.volume) * s
    tilt = y - band - 0.22 * np.minimum(z - m[10, 2] + 0.03, 0)  # hats sit lower behind
    hair = 0.004 if style.hair in ("bald", "balding", "buzz") else 0.011
    depth = hair + 0.003 * (1 + noise(c.rest, 0.02, rng))
    if style.hat == "band":
        keep = outer & (np.abs(tilt - 0.012) < 0.014) & (c.ear < 0.2)
        cloth, spacing = at[keep] + 0.014 * normal[keep], c.spacing[keep] * 1.3
        color, second = style.hat_color, style.second_color
        return sheet(cloth, normal[keep], spacing, c.rest[keep], color, second, "plain", "hat", rng)
    keep = outer & (tilt > 0) & (c.ear < 0.3)
    rise = step(tilt, 0.0, 0.05)
    puff = {"cap": 0.012, "beanie": 0.016 * (0.4 + style.volume), "brim": 0.022}[style.hat]
    lifted = at + normal * (depth + puff * rise)[:, None]
    if style.hat == "brim":  # a crown that is flat on top
        lifted[:, 1] = np.minimum(lifted[:, 1], band + 0.085)
    pattern = "knit" if style.hat == "beanie" else "plain"
    shell = sheet(lifted[keep], normal[keep], c.spacing[keep] * 1.45, c.rest[keep], style.hat_color, style.second_color,
                  pattern, "hat", rng)  # fmt: skip
    if style.hat == "beanie":
        return shell
    return join(shell, _brim(style, rng, lifted[keep], tilt[keep], band))


def _brim(style: StyleSpec, rng: np.random.Generator, shell: np.ndarray, tilt: np.ndarray, band: float) -> Surfels:
    """A visor in front, or a brim all around."""
    edge = shell[tilt < 0.012]
    middle = edge.mean(0)
    reach = 0.065 if style.hat == "cap" else rng.uniform(0.05, 0.09)
    count = 5000 if style.hat == "cap" else 9000
    span = np.radians(62) if style.hat == "cap" else np.pi
    angle, r = rng.uniform(-span, span, count), rng.random(count)
    radii = np.percentile(np.abs(edge[:, [0, 2]] - middle[[0, 2]]), 97, axis=0)
    extent = reach * (np.sqrt(np.clip(np.cos(angle * np.pi / 2 / span), 0, 1)) if style.hat == "cap" else 1.0)
    ring = np.stack(
        [np.sin(angle) * (radii[0] + r * extent), np.zeros(count), np.cos(angle) * (radii[1] + r * extent)], 1
    )
    droop = 0.25 * r * extent * (np.abs(np.sin(angle)) if style.hat == "cap" else 0.15)
    slope = -0.22 * (ring[:, 2])
    at = middle + ring + np.stack([0 * r, slope * 0.35 - droop + (band - middle[1]) * 0.5, 0 * r], 1)
    up = np.tile([0.0, 0.97, 0.24], (count, 1))
    top = sheet(at, up, np.full(count, 0.0022), at, style.hat_color, style.second_color, "plain", "hat", rng)
    below, dim = at - [0, 0.0035, 0], style.hat_color * 0.7
    return join(top, sheet(below, -up, np.full(count, 0.0022), at, dim, style.second_color, "plain", "hat", rng))


def _wrapped(head: HeadModel, person: PersonalHead, style: StyleSpec, rng: np.random.Generator) -> Surfels:
    """A scarf around the face and throat, or cloth wound about the head.

    Cloth is what its folds do to light, so normals are those of the lifted surface.
    """
    c = canvas(head, CLOTH_CANVAS)
    surface = c.surface
    rest = np.concatenate([c.rest, surface.vertices])
    neck, torso = (np.concatenate([a, v]) for a, v in ((c.neck, surface.neck), (c.torso, head.region_mask("torso"))))
    m, outer = surface.landmarks, c.part == 0
    band = m[10, 1] - (0.004 - 0.02 * style.volume) * surface.scale
    x, y, z = rest.T
    hair = 0.004 if style.hair in ("bald", "balding", "buzz") else 0.011
    lift = hair + 0.002 * (1.5 + noise(rest, 0.09, rng))
    n = len(c.rest)
    if style.hat == "turban":
        keep = outer & (y > band + 0.003 - 0.06 * np.minimum(z - m[10, 2] + 0.03, 0))[:n] & (c.ear < 0.3)
        folds = 0.006 * np.sin((y * 1.0 + 0.55 * np.abs(x)) * 2 * np.pi / 0.022)
        lift += 0.024 * step(y, band, band + 0.03) + folds
    else:
        middle, half = (m[10, 1] + m[152, 1]) / 2, m[10, 1] - m[152, 1]
        around = np.sqrt((x / 0.066) ** 2 + ((y - middle) / (rng.uniform(0.57, 0.66) * half)) ** 2)
        ahead = z > m[[127, 356], 2].mean() + rng.uniform(-0.004, 0.006)
        hem = m[152, 1] - rng.uniform(0.07, 0.25)  # ends at the throat, or lies over shoulders and chest
        low = (torso > 0.9) & (y < hem + 0.012 * noise(rest, 0.05, rng))
        keep = outer & ~((around < 1) & ahead | low)[:n]
        loose = rng.uniform(0.3, 1.8)
        way = rng.normal((0, 0.6, 0), 0.4)
        along = np.where(y > m[152, 1], 0.06 * around * rng.uniform(0.3, 1.5), rest @ way)  # about the face; across
        width, strength = rng.uniform(0.02, 0.07), 0.09 * rng.random()
        folds = np.sin(along * 2 * np.pi / width + rng.uniform(0.3, 1.5) * noise(rest, 0.15, rng))
        lift += loose * (0.006 + strength * width * folds) + 0.018 * np.maximum(neck, torso)
        lift += rng.uniform(0, 0.012) * np.exp(-(((around - 1.12) / 0.12) ** 2)) * ahead  # rolled about the face
    own = person.rest.astype(np.float64)
    cloth = own + vertex_normals(own, surface.faces) * lift[n:, None]
    at, flat = personal_frame(c, person)
    at = at + flat * lift[:n, None]
    normal = c.at(vertex_normals(cloth, surface.faces))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    pattern = style.pattern if style.pattern != "knit" else "plain"
    return sheet(at[keep], normal[keep], c.spacing[keep] * 1.5, c.rest[keep], style.hat_color, style.second_color,
                 pattern, "hat", rng)  # fmt: skip
