"""Features to Gaussians: one set per lifted plane, one at the driven head's vertices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from .config import Config

LARGEST_SCALE = 0.05
SIGMOID_COLUMNS = 3


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians without a place.

    Attributes:
        colors: (N, features). opacities: (N, 1) 0..1. scales: (N, 3) in the network's units (five to a metre).
        rotations: (N, 4) wxyz; those of the vertices are far from unit length, see ``PointHead``.
        positions: (N, 1) 0..1, how far a lifted one is from its plane; None at the vertices.
    """

    colors: Tensor
    opacities: Tensor
    scales: Tensor
    rotations: Tensor
    positions: Tensor | None = None


class PlaneHead(nn.Module):
    """A feature map (1, fused, s, s) and an encoded direction (D,) to s² Gaussians, row by row.

    The colours' sigmoid was meant for the first three channels; the public network applies it to the first three
    columns of the picture, in all channels. Its weights were trained so.
    """

    def __init__(self, c: Config, direction: int) -> None:
        super().__init__()
        self.features, h = c.features, c.lift_hidden
        out = c.features + 1 + 3 + 4 + 1
        self.gaussian_conv = nn.Sequential(
            nn.Conv2d(c.fused + direction, h, 3, padding=1), nn.ReLU(),
            nn.Conv2d(h, h, 3, padding=1), nn.ReLU(),
            nn.Conv2d(h, h, 3, padding=1), nn.ReLU(),
            nn.Conv2d(h, out, 1),
        )  # fmt: skip

    def forward(self, features: Tensor, direction: Tensor) -> Gaussians:
        along = direction[None, :, None, None].expand(-1, -1, *features.shape[2:])
        out = self.gaussian_conv(torch.cat([features, along], 1))[0]
        colors, opacity, scale, rotation, position = out.split([self.features, 1, 3, 4, 1])
        colors = torch.cat([colors[..., :SIGMOID_COLUMNS].sigmoid(), colors[..., SIGMOID_COLUMNS:]], -1)
        rows = (colors, opacity.sigmoid(), scale.sigmoid() * LARGEST_SCALE, normalize(rotation, dim=0))
        return Gaussians(*(x.flatten(1).T.contiguous() for x in (*rows, position.sigmoid())))


class PointHead(nn.Module):
    """Features (N, embedding + width) of the vertices and an encoded direction (D,) to N Gaussians.

    The public network normalises each component of the rotations over all vertices instead of each rotation over its
    components, and its rasterizer takes them so. With N = 5023 they are about 1/70 long: almost no rotation at all.
    """

    def __init__(self, c: Config, direction: int) -> None:
        super().__init__()
        wide = c.embedding + c.width
        thin = wide // 4
        self.feature_layers = nn.Sequential(
            nn.Linear(wide, thin), nn.ReLU(), nn.Linear(thin, thin), nn.ReLU(),
            nn.Linear(thin, thin), nn.ReLU(), nn.Linear(thin, thin),
        )  # fmt: skip

        def head(count: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(thin + direction, c.point_hidden), nn.ReLU(), nn.Linear(c.point_hidden, count)
            )

        self.color_layers, self.opacity_layers = head(c.features), head(1)
        self.scale_layers, self.rotation_layers = head(3), head(4)

    def forward(self, features: Tensor, direction: Tensor) -> Gaussians:
        x = self.feature_layers(features)
        x = torch.cat([x, direction.expand(x.shape[0], -1)], -1)
        colors = self.color_layers(x)
        colors = torch.cat([colors[:, :3].sigmoid(), colors[:, 3:]], -1)
        opacities, scales = self.opacity_layers(x).sigmoid(), self.scale_layers(x).sigmoid() * LARGEST_SCALE
        return Gaussians(colors, opacities, scales, normalize(self.rotation_layers(x), dim=0))
