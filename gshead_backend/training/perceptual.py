"""Perceptual distance by the project's own frozen features: the portrait parser's first levels.

The papers use VGG. Its weights do not come with the project, so this takes what the parser learned to tell skin, hair,
lips and eyes apart. Numbers are therefore not those of LPIPS and are never called so.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..portrait.nets.inputs import PARSER_CHANNELS, PERSON_CHANNELS
from ..portrait.nets.parser import load_parser


class FrozenFeatures(nn.Module):
    """Feature maps of pictures at 1/2, 1/4 and 1/8 of their size, differentiable with respect to the pictures, on
    whose device it goes.

    Raises ``MissingWeightsError`` where the parser is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        net = load_parser()
        self.stem, self.shrink, self.levels = net.stem, net.shrink[:2], net.levels[:2]
        # What the other inputs add where nothing is known about the picture: constant maps.
        self.known = [j(torch.zeros(1, c, 4, 4)).mean((2, 3), keepdim=True) for j, c in
                      zip(net.join[:3], PERSON_CHANNELS[:3], strict=True)]  # fmt: skip
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) sRGB 0..1, sides divisible by 8; features (B, C, H/2..H/8, W/2..W/8), unit length over C."""
        self.to(image.device)
        shown = torch.zeros(len(image), PARSER_CHANNELS, *image.shape[2:], dtype=image.dtype, device=image.device)
        shown = torch.cat([(image * 255 - 127.5) / 64, shown[:, 3:]], 1)
        seen = F.pixel_unshuffle(shown, 2).contiguous(memory_format=torch.channels_last)
        x = self.stem(seen) + self.known[0].to(image.device)
        out = [x]
        for i, (shrink, level) in enumerate(zip(self.shrink, self.levels, strict=True), 1):
            x = level(shrink(x) + self.known[i].to(image.device))
            out.append(x)
        return [F.normalize(f, dim=1) for f in out]

    def distance(self, image: Tensor, target: Tensor) -> Tensor:
        """Mean over places and levels of how far unit features lie apart (L1); gradients flow to ``image`` alone.

        Args:
            image, target: (B, 3, H, W) sRGB 0..1.
        """
        with torch.no_grad():
            wanted = self(target)
        each = [(a - b).abs().sum(1).mean() for a, b in zip(self(image), wanted, strict=True)]
        return torch.stack(each).mean()
