"""``Avatar`` (one person, computed once) and ``Splats`` (one frame's Gaussians)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..head.model import HeadModel
from ..head.skinning import PersonalHead

REGIONS = ("skin", "hair", "eye", "mouth", "teeth", "neck", "clothes")


@dataclass(frozen=True)
class Splats:
    """World-space Gaussians; numpy arrays or torch tensors (all of one kind).

    Attributes:
        means: (N, 3) metres. quats: (N, 4) wxyz. scales: (N, 3) metres (standard deviations).
        opacities: (N,) 0..1. colors: (N, C) sRGB-encoded 0..1, or any C features.
    """

    means: Any
    quats: Any
    scales: Any
    opacities: Any
    colors: Any

    def __len__(self) -> int:
        return int(self.means.shape[0])


@dataclass(frozen=True)
class DynamicResidual:
    """Low-rank change of some splats with the pose: ``(dp, dq, log_scale, logit, rgb) += U @ (G @ features + g0)``.

    ``features`` is the pose vector ``[expression, jaw_pose]``: (E + 3,).

    Attributes:
        index: (M,) int32 into the avatar's splats.
        basis: (M, 14, K) float32; 14 = offset 3, rotation 4, log_scale 3, opacity_logit 1, color 3.
        gain: (K, E + 3) float32. bias: (K,) float32.
    """

    index: np.ndarray
    basis: np.ndarray
    gain: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class NetworkPortrait:
    """What a neural renderer reads of a person; its pictures take the place of the splats where its weights are.

    Attributes:
        image: (S, S, 3) uint8 sRGB, the person on black.
        camera: (3, 4) float32 of the photo, in the conventions of the network (``methods/gagavatar/lifting``).
    """

    image: np.ndarray
    camera: np.ndarray


@dataclass(frozen=True)
class Avatar:
    """One person: a head, an identity and splats bound to the triangles of the head's dense mesh.

    In the frame of its triangle (see ``binding``) splat i has::

        mean = c + s * R @ offset      quat = q(R) * rotation      scale = s * exp(log_scale)

    with c the barycentric point, R an orthonormal frame and s = sqrt(area / rest area), so s = 1 at rest.

    Attributes:
        head: the head model. betas: (B,). vertex_offsets: (V, 3) metres, personal shape beyond betas.
        triangle: (N,) int32. bary: (N, 3) float32. region: (N,) uint8 index into ``REGIONS``.
        offset: (N, 3) metres in the rest triangle frame. rotation: (N, 4) wxyz. log_scale: (N, 3) log metres.
        opacity_logit: (N,). color: (N, 3) sRGB-encoded 0..1, straight.
        dynamic: optional residual.
        portrait: of a head that a network draws; the splats then only stand in for it.
        name: display name. method: registry name, e.g. ``"uvfit"``. provenance: JSON-able, how it was made.
    """

    head: HeadModel
    betas: np.ndarray
    vertex_offsets: np.ndarray
    triangle: np.ndarray
    bary: np.ndarray
    region: np.ndarray
    offset: np.ndarray
    rotation: np.ndarray
    log_scale: np.ndarray
    opacity_logit: np.ndarray
    color: np.ndarray
    dynamic: DynamicResidual | None = None
    portrait: NetworkPortrait | None = None
    name: str = "head"
    method: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        n, v = self.triangle.shape[0], self.head.vertex_count
        expected = {
            "betas": (self.head.identity_count,), "vertex_offsets": (v, 3), "triangle": (n,), "bary": (n, 3),
            "region": (n,), "offset": (n, 3), "rotation": (n, 4), "log_scale": (n, 3), "opacity_logit": (n,),
            "color": (n, 3),
        }  # fmt: skip
        for key, shape in expected.items():
            got = getattr(self, key)
            if got.shape != shape:
                raise ArgumentError(f"Avatar.{key} must have shape {shape}, got {got.shape}.")
            if got.dtype.kind == "f" and not np.isfinite(got).all():
                raise ArgumentError(f"Avatar.{key} holds NaN or infinity.")
        if n and (self.triangle.min() < 0 or self.triangle.max() >= self.head.faces.shape[0]):
            raise ArgumentError("Avatar.triangle indexes outside the head's faces.")

    @property
    def personal(self) -> PersonalHead:
        """The head with this person's identity (computed on first use, then kept)."""
        if "personal" not in self._cache:
            self._cache["personal"] = PersonalHead.create(self.head, self.betas, self.vertex_offsets)
        return self._cache["personal"]

    def __len__(self) -> int:
        return int(self.triangle.shape[0])
