"""The motion network: a VAE of how expressions deform a head, in UV space."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

VERSION = 1


class _Conv(nn.Sequential):
    """Convolution and SiLU. Nothing normalises: how strong a movement is, is half of what there is to be known."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # signals keep their size on the way
        super().__init__(conv, nn.SiLU())


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inside = nn.Sequential(_Conv(channels, channels), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inside(x)


class MotionNet(nn.Module):
    """Maps of moved places (B, 3, S, S) to the expression code, and codes to displacement maps (B, 3, S, S).

    Units are 2 mm; zero where the UV map holds no surface.

    Args:
        size: S, a multiple of 16. w0, w1, w2: channels at 1/2, 1/4 and 1/8. latent: length of the code.
    """

    def __init__(self, size: int = 128, w0: int = 24, w1: int = 48, w2: int = 64, latent: int = 32) -> None:
        super().__init__()
        low = size // 16
        self.low, self.latent = low, latent
        self.shrink = nn.Sequential(
            _Conv(12, w0), _Conv(w0, w1, stride=2), _Residual(w1), _Conv(w1, w2, stride=2), _Residual(w2),
            _Conv(w2, w2, stride=2),
        )  # fmt: skip
        self.code = nn.Linear(w2 * low * low, 2 * latent)
        self.start = nn.Linear(latent, w2 * low * low)
        self.coarse = nn.Sequential(_Residual(w2), _Conv(w2, w2))
        self.middle = nn.Sequential(_Residual(w2), _Conv(w2, w1, kernel=1))
        self.fine = nn.Sequential(_Residual(w1), _Conv(w1, w0, kernel=1))
        self.out = nn.Sequential(_Residual(w0), nn.Conv2d(w0, 12, 3, padding=1))
        self.w2 = w2
        nn.init.normal_(self.start.weight, std=latent**-0.5)
        assert self.code.bias is not None
        with torch.no_grad():
            self.code.bias[latent:] = -4  # sharp codes at first, or the noise would hide them and nothing be learned
        for p in self.out[1].parameters():
            nn.init.zeros_(p)  # no displacement to begin with

    def encode(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the code: (B, latent) each. The mean is what decoders and drives use."""
        x = F.pixel_unshuffle(moved, 2).contiguous(memory_format=torch.channels_last)
        mean, spread = self.code(self.shrink(x).flatten(1)).chunk(2, 1)
        return mean, spread.clamp(-12, 4)

    def decode(self, code: Tensor) -> Tensor:
        """(B, latent) to displacements (B, 3, S, S)."""
        x = self.start(code).reshape(len(code), self.w2, self.low, self.low)
        for level in (self.coarse, self.middle, self.fine):
            x = F.interpolate(level(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return F.pixel_shuffle(self.out(x), 2)

    def forward(self, moved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Displacements, and the code's mean and log variance; in training mode from a drawn code."""
        mean, spread = self.encode(moved)
        code = mean + torch.randn_like(mean) * (0.5 * spread).exp() if self.training else mean
        return self.decode(code), mean, spread


def divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the unit normal, nats a sample (Kingma and Welling 2014)."""
    return 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(1).mean()
