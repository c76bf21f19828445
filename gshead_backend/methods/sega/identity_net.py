"""The identity network: a VQ-VAE of head crops. Its latents say who is to be seen; frozen once trained."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...portrait.nets.layers import ConvNorm, Residual

VERSION = 1
GRID = 32  # of latents, along each side
DECAY = 0.98  # of the codebook's averages a step
DEAD = 0.02  # of a code's fair share: below it, the code is put where an encoder output lies


class Quantised(NamedTuple):
    """latents: (B, D, h, w) codes, with the encoder's gradient (straight through). index: (B, h, w) which code.
    commitment: mean squared distance that the encoder still has to its codes."""

    latents: Tensor
    index: Tensor
    commitment: Tensor


class Codebook(nn.Module):
    """Vector quantisation (van den Oord et al. 2017) with averaged codes instead of gradients.

    Codes that nothing chooses any more start again from an output of the encoder.

    Args:
        codes: how many. dim: of each.
    """

    codes: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randn(codes, dim))
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, dim))

    def nearest(self, rows: Tensor) -> Tensor:
        """(n, D) float32 to (n,) index of the closest code; in full precision under autocast too: distances differ by
        less than the rounding of a product in bfloat16."""
        with torch.autocast(rows.device.type, enabled=False):
            return (self.codes.square().sum(1) - 2 * rows @ self.codes.T).argmin(1)

    def forward(self, z: Tensor) -> Quantised:
        """(B, D, h, w); in training mode the codes follow what chose them."""
        rows = z.detach().permute(0, 2, 3, 1).reshape(-1, z.shape[1]).float()
        if self.training and not bool(self.counts.any()):
            self._put(torch.arange(len(self.codes), device=rows.device), rows)
        index = self.nearest(rows)
        if self.training:
            self._follow(rows, index)
        chosen = self.codes[index].reshape(z.shape[0], *z.shape[2:], -1).permute(0, 3, 1, 2).to(z.dtype)
        commitment = F.mse_loss(z, chosen.detach())
        return Quantised(z + (chosen - z).detach(), index.reshape(z.shape[0], *z.shape[2:]), commitment)

    @torch.no_grad()
    def _follow(self, rows: Tensor, index: Tensor) -> None:
        count = torch.bincount(index, minlength=len(self.codes)).to(rows.dtype)
        total = torch.zeros_like(self.codes).index_add_(0, index, rows)
        self.counts.mul_(DECAY).add_(count, alpha=1 - DECAY)
        self.sums.mul_(DECAY).add_(total, alpha=1 - DECAY)
        self.codes.copy_(self.sums / self.counts.clamp(min=1e-6)[:, None])
        fair = self.counts.sum() / len(self.codes)
        self._put(torch.nonzero(self.counts < DEAD * fair)[:, 0], rows)

    @torch.no_grad()
    def _put(self, which: Tensor, rows: Tensor) -> None:
        """These codes onto random rows, with a share that keeps them alive until something has had time to choose."""
        if not len(which):
            return
        at = rows[torch.randint(len(rows), (len(which),), device=rows.device)]
        share = len(rows) / len(self.codes) / 4
        self.codes[which], self.counts[which], self.sums[which] = at, share, at * share


class IdentityNet(nn.Module):
    """(B, 3, 256, 256) sRGB -1..1, the person on grey, to latents (B, dim, 32, 32) and back.

    Args:
        w0, w1, w2: channels at 1/4, 1/8 and 1/16. dim, codes: the codebook's.
    """

    def __init__(self, w0: int = 32, w1: int = 80, w2: int = 128, dim: int = 32, codes: int = 512) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNorm(48, w0), Residual(w0))
        self.shrink = nn.Sequential(ConvNorm(w0, w1, stride=2), Residual(w1))
        self.context = _Context(w1, w2)
        self.encoded = nn.Sequential(Residual(w1), nn.Conv2d(w1, dim, 1))
        self.codebook = Codebook(codes, dim)
        self.start = nn.Sequential(ConvNorm(dim, w1), Residual(w1))
        self.around = _Context(w1, w2)
        self.grow = nn.Sequential(Residual(w1), ConvNorm(w1, w0, kernel=1))
        self.fine = nn.Sequential(Residual(w0), nn.Conv2d(w0, 4 * 16, 1), nn.PixelShuffle(2), nn.ReLU())
        self.pixels = nn.Sequential(nn.Conv2d(16, 12, 3, padding=1), nn.PixelShuffle(2))

    def encode(self, image: Tensor) -> Tensor:
        """Latents before quantisation: (B, dim, 32, 32)."""
        seen = F.pixel_unshuffle(image, 4).contiguous(memory_format=torch.channels_last)
        return self.encoded(self.context(self.shrink(self.stem(seen))))

    def identity(self, image: Tensor) -> Tensor:
        """``z_id``: quantised latents (B, dim, 32, 32)."""
        return self.codebook(self.encode(image)).latents

    def decode(self, latents: Tensor) -> Tensor:
        """(B, dim, 32, 32) to (B, 3, 256, 256)."""
        x = F.interpolate(self.grow(self.around(self.start(latents))), scale_factor=2.0, mode="nearest")
        return self.pixels(self.fine(x))

    def forward(self, image: Tensor) -> tuple[Tensor, Quantised]:
        """The picture as it comes back, and what lay between."""
        between = self.codebook(self.encode(image))
        return self.decode(between.latents), between


class _Context(nn.Module):
    """Looks farther: half the resolution, wider, added back."""

    def __init__(self, channels: int, wide: int) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            ConvNorm(channels, wide, stride=2), Residual(wide), ConvNorm(wide, channels, kernel=1, relu=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + F.interpolate(self.inside(x), scale_factor=2.0, mode="nearest"))
