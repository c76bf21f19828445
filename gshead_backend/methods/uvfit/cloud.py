"""The splats under construction: points on the head's outer surface with everything that is known about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...avatar.binding import triangle_frames
from ...avatar.facing import vertex_normals
from ...avatar.types import REGIONS, Avatar
from ...head.rotation import matrix_to_quat, quat_multiply
from .sampling import Samples
from .shell import Shell, hair_mask
from .surface import PARTS, HeadSurface

TANGENT_SIGMA = 0.64
NORMAL_SIGMA = 0.25
OPACITY_LOGIT = 3.0


@dataclass
class Cloud:
    """N splats. Positions in metres, head space.

    Attributes:
        triangle: (N,) int32. bary: (N, 3). part: (N,) index into ``PARTS``. region: (N,) index into ``REGIONS``.
        hair, clothes: (N,) 0..1 class of the surface. lid: (N,) bool.
        mean: (N, 3) on the mean head (symmetric). rest, posed: (N, 3) outer positions, neutral and as in the photo.
        normal, posed_normal: (N, 3). tangent: (N, 3) rest direction of the first axis of the splat.
        sigma: (N, 3) metres along tangent, bitangent, normal.
        color: (N, 3) sRGB 0..1. confidence: (N,) 0..1 of the photo's own evidence. opacity_logit: (N,).
    """

    triangle: np.ndarray
    bary: np.ndarray
    part: np.ndarray
    region: np.ndarray
    hair: np.ndarray
    clothes: np.ndarray
    lid: np.ndarray
    mean: np.ndarray
    rest: np.ndarray
    posed: np.ndarray
    normal: np.ndarray
    posed_normal: np.ndarray
    tangent: np.ndarray
    sigma: np.ndarray
    color: np.ndarray
    confidence: np.ndarray
    opacity_logit: np.ndarray

    def __len__(self) -> int:
        return int(self.triangle.size)

    def is_part(self, *names: str) -> np.ndarray:
        """(N,) bool."""
        return np.isin(self.part, [PARTS.index(n) for n in names])

    def keep(self, mask: np.ndarray) -> Cloud:
        """The splats where ``mask`` is true."""
        return Cloud(**{k: v[mask] for k, v in vars(self).items()})

    @classmethod
    def loose(
        cls, region: str, point: np.ndarray, normal: np.ndarray, tangent: np.ndarray, sigma: np.ndarray,
        color: np.ndarray, trust: float,
    ) -> Cloud:  # fmt: skip
        """Splats that lie on no mesh, on triangle 0 until they are bound. region: "hair" or "clothes"."""
        n = len(point)
        return cls(
            triangle=np.zeros(n, np.int32), bary=np.full((n, 3), 1 / 3, np.float32),
            part=np.full(n, PARTS.index("skin"), np.uint8), region=np.full(n, REGIONS.index(region), np.uint8),
            hair=np.full(n, float(region == "hair")), clothes=np.full(n, float(region == "clothes")),
            lid=np.zeros(n, bool), mean=point.copy(), rest=point.copy(), posed=point.copy(), normal=normal,
            posed_normal=normal.copy(), tangent=tangent, sigma=np.maximum(sigma, 1e-5), color=np.clip(color, 0, 1),
            confidence=np.full(n, trust), opacity_logit=np.full(n, OPACITY_LOGIT),
        )  # fmt: skip

    def join(self, other: Cloud) -> Cloud:
        """Both, this one's first."""
        return Cloud(**{k: np.concatenate([v, getattr(other, k)]) for k, v in vars(self).items()})


def make_cloud(surface: HeadSurface, samples: Samples, shell: Shell, rest: np.ndarray, posed: np.ndarray) -> Cloud:
    """Splats on the shell over ``rest`` (V, 3) and ``posed`` (V, 3), without colours."""
    faces = surface.faces[samples.triangle]
    blend = lambda field: np.einsum("nk,nk...->n...", samples.bary.astype(np.float64), field[faces])  # noqa: E731
    outer, outer_posed = rest + shell.displacement, posed + shell.displacement
    normal = _unit(blend(_normals(outer, surface.faces, shell.folded)))
    posed_normal = _unit(blend(_normals(outer_posed, surface.faces, shell.folded)))
    n = samples.triangle.size
    s = samples.spacing[:, None]
    sigma = s * np.array([TANGENT_SIGMA, TANGENT_SIGMA, TANGENT_SIGMA * NORMAL_SIGMA])
    lid = surface.lid[samples.triangle]
    sigma[lid, :2] *= 1.45  # a closing lid unrolls one way only: more than its triangles' area tells
    sigma[shell.covered_ear[faces].any(1), :2] *= 1.5  # a flattened ear's triangles are squeezed unevenly
    part = surface.part[samples.triangle]
    hair = hair_mask(blend(shell.hair)) * (part == 0)
    clothes = blend(shell.clothes) * (part == 0)
    region = np.full(n, REGIONS.index("skin"), np.uint8)
    region[blend(surface.neck) > 0.6] = REGIONS.index("neck")
    region[clothes > 0.5] = REGIONS.index("clothes")
    region[hair > 0.5] = REGIONS.index("hair")
    for name, value in (("eye_left", "eye"), ("eye_right", "eye"), ("teeth", "teeth"), ("gums", "mouth"),
                        ("tongue", "mouth"), ("cavity", "mouth"), ("socket", "eye")):  # fmt: skip
        region[part == PARTS.index(name)] = REGIONS.index(value)
    return Cloud(
        triangle=samples.triangle.copy(), bary=samples.bary.copy(), part=part, region=region, hair=hair,
        clothes=clothes, lid=lid, mean=blend(surface.vertices), rest=blend(outer),
        posed=blend(outer_posed), normal=normal, posed_normal=posed_normal,
        tangent=any_tangent(normal), sigma=sigma, color=np.full((n, 3), 0.5), confidence=np.zeros(n),
        opacity_logit=np.full(n, OPACITY_LOGIT),
    )  # fmt: skip


def _normals(vertices: np.ndarray, faces: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals of what splats lie on; triangles that are ``empty`` (F,) count where there are no others."""
    all_around, normal = vertex_normals(vertices, faces), vertex_normals(vertices, faces[~empty])
    return np.where(np.linalg.norm(normal, axis=1, keepdims=True) > 0.5, normal, all_around)


def any_tangent(normal: np.ndarray) -> np.ndarray:
    """(N, 3) unit vectors perpendicular to ``normal``, pointing down the head where that is possible."""
    down = np.array([0.0, -1.0, 1e-3])
    t = down - normal * (normal @ down)[:, None]
    return _unit(t)


def bind(
    cloud: Cloud, surface: HeadSurface, rest: np.ndarray, *, betas: np.ndarray, vertex_offsets: np.ndarray,
    name: str, provenance: dict, method: str = "uvfit",
) -> Avatar:  # fmt: skip
    """Express the splats in the rest frames of their triangles: the finished avatar."""
    frames = triangle_frames(rest, surface.faces)
    R = frames.axes[:, :, cloud.triangle].transpose(2, 1, 0).astype(np.float64)  # columns are the triangle's axes
    point = np.einsum("nk,nkc->nc", cloud.bary.astype(np.float64), rest[surface.faces[cloud.triangle]])
    offset = np.einsum("nij,ni->nj", R, cloud.rest - point)
    bitangent = np.cross(cloud.normal, cloud.tangent)
    world = matrix_to_quat(np.stack([cloud.tangent, bitangent, cloud.normal], -1))
    q = frames.quat[:, cloud.triangle].T.astype(np.float64) * np.array([1, -1, -1, -1])
    rotation = quat_multiply(q, world)
    return Avatar(
        head=surface.head, betas=np.asarray(betas, np.float32),
        vertex_offsets=np.asarray(vertex_offsets, np.float32), triangle=cloud.triangle.astype(np.int32),
        bary=cloud.bary.astype(np.float32), region=cloud.region.astype(np.uint8),
        offset=offset.astype(np.float32), rotation=rotation.astype(np.float32),
        log_scale=np.log(np.maximum(cloud.sigma, 1e-5)).astype(np.float32),
        opacity_logit=cloud.opacity_logit.astype(np.float32),
        color=np.clip(cloud.color, 0, 1).astype(np.float32), name=name, method=method, provenance=provenance,
    )  # fmt: skip


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
