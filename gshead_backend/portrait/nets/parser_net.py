"""The parser's network: a U-Net whose finest level works on 2x2 pixels at once."""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional as F

from ..labels import LABELS
from .inputs import PARSER_CHANNELS, PERSON_CHANNELS
from .layers import ConvNorm, Residual

VERSION = 2
OUTPUTS = len(LABELS) + 1
DEFAULT_SHAPE = {"w0": 16, "w1": 32, "w2": 64, "w3": 128, "w4": 128}


class ParserNet(nn.Module):
    """Batches of ``inputs.ParserInput`` to (B, 13, S, S) logits: the classes of ``labels.LABELS``, then the matte.

    The person network's maps join the levels of their own size.

    Args:
        w0..w4: channels at 1/2, 1/4, ... 1/32 of the input.
    """

    def __init__(self, w0: int = 16, w1: int = 32, w2: int = 64, w3: int = 128, w4: int = 128) -> None:
        super().__init__()
        widths = (w0, w1, w2, w3, w4)
        steps = tuple(itertools.pairwise(widths))
        self.stem = ConvNorm(4 * PARSER_CHANNELS, w0)
        self.join = nn.ModuleList(ConvNorm(c, w, kernel=1) for c, w in zip(PERSON_CHANNELS, widths[:4], strict=True))
        self.shrink = nn.ModuleList(ConvNorm(a, b, stride=2) for a, b in steps)
        self.levels = nn.ModuleList(
            nn.Sequential(*(Residual(w) for _ in range(n))) for w, n in zip(widths[1:], (1, 2, 2, 2), strict=True)
        )
        self.lift = nn.ModuleList(ConvNorm(b, a, kernel=1) for a, b in steps)
        self.merge = nn.ModuleList(ConvNorm(a, a) for a, _ in steps)
        self.context = nn.Sequential(nn.Linear(w4, w4), nn.ReLU(), nn.Linear(w4, w4), nn.Sigmoid())
        known = w0 + 4 * PARSER_CHANNELS  # the inputs themselves already say much, and where exactly
        self.classes = nn.Linear(known, 4 * len(LABELS))
        self.matte = nn.Linear(known, 4)

    def forward(self, crop: torch.Tensor, *maps: torch.Tensor) -> torch.Tensor:
        classes, matte = self.tell(self.features(crop, *maps))
        return torch.cat([unpacked(classes), unpacked(matte)], 1)

    def features(self, crop: torch.Tensor, *maps: torch.Tensor) -> torch.Tensor:
        """(B, S/2, S/2, w0 + 36): what is known of each cell of 2x2 pixels of crops (B, 9, S, S), and their input."""
        seen = F.pixel_unshuffle(crop, 2).contiguous(memory_format=torch.channels_last)
        joined = [j(m.contiguous(memory_format=torch.channels_last)) for j, m in zip(self.join, maps, strict=True)]
        kept = [self.stem(seen) + joined[0]]
        for i, (shrink, level) in enumerate(zip(self.shrink, self.levels, strict=True), 1):
            x = shrink(kept[-1])
            kept.append(level(x + joined[i] if i < len(joined) else x))
        x = kept[-1] * self.context(kept[-1].mean((2, 3)))[:, :, None, None]
        for i in reversed(range(len(self.lift))):
            x = self.merge[i](kept[i] + F.interpolate(self.lift[i](x), scale_factor=2.0, mode="nearest"))
        return torch.cat([x, seen.to(x.dtype)], 1).permute(0, 2, 3, 1)

    def tell(self, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(..., w0 + 36) cells to class logits (..., 4, 12) and matte logits (..., 4, 1) of their pixels.

        Losses take a part of the cells only: all of them cost twice as much as the network on a CPU.
        """
        return self.classes(cells).unflatten(-1, (4, len(LABELS))), self.matte(cells).unflatten(-1, (4, 1))


def packed(values: torch.Tensor) -> torch.Tensor:
    """(B, S, S) pixels to (B, S/2, S/2, 4), pixels in the order of :meth:`ParserNet.tell`."""
    b, h, w = values.shape
    return values.reshape(b, h // 2, 2, w // 2, 2).permute(0, 1, 3, 2, 4).reshape(b, h // 2, w // 2, 4)


def unpacked(rows: torch.Tensor) -> torch.Tensor:
    """(B, S/2, S/2, 4, C) to (B, C, S, S)."""
    b, h, w, _, c = rows.shape
    return rows.reshape(b, h, w, 2, 2, c).permute(0, 5, 1, 3, 2, 4).reshape(b, c, 2 * h, 2 * w)
