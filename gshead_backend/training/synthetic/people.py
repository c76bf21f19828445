"""A synthetic person: face, hair, clothes and what else is worn, bound to the head as an avatar with a material."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from ...avatar.types import Avatar, Splats
from ...head.arkit import ARKIT_INDEX
from ...head.catalog import default_head
from ...head.model import HeadModel
from ...head.rotation import quat_to_matrix
from ...head.skinning import PersonalHead, pose_from_arkit
from ...portrait.labels import LABEL_INDEX
from .binding import bind, find_triangles, unit
from .clothes import clothes_surfels
from .face_spec import FaceSpec, draw_face
from .glasses import glasses_surfels
from .hair import hair_surfels
from .hair_meshes import choose_mesh
from .headwear import headwear_surfels
from .shadow import RAMP, VOLUME_RAMP, sky_transfer
from .skin import albedo_map, face_surfels
from .style_spec import StyleSpec, draw_style
from .surfels import ANCHORS, Surfels, join

SPLATS = 90_000
SKIN_SHARE = 0.62
UNDER_LIDS = 0.62  # share of the light that lids at ease and lashes leave to the eyes
_OPEN = {"jawOpen": 0.55, "eyeWideLeft": 0.6, "eyeWideRight": 0.6, "mouthUpperUpLeft": 0.5, "mouthUpperUpRight": 0.5,
         "mouthLowerDownLeft": 0.5, "mouthLowerDownRight": 0.5}  # fmt: skip
"""The pose in which daylight falls on eyes and teeth: at rest the mouth is shut and they would be baked black."""


@dataclass(frozen=True)
class Person:
    """Somebody with known everything.

    Attributes:
        seed: that made them. head, face, style, surfels: what they are made of; surfels on the neutral head.
        avatar: the surfels bound to the head, colours = encoded albedo; ``drive(avatar, pose)`` is the truth.
        normals: (N, 3) shading normals in each splat's own frame, so that they turn with it.
        transfer: (N, 2, 9) see ``shadow.sky_transfer``. ramp: (N,) metres over which shadows grow on it.
    """

    seed: int
    head: HeadModel
    face: FaceSpec
    style: StyleSpec
    surfels: Surfels
    avatar: Avatar
    normals: np.ndarray
    transfer: np.ndarray
    ramp: np.ndarray
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.surfels)

    def uv_maps(self, size: int = 512) -> dict[str, np.ndarray]:
        """Maps in the head's UV space, row 0 at the top.

        Returns:
            albedo (S, S, 3) float32 linear; covered (S, S) bool: a triangle lies there; the others, of the outermost
            surfel bound near each texel, zero where ``covered`` is false: label (S, S) uint8, offset (S, S, 3) and
            scale (S, S, 3) float32 metres, opacity (S, S) float32, color (S, S, 3) float32 linear, gloss (S, S).
        """
        albedo, covered = albedo_map(self.head, self.face, size)
        nearest = _texel_splats(self.avatar, covered)
        out = {"albedo": albedo, "covered": covered}
        for name, values in (
            ("label", self.surfels.labels), ("offset", self.avatar.offset), ("scale", np.exp(self.avatar.log_scale)),
            ("opacity", self.surfels.opacities), ("color", self.surfels.albedo), ("gloss", self.surfels.gloss),
        ):  # fmt: skip
            canvas = np.zeros((size, size, *values.shape[1:]), np.uint8 if name == "label" else np.float32)
            canvas[covered] = values[nearest]
            out[name] = canvas
        return out


def make_person(
    seed: int, head: HeadModel | None = None, *, splats: int = SPLATS, hair_meshes: Sequence[Path] = ()
) -> Person:
    """The person of a seed on ``head`` (the default head when None), of about ``splats`` splats.

    Half of those who could wear one of ``hair_meshes`` do; see :func:`hair_meshes.read_hair` for errors.

    Every part draws from its own stream, so a change to one of them leaves the others as they were.
    """
    head = default_head() if head is None else head
    stream: Callable[[int], np.random.Generator] = lambda part: np.random.default_rng((seed, part))  # noqa: E731
    face = draw_face(stream(0), head)
    style = draw_style(stream(1), face)
    personal = PersonalHead.create(head, face.betas)
    mesh = choose_mesh(hair_meshes, style, stream(7))
    hair, cap = hair_surfels(head, personal, style, stream(2), splats=round(splats * (1 - SKIN_SHARE)), mesh=mesh)
    style = style if mesh is None else replace(style, hair=f"mesh {mesh.name}")
    skin = face_surfels(head, personal, face, stream(3), splats=round(splats * SKIN_SHARE), cap=cap)
    bust = skin.albedo[skin.anchor == ANCHORS.index("torso")].mean(0)
    surfels = join(
        skin, hair, headwear_surfels(head, personal, style, stream(4)),
        glasses_surfels(head, personal, style, stream(5)), clothes_surfels(head, personal, bust, style, stream(6)),
    )  # fmt: skip
    triangle, bary = find_triangles(head, personal.rest, surfels)
    avatar = bind(surfels, head, personal, triangle, bary, f"synthetic-{seed}")
    quats = unit(surfels.quats.astype(np.float64))
    normals = np.einsum("nij,ni->nj", quat_to_matrix(quats), surfels.normals).astype(np.float32)
    soft = np.isin(surfels.labels, [LABEL_INDEX["hair"], LABEL_INDEX["facial_hair"]])
    ramp = np.where(soft, VOLUME_RAMP, RAMP).astype(np.float32)
    person = Person(seed, head, face, style, surfels, avatar, normals, np.zeros((0, 2, 9), np.float32), ramp)
    object.__setattr__(person, "transfer", _bake(person))
    return person


def shading_normals(person: Person, quats: np.ndarray) -> np.ndarray:
    """(N, 3) unit float32 normals of the splats turned by ``quats`` (N, 4) wxyz unit."""
    w, v, n = quats[:, :1], quats[:, 1:], person.normals
    t = 2 * np.cross(v, n)
    return n + w * t + np.cross(v, t)


def occluders(splats: Splats) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Discs that stop light as the splats do: (M, 3) means, (M,) radii in metres, (M,) opacities, M >= N.

    The first N are the splats themselves; those that are long and thin get further discs along their length.
    """
    order = np.argsort(splats.scales, 1)
    rows = np.arange(len(splats))
    long, middle = splats.scales[rows, order[:, 2]], splats.scales[rows, order[:, 1]]
    thin = np.flatnonzero(long > 2 * middle)
    axis = rotatedunit(splats.quats[thin], order[thin, 2]) * long[thin, None]
    means, radius, opacity = [splats.means], [1.2 * middle], [splats.opacities]
    for step in (-1.3, -0.65, 0.65, 1.3):
        means.append(splats.means[thin] + step * axis)
        radius.append(1.2 * middle[thin])
        opacity.append(splats.opacities[thin])
    return tuple(np.concatenate(part).astype(np.float32) for part in (means, radius, opacity))  # type: ignore[return-value]


def rotatedunit(quats: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(n, 3) the axes (n,) 0..2 turned by unit quaternions (n, 4) wxyz."""
    v = np.eye(3, dtype=np.float32)[axis]
    t = 2 * np.cross(quats[:, 1:], v)
    return v + quats[:, :1] * t + np.cross(quats[:, 1:], t)


def _bake(person: Person) -> np.ndarray:
    """(N, 2, 9) sky transfer: at rest, but eyes and mouth as they are when open."""
    from ...avatar.drive import drive

    s = person.surfels
    rest = Splats(s.means, unit(s.quats).astype(np.float32), s.scales, s.opacities, s.albedo)
    out = sky_transfer(*occluders(rest), s.normals, person.ramp, np.arange(len(s)))
    inner = np.flatnonzero(np.isin(s.labels, [LABEL_INDEX["eyes"], LABEL_INDEX["mouth"]]))
    if inner.size:
        channels = np.zeros(52, np.float32)
        channels[[ARKIT_INDEX[name] for name in _OPEN]] = list(_OPEN.values())
        splats = drive(person.avatar, pose_from_arkit(person.head, channels))
        normals = shading_normals(person, splats.quats)
        out[inner] = sky_transfer(*occluders(splats), normals, person.ramp, inner)
        out[s.labels == LABEL_INDEX["eyes"], 0] *= UNDER_LIDS
    return out


def _texel_splats(avatar: Avatar, covered: np.ndarray) -> np.ndarray:
    """(T,) for every covered texel the splat whose place in UV is nearest."""
    head = avatar.head
    size = covered.shape[0]
    corner = head.uv[head.uv_faces[avatar.triangle]]
    place = np.einsum("nk,nkc->nc", avatar.bary, corner)
    rows, columns = np.nonzero(covered)
    texels = np.stack([(columns + 0.5) / size, 1 - (rows + 0.5) / size], 1)
    return np.asarray(KDTree(place).query(texels)[1])
