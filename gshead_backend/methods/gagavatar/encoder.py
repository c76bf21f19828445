"""Photo to feature map: four levels of the transformer, fused from coarse to fine (as in DPT, Ranftl et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from .config import Config
from .vit import VisionTransformer

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, which the transformer was trained with."""


@dataclass(frozen=True)
class Features:
    """What the encoder says about a photo.

    Attributes:
        levels: four (B, grid², width) patch tokens of the last blocks, first of them first.
        map: (B, fused, plane, plane).
        vector: (B, width). The public network takes the top left patch token of the last level for it, where the class
            token was meant; its weights were trained so.
    """

    levels: list[Tensor]
    map: Tensor
    vector: Tensor


def resize(image: Tensor, side: int) -> Tensor:
    """(B, C, H, W) to (B, C, side, side), bilinear, smoothed where it shrinks."""
    return interpolate(image, (side, side), mode="bilinear", align_corners=False, antialias=True)


class ResidualUnit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(relu(self.conv1(relu(x)))) + x


class Fusion(nn.Module):
    """Add a finer level to what came from the coarser ones and scale up. The coarsest has nothing to add to."""

    def __init__(self, channels: int, *, adds: bool) -> None:
        super().__init__()
        if adds:
            self.resConfUnit1 = ResidualUnit(channels)
        self.resConfUnit2 = ResidualUnit(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, finer: Tensor | None, side: int) -> Tensor:
        if finer is not None:
            x = x + self.resConfUnit1(finer)
        x = interpolate(self.resConfUnit2(x), (side, side), mode="bilinear", align_corners=True)
        return self.out_conv(x)


class Encoder(nn.Module):
    """Photo (B, 3, image, image) in 0..1 to ``Features``."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.grid, self.plane = c.grid, c.plane
        self.dino_model = VisionTransformer(c)
        self.projects = nn.ModuleList(nn.Conv2d(c.width, n, 1) for n in c.levels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(c.levels[0], c.levels[0], 4, 4),
                nn.ConvTranspose2d(c.levels[1], c.levels[1], 2, 2),
                nn.Identity(),
                nn.Conv2d(c.levels[3], c.levels[3], 3, 2, padding=1),
            ]
        )
        self.layer_rn = nn.ModuleList(nn.Conv2d(3 + n, c.fused, 3, padding=1, bias=False) for n in c.levels)
        self.refinenet = nn.ModuleList(Fusion(c.fused, adds=i > 0) for i in range(4))
        self.output_conv = nn.Conv2d(c.fused, c.fused, 3, padding=1)

    def forward(self, image: Tensor) -> Features:
        image = (image - image.new_tensor(MEAN)[:, None, None]) / image.new_tensor(STD)[:, None, None]
        levels = self.dino_model(image)
        maps = [self._level(i, tokens, image) for i, tokens in enumerate(levels)]
        x, finer = maps[3], None
        for i in range(4):
            side = maps[2 - i].shape[-1] if i < 3 else self.plane
            x = self.refinenet[i](x, finer, side)
            finer = maps[2 - i]
        return Features(levels, self.output_conv(x), levels[-1][:, 0])

    def _level(self, i: int, tokens: Tensor, image: Tensor) -> Tensor:
        """One level as a map (B, fused, s, s); the picture itself goes in beside the features."""
        x = tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        x = self.resize_layers[i](self.projects[i](x))
        return self.layer_rn[i](torch.cat([resize(image, x.shape[-1]), x], 1))
