"""A made-up person on a made-up head: every feature of an avatar, in milliseconds."""

from __future__ import annotations

import numpy as np

from gshead_backend.avatar.types import REGIONS, Avatar, DynamicResidual
from gshead_backend.head import HeadModel


def make_tiny_avatar(head: HeadModel, splats: int = 600, *, seed: int = 3, dynamic: bool = False) -> Avatar:
    """Splats at random places of the head's surface, coloured by place, slightly off the surface."""
    rng = np.random.default_rng(seed)
    triangle = np.sort(rng.integers(0, head.faces.shape[0], splats)).astype(np.int32)
    bary = rng.dirichlet((2, 2, 2), splats).astype(np.float32)
    bary[:, 2] = 1 - bary[:, 0] - bary[:, 1]
    quats = rng.normal(size=(splats, 4)) * 0.2 + [1, 0, 0, 0]
    residual = None
    if dynamic:
        m, k = splats // 3, 4
        basis = rng.normal(size=(m, 14, k)) * np.repeat([1e-3, 0.05, 0.1, 0.3, 0.05], [3, 4, 3, 1, 3])[:, None]
        residual = DynamicResidual(
            np.sort(rng.choice(splats, m, replace=False)).astype(np.int32), basis.astype(np.float32),
            rng.normal(size=(k, head.expression_count + 3)).astype(np.float32) * 0.3,
            rng.normal(size=k).astype(np.float32) * 0.1,
        )  # fmt: skip
    return Avatar(
        head=head,
        betas=rng.normal(size=head.identity_count).astype(np.float32) * 0.5,
        vertex_offsets=rng.normal(size=(head.vertex_count, 3)).astype(np.float32) * 3e-4,
        triangle=triangle, bary=bary,
        region=rng.integers(0, len(REGIONS), splats).astype(np.uint8),
        offset=(rng.normal(size=(splats, 3)) * [1e-3, 1e-3, 4e-3]).astype(np.float32),
        rotation=(quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32),
        log_scale=rng.normal(np.log([0.004, 0.004, 0.0015]), 0.2, (splats, 3)).astype(np.float32),
        opacity_logit=rng.normal(3, 1, splats).astype(np.float32),
        color=rng.uniform(0, 1, (splats, 3)).astype(np.float32),
        dynamic=residual, name="Tiny Person", method="uvfit",
        provenance={"seed": seed, "quality": "draft"},
    )  # fmt: skip
