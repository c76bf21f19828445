"""A synthetic person: face, hair, clothes and what else is worn, bound to the head as an avatar with a material."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from scipy.spatial import KDTree

from ...avatar.binding import triangle_frames
from ...avatar.types import REGIONS, Avatar, Splats
from ...head.arkit import ARKIT_INDEX
from ...head.catalog import default_head
from ...head.model import HeadModel
from ...head.rotation import matrix_to_quat, quat_multiply, quat_to_matrix
from ...head.skinning import PersonalHead, dense_expressions, pose_from_arkit
from ...parallel import kernel_array
from ...portrait.labels import LABEL_INDEX, LABELS
from ...protocol.transfer import linear_to_srgb
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
_REGION = {"hair": "hair", "facial_hair": "hair", "hat": "hair", "eyes": "eye", "mouth": "mouth", "clothes": "clothes"}
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
    surfels = join(
        skin, hair, headwear_surfels(head, personal, style, stream(4)),
        glasses_surfels(head, personal, style, stream(5)), clothes_surfels(head, personal, style, stream(6)),
    )  # fmt: skip
    triangle, bary = find_triangles(head, personal.rest, surfels)
    avatar = bind(surfels, head, personal, triangle, bary, f"synthetic-{seed}")
    quats = _unit(surfels.quats.astype(np.float64))
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
    axis = rotated_unit(splats.quats[thin], order[thin, 2]) * long[thin, None]
    means, radius, opacity = [splats.means], [1.2 * middle], [splats.opacities]
    for step in (-1.3, -0.65, 0.65, 1.3):
        means.append(splats.means[thin] + step * axis)
        radius.append(1.2 * middle[thin])
        opacity.append(splats.opacities[thin])
    return tuple(np.concatenate(part).astype(np.float32) for part in (means, radius, opacity))  # type: ignore[return-value]


def rotated_unit(quats: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(n, 3) the axes (n,) 0..2 turned by unit quaternions (n, 4) wxyz."""
    v = np.eye(3, dtype=np.float32)[axis]
    t = 2 * np.cross(quats[:, 1:], v)
    return v + quats[:, :1] * t + np.cross(quats[:, 1:], t)


def find_triangles(head: HeadModel, rest: np.ndarray, surfels: Surfels) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int32 triangle and (N, 3) barycentric coordinates that each surfel hangs on, by its anchor."""
    corners = rest[head.faces].astype(np.float64)
    centre = corners.mean(1)
    normal = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    triangle = np.zeros(len(surfels), np.int32)
    bary = np.full((len(surfels), 3), 1 / 3, np.float32)
    for index, (anchor, allowed) in enumerate(zip(ANCHORS, anchor_faces(head), strict=True)):
        mine = np.flatnonzero(surfels.anchor == index)
        if not mine.size:
            continue
        near = KDTree(centre[allowed]).query(surfels.means[mine], k=10 if anchor == "surface" else 1)[1]
        near = allowed[near].reshape(mine.size, -1)
        if anchor == "surface":
            triangle[mine], bary[mine] = _closest(
                kernel_array(surfels.means[mine], np.float64), kernel_array(surfels.normals[mine], np.float64),
                kernel_array(near, np.int64), kernel_array(corners, np.float64), kernel_array(normal, np.float64),
            )  # fmt: skip
        else:
            triangle[mine] = near[:, 0]
    return triangle, bary


def anchor_faces(head: HeadModel) -> tuple[np.ndarray, ...]:
    """Triangles that each of ``ANCHORS`` may use; those of cranium and torso never move with an expression."""
    if "synthetic_anchors" not in head._cache:
        moved = np.abs(dense_expressions(head)).reshape(head.expression_count, head.vertex_count, 3).max((0, 2))
        still = (moved < 1e-4) & (head.skin_weights[:, 2:].sum(1) < 1e-3)
        names = np.array(head.region_names)[head.region]
        sets = [np.ones(head.vertex_count, bool)]
        for wanted in (("scalp", "skin", "ear"), ("torso", "neck")):
            mine = np.isin(names, wanted)
            calm = mine & still
            if not calm[head.faces].all(1).any():  # a head whose expressions reach everywhere: the calmest fifth
                calm = mine & (moved <= np.quantile(moved[mine], 0.2)) if mine.any() else moved <= np.median(moved)
            sets.append(calm)
        chosen = tuple(np.flatnonzero(s[head.faces].all(1)) for s in sets)
        head._cache["synthetic_anchors"] = tuple(c if c.size else chosen[0] for c in chosen)
    return head._cache["synthetic_anchors"]


def bind(
    surfels: Surfels, head: HeadModel, personal: PersonalHead, triangle: np.ndarray, bary: np.ndarray, name: str
) -> Avatar:
    """The surfels in the rest frames of their triangles."""
    frames = triangle_frames(personal.rest, head.faces)
    R = frames.axes[:, :, triangle].transpose(2, 1, 0).astype(np.float64)  # columns are the triangle's axes
    point = np.einsum("nk,nkc->nc", bary.astype(np.float64), personal.rest[head.faces[triangle]])
    q = matrix_to_quat(R) * np.array([1, -1, -1, -1])
    opacity = np.clip(surfels.opacities.astype(np.float64), 0.004, 0.996)
    region = np.array([REGIONS.index(_REGION.get(label, "skin")) for label in LABELS], np.uint8)
    return Avatar(
        head=head, betas=personal.betas, vertex_offsets=np.zeros((head.vertex_count, 3), np.float32),
        triangle=triangle, bary=bary, region=region[surfels.labels],
        offset=np.einsum("nij,ni->nj", R, surfels.means - point).astype(np.float32),
        rotation=quat_multiply(q, _unit(surfels.quats.astype(np.float64))).astype(np.float32),
        log_scale=np.log(np.maximum(surfels.scales, 1e-5)).astype(np.float32),
        opacity_logit=np.log(opacity / (1 - opacity)).astype(np.float32),
        color=np.clip(linear_to_srgb(surfels.albedo), 0, 1).astype(np.float32), name=name, method="synthetic",
    )  # fmt: skip


def _bake(person: Person) -> np.ndarray:
    """(N, 2, 9) sky transfer: at rest, but eyes and mouth as they are when open."""
    from ...avatar.drive import drive

    s = person.surfels
    rest = Splats(s.means, _unit(s.quats).astype(np.float32), s.scales, s.opacities, s.albedo)
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


@njit(cache=True, nogil=True)
def _closest(
    points: np.ndarray, normals: np.ndarray, near: np.ndarray, corners: np.ndarray, face_normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest triangle of each point's candidates (Ericson 2004, 5.1.5); one that faces elsewhere counts as 3 mm
    further, so that closed lips and lids keep to their own side."""
    n = points.shape[0]
    triangle, bary = np.zeros(n, np.int32), np.zeros((n, 3), np.float32)
    for i in range(n):
        best = np.inf
        for j in range(near.shape[1]):
            f = near[i, j]
            a, b, c, p = corners[f, 0], corners[f, 1], corners[f, 2], points[i]
            ab, ac, ap = b - a, c - a, p - a
            d1, d2 = (ab * ap).sum(), (ac * ap).sum()
            bp, cp = p - b, p - c
            d3, d4, d5, d6 = (ab * bp).sum(), (ac * bp).sum(), (ab * cp).sum(), (ac * cp).sum()
            va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
            v, w = 0.0, 0.0
            if d1 <= 0 and d2 <= 0:
                v, w = 0.0, 0.0
            elif d3 >= 0 and d4 <= d3:
                v, w = 1.0, 0.0
            elif d6 >= 0 and d5 <= d6:
                v, w = 0.0, 1.0
            elif vc <= 0 and d1 >= 0 and d3 <= 0:
                v, w = d1 / max(d1 - d3, 1e-18), 0.0
            elif vb <= 0 and d2 >= 0 and d6 <= 0:
                v, w = 0.0, d2 / max(d2 - d6, 1e-18)
            elif va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
                w = (d4 - d3) / max((d4 - d3) + (d5 - d6), 1e-18)
                v = 1 - w
            elif va + vb + vc > 0:
                v, w = vb / (va + vb + vc), vc / (va + vb + vc)
            gap = p - (a + v * ab + w * ac)
            turned = max(1.0 - (normals[i] * face_normals[f]).sum(), 0.0)
            cost = np.sqrt((gap * gap).sum()) + 0.0015 * turned
            if cost < best:
                best = cost
                triangle[i] = f
                bary[i, 0], bary[i, 1], bary[i, 2] = 1 - v - w, v, w
    return triangle, bary


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
