"""From blended sums to a ``Rendered`` in torch: depth and background, the same for every backend."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .constants import ALPHA_MIN
from .types import Rendered


def finish(color: Tensor, alpha: Tensor, depth_sum: Tensor, background: Tensor | None) -> Rendered:
    """Turn sums over splats into the result.

    Args:
        color: (H, W, C) premultiplied. alpha: (H, W). depth_sum: (H, W) sum of weight times depth.
        background: (C,) or (H, W, C), composited behind; None leaves premultiplied colour.
    """
    covered = alpha >= ALPHA_MIN
    depth = torch.where(covered, depth_sum / alpha.clamp(min=ALPHA_MIN), torch.full_like(alpha, torch.inf))
    if background is not None:
        color = color + (1 - alpha)[..., None] * background
    return Rendered(color, alpha, depth)


def merge(layers: Sequence[Rendered]) -> Rendered:
    """Views of separate things through one camera to one: at every pixel the nearer over the farther, by mean depth.

    Args:
        layers: at least one; torch tensors, without backgrounds.
    """
    if len(layers) == 1:
        return layers[0]
    order = torch.stack([layer.depth for layer in layers]).argsort(dim=0, stable=True)
    alphas = torch.stack([layer.alpha for layer in layers]).gather(0, order)
    depths = torch.stack([layer.depth for layer in layers]).gather(0, order)
    colors = torch.stack([layer.color for layer in layers])
    colors = colors.gather(0, order[..., None].expand_as(colors))
    through, color = torch.ones_like(alphas[0]), torch.zeros_like(colors[0])
    far = torch.zeros_like(through)
    for a, c, z in zip(alphas, colors, depths, strict=True):
        color += through[..., None] * c
        far += torch.where(torch.isfinite(z), through * a * z, 0.0)
        through = through * (1 - a)
    return finish(color, 1 - through, far, None)
