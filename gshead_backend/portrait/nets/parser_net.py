"""The parser's network: a U-Net whose finest level works on 2x2 pixels at once."""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional as F

from ..labels import LABELS
from .inputs import PARSER_CHANNELS
from .layers import ConvNorm, Residual

VERSION = 1
OUTPUTS = len(LABELS) + 1
DEFAULT_SHAPE = {"w0": 16, "w1": 32, "w2": 64, "w3": 128, "w4": 160}


class ParserNet(nn.Module):
    """(B, 9, S, S) inputs to (B, 13, S, S) logits: the classes of ``labels.LABELS``, then the matte. S: times of 32.

    Args:
        w0..w4: channels at 1/2, 1/4, ... 1/32 of the input.
    """

    def __init__(self, w0: int = 16, w1: int = 32, w2: int = 64, w3: int = 128, w4: int = 160) -> None:
        super().__init__()
        widths = (w0, w1, w2, w3, w4)
        steps = tuple(itertools.pairwise(widths))
        self.stem = ConvNorm(4 * PARSER_CHANNELS, w0)
        self.shrink = nn.ModuleList(ConvNorm(a, b, stride=2) for a, b in steps)
        self.levels = nn.ModuleList(
            nn.Sequential(*(Residual(w) for _ in range(n))) for w, n in zip(widths[1:], (1, 2, 2, 2), strict=True)
        )
        self.lift = nn.ModuleList(ConvNorm(b, a, kernel=1) for a, b in steps)
        self.merge = nn.ModuleList(ConvNorm(a, a) for a, _ in steps)
        self.context = nn.Sequential(nn.Linear(w4, w4), nn.ReLU(), nn.Linear(w4, w4), nn.Sigmoid())
        self.classes = nn.Linear(w0, 4 * len(LABELS))
        self.matte = nn.Linear(w0, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        classes, matte = self.packed(x)
        return torch.cat([unpacked(classes), unpacked(matte)], 1)

    def packed(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Class logits (B, S/2, S/2, 4, 12) and matte logits (B, S/2, S/2, 4, 1): four pixels of 2x2 side by side.

        Losses work on these: pixels as rows need no copies, which were three quarters of a training step on a CPU.
        """
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        kept = [self.stem(x)]
        for shrink, level in zip(self.shrink, self.levels, strict=True):
            kept.append(level(shrink(kept[-1])))
        x = kept[-1] * self.context(kept[-1].mean((2, 3)))[:, :, None, None]
        for i in reversed(range(len(self.lift))):
            x = self.merge[i](kept[i] + F.interpolate(self.lift[i](x), scale_factor=2.0, mode="nearest"))
        rows = x.permute(0, 2, 3, 1)
        return self.classes(rows).unflatten(-1, (4, len(LABELS))), self.matte(rows).unflatten(-1, (4, 1))


def packed(values: torch.Tensor) -> torch.Tensor:
    """(B, S, S) pixels to (B, S/2, S/2, 4), the order of :meth:`ParserNet.packed`."""
    b, h, w = values.shape
    return values.reshape(b, h // 2, 2, w // 2, 2).permute(0, 1, 3, 2, 4).reshape(b, h // 2, w // 2, 4)


def unpacked(rows: torch.Tensor) -> torch.Tensor:
    """(B, S/2, S/2, 4, C) to (B, C, S, S)."""
    b, h, w, _, c = rows.shape
    return rows.reshape(b, h, w, 2, 2, c).permute(0, 5, 1, 3, 2, 4).reshape(b, c, 2 * h, 2 * w)
