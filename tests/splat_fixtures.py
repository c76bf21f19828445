"""Made-up splats and avatars for tests of drive and raster."""

from __future__ import annotations

import numpy as np

from gshead_backend.avatar.types import Avatar, DynamicResidual, Splats
from gshead_backend.head import HeadModel


def random_splats(
    n: int, *, seed: int = 0, channels: int = 3, radius: float = 0.1, size: tuple[float, float] = (0.002, 0.012)
) -> Splats:
    """A ball of anisotropic splats around the origin, log-uniform scales in metres."""
    rng = np.random.default_rng(seed)
    low, high = np.log(size)
    quats = rng.standard_normal((n, 4))
    return Splats(
        means=(rng.standard_normal((n, 3)) * radius / 2).astype(np.float32),
        quats=(quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32),
        scales=np.exp(rng.uniform(low, high, (n, 3))).astype(np.float32),
        opacities=rng.uniform(0.02, 1.0, n).astype(np.float32),
        colors=rng.uniform(0, 1, (n, channels)).astype(np.float32),
    )


def random_avatar(head: HeadModel, n: int = 2000, *, seed: int = 0, dynamic: bool = False, **changes: object) -> Avatar:
    """``n`` splats scattered over a head's triangles."""
    rng = np.random.default_rng(seed)
    bary = rng.dirichlet((1, 1, 1), n).astype(np.float32)
    residual = None
    if dynamic:
        own = np.random.default_rng(seed + 1)
        index = own.choice(n, n // 4, replace=False).astype(np.int32)
        residual = DynamicResidual(
            index=index,
            basis=(own.standard_normal((index.size, 14, 5)) * 2e-3).astype(np.float32),
            gain=own.standard_normal((5, head.expression_count + 3)).astype(np.float32),
            bias=own.standard_normal(5).astype(np.float32),
        )
    values = {
        "head": head,
        "betas": rng.standard_normal(head.identity_count).astype(np.float32) * 0.3,
        "vertex_offsets": np.zeros((head.vertex_count, 3), np.float32),
        "triangle": rng.integers(0, head.faces.shape[0], n).astype(np.int32),
        "bary": bary,
        "region": np.zeros(n, np.uint8),
        "offset": (rng.standard_normal((n, 3)) * 1e-3).astype(np.float32),
        "rotation": (np.array([1, 0, 0, 0]) + 0.2 * rng.standard_normal((n, 4))).astype(np.float32),
        "log_scale": rng.uniform(-7.0, -5.2, (n, 3)).astype(np.float32),
        "opacity_logit": rng.uniform(-1, 4, n).astype(np.float32),
        "color": rng.uniform(0, 1, (n, 3)).astype(np.float32),
        "dynamic": residual,
    }
    return Avatar(**{**values, **changes})  # type: ignore[arg-type]
