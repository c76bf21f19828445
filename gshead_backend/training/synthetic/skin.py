"""The bare person as surfels, and the same skin as a texture."""

from __future__ import annotations

import numpy as np

from ...head.model import HeadModel
from ...head.rotation import matrix_to_quat
from ...head.skinning import PersonalHead
from ...portrait.labels import LABEL_INDEX
from .face_spec import FaceSpec
from .hairs import beard, beard_area, brows, lashes
from .paint import eye_layers, mix, mouth_layers, noise, skin_layers, step
from .surface import Canvas, canvas, personal_frame, uv_canvas
from .surfels import ANCHORS, Surfels, join

TANGENT_SIGMA = 0.62
THICKNESS = 0.16  # of the tangent sigma


def face_surfels(
    head: HeadModel, person: PersonalHead, face: FaceSpec, rng: np.random.Generator, *, splats: int = 60_000,
    cap: np.ndarray | None = None,
) -> Surfels:  # fmt: skip
    """Skin, lips, brows, lashes, beard, eyes, teeth and mouth of one person, in head space at rest.

    Args:
        splats: about so many for the surface; hairs come on top.
        cap: (V,) 0..1, how far hair covers the scalp.
    """
    c = canvas(head, splats)
    position, normal = personal_frame(c, person)
    albedo, gloss = bare_albedo(c, face, cap)
    pores, slack = (
        np.stack([noise(c.rest, size, np.random.default_rng([face.seed, first + k]), 8) for k in range(3)], 1)
        for size, first in ((0.0022, 10), (0.008, 20))
    )
    outer = (c.part == 0)[:, None]
    shading = normal + np.where(outer, (0.05 + 0.06 * face.wrinkles) * pores + 0.10 * face.wrinkles * slack, 0)
    shading /= np.linalg.norm(shading, axis=1, keepdims=True)
    sigma = TANGENT_SIGMA * c.spacing
    sigma = np.where(c.lid > 0.5, 1.35 * sigma, sigma)  # a closing lid unrolls more than its triangles' area tells
    n = len(sigma)
    torso = (c.torso > 0.5) | (c.neck > 0.97)
    bare = Surfels(
        position, facing_quats(normal), np.stack([sigma, sigma, THICKNESS * sigma], 1), np.full(n, 0.97), albedo,
        shading, gloss, labels(c, cap), np.where(torso, ANCHORS.index("torso"), 0).astype(np.uint8),
    )  # fmt: skip
    return join(
        bare, brows(c, position, normal, face, rng), lashes(c, position, normal, face, rng),
        beard(c, position, normal, face, rng),
    )  # fmt: skip


def bare_albedo(c: Canvas, face: FaceSpec, cap: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) linear albedo and (N,) gloss of the whole canvas."""
    color, gloss = skin_layers(c, face, cap)
    color = _shaven(c, face, color)
    line = step(np.abs(c.eye).min(1), 0.0012, 0.0004) * c.front * (0.45 + 0.5 * face.makeup)
    color = mix(color, np.minimum(face.brow_color, 0.05) + 0.01, line)
    for parts, layers in (
        (("eye_left", "eye_right"), eye_layers), (("teeth", "gums", "tongue", "cavity", "socket"), mouth_layers)
    ):  # fmt: skip
        mine = c.is_part(*parts)
        if mine.any():
            other, shine = layers(c, face)
            color[mine], gloss[mine] = other[mine], shine[mine]
    return color, gloss


def _shaven(c: Canvas, face: FaceSpec, color: np.ndarray) -> np.ndarray:
    """The shade of hairs in the skin: a man's shaven jaw, stubble, the roots of a beard and of brows."""
    rng = np.random.default_rng([face.seed, 4])
    kind = "full" if face.beard in ("none", "stubble") else face.beard
    amount = {"none": 0.0 if face.femininity > 0.45 else 0.14, "stubble": 0.5}.get(face.beard, 0.7)
    if amount:
        dots = 1 + 0.5 * noise(c.rest, 0.0012, rng)
        shade = np.minimum(0.6 * face.hair_color + 0.12 * face.skin_color, 0.8 * color)  # roots never lighten skin
        color = mix(color, shade, amount * beard_area(c, kind, face.seed) * dots)
    half = 0.0031 * face.brow_thickness
    near = step(np.abs(c.brow + 0.0008), 1.5 * half, 0.4 * half) * (c.brow_along > 0) * (c.brow_along < 1)
    return mix(color, face.brow_color + 0.05 * face.skin_color, 0.3 * face.brow_density * near.max(1) * c.front)


def labels(c: Canvas, cap: np.ndarray | None = None) -> np.ndarray:
    """(N,) uint8 of the bare surface. Scalp painted with the colour of the hair that covers it is hair."""
    out = np.full(len(c.rest), LABEL_INDEX["skin"], np.uint8)
    if cap is not None:
        out[c.at(cap) * (c.part == 0) > 0.5] = LABEL_INDEX["hair"]
    out[c.ear > 0.5] = LABEL_INDEX["ears"]
    out[(np.maximum(c.lips, step(c.lip, 0.0006, -0.0006)) * c.front) > 0.5] = LABEL_INDEX["lips"]
    out[c.is_part("eye_left", "eye_right")] = LABEL_INDEX["eyes"]
    out[c.is_part("teeth", "gums", "tongue", "cavity")] = LABEL_INDEX["mouth"]
    return out


def facing_quats(normal: np.ndarray) -> np.ndarray:
    """(N, 4) wxyz rotations whose third axis is the normal."""
    down = np.array([0.0, -1.0, 1e-3])
    x = down - normal * (normal @ down)[:, None]
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    return matrix_to_quat(np.stack([x, np.cross(normal, x), normal], -1))


def albedo_map(head: HeadModel, face: FaceSpec, size: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """(size, size, 3) linear albedo in UV space, row 0 on top, and (size, size) bool where there is surface."""
    c, covered = uv_canvas(head, size)
    out = np.zeros((size, size, 3), np.float32)
    out[covered] = bare_albedo(c, face)[0]
    return out, covered
