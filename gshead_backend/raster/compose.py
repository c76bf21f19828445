"""From blended sums to a ``Rendered`` in torch: depth and background, the same for every backend."""

from __future__ import annotations

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
