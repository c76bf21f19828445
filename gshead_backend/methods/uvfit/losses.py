"""Image losses of the photo fit, cheap enough for a CPU: everything image-sized happens once per pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

_C1, _C2 = 0.01**2, 0.03**2
_WINDOW = 7


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) of two (1, C, H, W) images with a box window, valid region only."""

    def mean(x: Tensor) -> Tensor:
        return avg_pool2d(x, _WINDOW, 1)

    stack = mean(torch.cat([a, b, a * a, b * b, a * b], 1))
    ma, mb, aa, bb, ab = stack.chunk(5, 1)
    va, vb, cab = aa - ma * ma, bb - mb * mb, ab - ma * mb
    return ((2 * ma * mb + _C1) * (2 * cab + _C2)) / ((ma * ma + mb * mb + _C1) * (va + vb + _C2))


def photo_loss(color: Tensor, alpha: Tensor, target: Tensor, matte: Tensor, weight: Tensor, grey: float) -> Tensor:
    """``.8 |colour difference| + .2 (1 - SSIM) + .5 |alpha - matte|``, both sides composited over the same grey.

    Both sides with the rendered alpha: were the target composited with the matte, splats that reach a little beyond
    it would turn grey to make up for their opacity, which the opacities' own term is there for.

    Args:
        color: (H, W, 3) premultiplied render. alpha: (H, W). target: (H, W, 3) straight colours. matte: (H, W).
        weight: (H, W) 0..1 how much each pixel counts.
    """
    shown = color + (1 - alpha.detach())[..., None] * grey
    covered = alpha.detach()[..., None]
    wanted = target * covered + (1 - covered) * grey
    total = weight.sum().clamp(min=1)
    # The length of the colour difference, not the sum of its channels: colours then travel straight to their target
    # instead of first along the channels, which would tint whatever does not arrive.
    difference = ((shown - wanted) ** 2).sum(-1).add(1e-6).sqrt() / 3**0.5
    l1 = (difference * weight).sum() / total
    # One channel is enough for structure, and three times cheaper; a plain mean, since luma would pull at green most.
    similarity = ssim_map(shown.mean(-1)[None, None], wanted.mean(-1)[None, None])[0, 0]
    h = _WINDOW // 2
    inner = weight[h:-h, h:-h]
    structure = ((1 - similarity) * inner).sum() / inner.sum().clamp(min=1)
    mask = ((alpha - matte).abs() * weight).sum() / total
    return 0.8 * l1 + 0.2 * structure + 0.5 * mask
