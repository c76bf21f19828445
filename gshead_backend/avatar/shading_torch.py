"""``shading.lit`` in torch, for one frame or a batch, on any device; a test compares both."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .shading import BRIGHTEST, BRIGHTEST_CODE, EVEN, GLOW
from .types import Splats


def lit_torch(
    splats: Splats, axis: Tensor, gain: Tensor, harmonics: Tensor, strength: Tensor, shadow: Tensor | None = None
) -> Splats:
    """Driven splats in another light.

    Args:
        splats: (N, ...) or (B, N, ...) tensors. axis, gain: (N, 3), of the avatar's ``Shading``.
        harmonics: (9, 3) or (B, 9, 3), see ``shading.harmonics``. strength: () or (B,), 0..1.
        shadow: (N, 3) or (B, N, 3) by which linear colours are multiplied at the end.
    """
    w, v = splats.quats[..., :1], splats.quats[..., 1:]
    m = axis.expand_as(v)
    t = 2 * torch.linalg.cross(v, m)
    x, y, z = (m + w * t + torch.linalg.cross(v, t)).unbind(-1)
    shapes = [torch.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    # One after the other: how a matrix product rounds on a GPU depends on how many frames are lit at once.
    got = sum(shape[..., None] * harmonics[..., k, None, :] for k, shape in enumerate(shapes))
    got = torch.as_tensor(got)
    got = (got + (got * got + (2 * GLOW * harmonics[..., :1, :]) ** 2).sqrt()) * EVEN
    share = strength[..., None, None]
    ratio = 1 - share + share * gain * got
    if shadow is not None:
        ratio = ratio * shadow
    linear = srgb_to_linear(splats.colors.clamp(0, BRIGHTEST_CODE)) * ratio
    return replace(splats, colors=linear_to_srgb(linear.clamp(max=BRIGHTEST)))


def srgb_to_linear(x: Tensor) -> Tensor:
    """As ``srgb.srgb_to_linear``."""
    a = x.abs()
    return torch.where(a <= 0.04045, a / 12.92, ((a + 0.055) / 1.055) ** 2.4).copysign(x)


def linear_to_srgb(x: Tensor) -> Tensor:
    """As ``srgb.linear_to_srgb``."""
    a = x.abs()
    return torch.where(a <= 0.0031308, a * 12.92, 1.055 * a ** (1 / 2.4) - 0.055).copysign(x)
