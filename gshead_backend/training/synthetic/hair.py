"""Procedural hairstyles."""

from __future__ import annotations

import numpy as np

from ...head.model import HeadModel
from ...head.skinning import PersonalHead
from .hair_meshes import HairMesh, mesh_surfels
from .hairs import no_surfels
from .paint import noise, step
from .strands import Skull, grow, strand_surfels
from .style_spec import StyleSpec
from .surface import Canvas, canvas, personal_frame
from .surfels import Surfels, join

CANVAS = 30_000
_STEPS = {
    "buzz": 1, "balding": 3, "short": 4, "fringe": 6, "curly": 8, "afro": 7, "bob": 8, "long": 11, "wavy": 12,
    "tied": 7, "bun": 7,
}  # fmt: skip
_LIFT = {"buzz": 0.8, "balding": 0.25, "short": 0.42, "fringe": 0.35, "curly": 0.75, "afro": 0.95, "bob": 0.35,
         "long": 0.3, "wavy": 0.38, "tied": 0.06, "bun": 0.06}  # fmt: skip
_DEPTH = {"buzz": 0.002, "balding": 0.006, "short": 0.016, "fringe": 0.016, "curly": 0.045, "afro": 0.07, "bob": 0.022,
          "long": 0.02, "wavy": 0.028, "tied": 0.007, "bun": 0.007}  # fmt: skip


def hair_surfels(
    head: HeadModel, person: PersonalHead, style: StyleSpec, rng: np.random.Generator, *, splats: int = 34_000,
    mesh: HairMesh | None = None,
) -> tuple[Surfels, np.ndarray]:  # fmt: skip
    """The hair of a person, and (V,) 0..1 how far it covers the scalp.

    ``splats`` is an upper limit; short hair needs fewer. ``mesh``: worn instead of procedural hair.
    """
    c = canvas(head, CANVAS)
    vertex_cap = np.zeros(head.vertex_count)
    hidden = style.hat in ("headscarf", "turban")
    if style.hair == "bald":
        return no_surfels(), vertex_cap
    cover = scalp_cover(c, style)
    vertex_cap = _to_vertices(c, cover)
    if hidden:
        return no_surfels(), vertex_cap
    if mesh is not None:
        return mesh_surfels(mesh, head, person, c, style, rng, splats), vertex_cap
    position, normal = personal_frame(c, person)
    outer = c.part == 0
    skull = Skull(position[outer], normal[outer])
    steps = _STEPS[style.hair]
    count = min(splats // steps, {"buzz": 16_000}.get(style.hair, 8_500))
    if style.hair in ("buzz", "balding", "short"):  # fewer strands of long hair look like ropes
        count = round(count * (0.45 + 0.55 * style.density))
    weight = cover * c.spacing**2 * outer
    pick = rng.choice(len(weight), count, p=weight / weight.sum())
    center = np.array([0, c.surface.crown[1], c.surface.crown[2]])
    roots = position[pick] + rng.normal(0, 0.0007, (count, 3))
    flow = comb(c, style, position[pick], normal[pick], rng)
    length = style.length * np.clip(rng.normal(1, 0.16, count), 0.5, 1.3) * (0.35 + 0.65 * np.sqrt(cover[pick]))
    length, gravity, depth = _shaped(c, style, pick, length, rng)
    chin = c.surface.landmarks[152, 1]
    strands = grow(
        skull, roots, normal[pick], flow, length=length, steps=steps,
        lift=_LIFT[style.hair] * (0.7 + 0.6 * style.volume), gravity=gravity, curl=style.curl, margin=depth, rng=rng,
        toward=_knot(c, style) if style.hair in ("tied", "bun") else None,
    )  # fmt: skip
    strands = _off_face(c, style, strands, rng)
    if style.hat in ("cap", "beanie", "brim"):
        strands = _under_hat(c, strands)
    width = {"buzz": 0.0006, "balding": 0.0005}.get(style.hair, 0.0006 + 0.0003 * style.volume)
    color = np.asarray(style.hair_color)
    made = strand_surfels(strands, color, width, rng, center=center, torso_below=chin - 0.02)
    extra = _tail(c, style, skull, rng, center, chin) if style.hair in ("tied", "bun") else no_surfels()
    return join(made, extra), vertex_cap


def scalp_cover(c: Canvas, style: StyleSpec) -> np.ndarray:
    """(N,) 0..1, where hair grows: behind the hairline, out of ears and nape."""
    rng = np.random.default_rng([style.seed, 1])
    m, s = c.surface.landmarks, c.surface.scale
    x, y, z = c.rest.T
    top = m[10, 1] + (0.006 + 0.024 * style.hairline - 0.004 * np.clip(1 - np.abs(x) / 0.02, 0, 1)) * s
    temples = style.hairline * 0.02 * np.exp(-(((np.abs(x) - 0.04) / 0.016) ** 2)) * s
    side_z = m[[127, 356], 2].mean() + 0.010 * s - 0.016 * style.hairline * s
    ear_top = m[[127, 356], 1].mean() - 0.01 * s
    nape = m[152, 1] + 0.005 * s
    jagged = 0.003 * noise(c.rest, 0.012, rng)
    soft = 0.008 + 0.05 * (1 - style.density) ** 2  # where hair is thin, the forehead shows through a wide hem of it
    above = step(y + jagged, top + temples, top + temples + soft)
    behind = step(z + jagged, side_z, side_z - 0.012)
    burns = step(y, ear_top - 0.02, ear_top)
    low = np.where(z < side_z - 0.045, step(y, nape - 0.006, nape + 0.008), burns)
    cover = np.maximum(above, behind * low) * (1 - step(c.ear, 0.15, 0.4)) * (c.part == 0)
    cover *= 1 - step(c.neck, 0.3, 0.6)
    if style.hair == "balding":
        cover *= 1 - 0.97 * step(y, m[10, 1] - 0.005, m[10, 1] + 0.022)
    return cover


def comb(c: Canvas, style: StyleSpec, at: np.ndarray, normal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(M, 3) unit tangents: the way hair is combed at points of the scalp."""
    m = c.surface.landmarks
    side = np.tanh((at[:, 0] - style.parting) / 0.012)
    front = step(at[:, 2], m[10, 2] - 0.07, m[10, 2] - 0.02)
    if style.hair in ("tied", "bun"):
        flow = _knot(c, style) - at
    elif style.hair == "fringe":
        flow = np.stack([0.3 * side, -0.7 - 0.3 * front, 1.4 * front - 0.3], 1)
    elif style.hair in ("short", "balding", "buzz"):
        kind = style.seed % 3
        ahead = np.array([0.2, 1.0, -1.0])[kind] * front
        flow = np.stack([(0.4, 0.9, 0.25)[kind] * side, -0.75 + 0.3 * front, ahead - 0.45 * (1 - front)], 1)
    else:
        flow = np.stack([(1.0 + 0.8 * front) * side, np.full(len(at), -0.6), -0.3 - 0.5 * front], 1)
    flow = flow / np.maximum(np.linalg.norm(flow, axis=1, keepdims=True), 1e-9)
    flow = flow + (0.12 + 0.5 * style.curl) * rng.normal(size=at.shape)
    flow = flow - normal * (flow * normal).sum(1, keepdims=True)
    return flow / np.maximum(np.linalg.norm(flow, axis=1, keepdims=True), 1e-9)


def _shaped(
    c: Canvas, style: StyleSpec, pick: np.ndarray, length: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float, np.ndarray]:
    """Lengths, gravity and depth of each strand: cut shorter at nape and sides, layered, level at the ends."""
    y, z = c.rest[pick, 1], c.rest[pick, 2]
    m = c.surface.landmarks
    gravity = {"bob": 0.55, "long": 0.6, "wavy": 0.5, "fringe": 0.3, "curly": 0.12, "afro": 0.0, "short": 0.08}
    if style.hair == "short":
        length = length * (0.45 + 0.55 * step(y, m[10, 1] - 0.05, m[10, 1] + 0.02))
    if style.hair == "fringe":
        ahead = step(z, m[10, 2] - 0.06, m[10, 2] - 0.015)
        length = np.where(ahead > 0.5, np.minimum(length, 0.052), length * 0.75)
    if style.hair in ("bob", "long", "wavy"):  # ends at one level
        length = np.maximum(length + 0.9 * (y - m[10, 1]), 0.06)
    if style.hair in ("tied", "bun"):
        length = 1.2 * np.linalg.norm(c.rest[pick] - _knot(c, style), axis=1)
    depth = _DEPTH[style.hair] * (0.6 + 0.8 * style.volume) * rng.random(len(pick)) ** 0.7
    return length, gravity.get(style.hair, 0.0), depth


def _knot(c: Canvas, style: StyleSpec) -> np.ndarray:
    """(3,) where tied hair meets: low for a tail, higher for a bun."""
    top = c.surface.landmarks[10]
    return np.array([0, top[1] - (0.0 if style.hair == "bun" else 0.03), top[2] - 0.2])


def _off_face(c: Canvas, style: StyleSpec, strands: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Without the strands that would hang over eyes, nose and mouth; a few wisps stay."""
    m, s = c.surface.landmarks, c.surface.scale
    x, y, z = np.moveaxis(strands, 2, 0)
    low = m[[105, 334], 1].mean() - (0.004 if style.hair == "fringe" else -0.012)
    half = (0.040 + 0.014 * np.clip((y - m[152, 1]) / 0.12, 0, 1)) * s
    over = (np.abs(x) < half) & (y < low) & (y > m[152, 1] - 0.01) & (z > m[[33, 263], 2].mean() - 0.02)
    bad = over.any(1) & (rng.random(len(strands)) > 0.015)
    return strands[~bad] if not bad.all() else strands[:1]


def _under_hat(c: Canvas, strands: np.ndarray) -> np.ndarray:
    """Hats press hair down: what is above the band sinks to the scalp."""
    brow = c.surface.landmarks[10, 1]
    keep = strands[:, :, 1].min(1) < brow - 0.01
    return strands[keep] if keep.any() else strands[:1]


def _tail(
    c: Canvas, style: StyleSpec, skull: Skull, rng: np.random.Generator, center: np.ndarray, chin: float
) -> Surfels:
    """A ponytail or a bun where the combed hair meets."""
    root, normal = skull.push(_knot(c, style)[None], 0.004)
    color = np.asarray(style.hair_color)
    if style.hair == "bun":
        count, radius = 1100, rng.uniform(0.026, 0.038)
        middle = root[0] + normal[0] * 0.6 * radius
        angle = rng.uniform(0, 2 * np.pi, (count, 1)) + np.linspace(0, 1.2, 6)
        tilt = rng.normal(0, 0.45, (count, 1)) + np.zeros(6)
        ring = np.stack([np.cos(angle) * np.cos(tilt), np.sin(angle) * np.cos(tilt), np.sin(tilt)], -1)
        strands = middle + radius * rng.uniform(0.75, 1.0, (count, 1, 1)) * ring
        return strand_surfels(strands, color, 0.0009, rng, center=middle)
    count = 900
    start = root + rng.normal(0, 0.006, (count, 3))
    flow = np.tile([0.0, -0.3, -1.0], (count, 1)) + 0.2 * rng.normal(size=(count, 3))
    strands = grow(
        skull, start, np.tile(normal, (count, 1)), flow / np.linalg.norm(flow, axis=1, keepdims=True),
        length=rng.uniform(0.7, 1.0, count) * rng.uniform(0.18, 0.3), steps=12, lift=0.1, gravity=0.35, curl=style.curl,
        margin=np.full(count, 0.008), rng=rng,
    )  # fmt: skip
    return strand_surfels(strands, color, 0.001, rng, center=center, torso_below=chin - 0.02)


def _to_vertices(c: Canvas, values: np.ndarray) -> np.ndarray:
    """(V,) means of values at the canvas's points, at the corners of their triangles."""
    faces = c.surface.faces[c.triangle]
    total, weight = np.zeros(len(c.surface.vertices)), np.full(len(c.surface.vertices), 1e-9)
    for k in range(3):
        np.add.at(total, faces[:, k], values * c.bary[:, k])
        np.add.at(weight, faces[:, k], c.bary[:, k])
    return total / weight
