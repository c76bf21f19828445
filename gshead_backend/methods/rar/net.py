"""The reconstructor: image tokens and a UV observation in, corrections of every texel's splat, codes and light out.

It may be as large as it likes, because it runs once a photo: what is driven afterwards is the avatar's low-rank
residual, whose cost depends on the number of splats and codes alone.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..common.edits import STATIC
from ..common.observe import CHANNELS, GLOBALS, PICTURE
from .drive_net import DriveNet

VERSION = 1
PATCH, COARSE = 16, 8
_TOKENS = (PICTURE // PATCH) ** 2
_STATIC_UNITS = (0.01, 0.01, 0.01, 0.3, 0.3, 0.3, 0.0, 0.0, 0.0, 2.0)
"""Sizes stay: the lattice's splats are coarser than an avatar's; what was learned about theirs would not hold there."""
_MOVED_UNITS = (0.004, 0.004, 0.004, 0.1, 0.1, 0.1)
_GAMMA, _SKY = 2.2, 0.15
_SHADED = 1.0  # at first, a hidden colour is as much darker as the light that reaches it is less
_CLOTHES = CHANNELS.index("clothes")
_KNOWN = 0.25  # confidence of the photo's colours from which they are left alone


class Prediction(NamedTuple):
    """static: (B, M, 10), see ``edits.STATIC``. basis: (B, M, 6, K). light: (B, 9, 3) SH radiance in head space."""

    static: Tensor
    basis: Tensor
    light: Tensor


class RarNet(nn.Module):
    """Queries at every patch of the UV map attend to the image's tokens; a convolutional decoder spreads the answer.

    Args:
        width: channels of the finest UV features. dim: of tokens. depth: blocks, of the image's transformer and of the
            queries'. heads: of attention. codes: of the drive network, a multiple of three. tokens: channels of an
            outside backbone's image tokens, 0 = the transformer trained here.
        flat: (M,) int64 places of the texels in the flattened map. size: texels a side. movable: (M,) 0..1 where shape
            and colour may change. glow: (M, 9) irradiance at the texels under each spherical harmonic.
        groups: (M, 3) 0..1 where eyes, mouth and expression may move splats.
    """

    flat: Tensor
    coarse: Tensor
    glow: Tensor
    movable: Tensor
    groups: Tensor
    static_units: Tensor
    moved_units: Tensor

    def __init__(
        self, *, width: int, dim: int, depth: int, heads: int, codes: int, flat: Tensor, size: int, movable: Tensor,
        glow: Tensor, groups: Tensor, features: int, tokens: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.size, self.codes = size, codes
        w = width
        self.backbone = SmallVit(dim, depth, heads) if not tokens else nn.Linear(tokens, dim)
        self.fact = nn.Linear(GLOBALS, dim)
        self.stem = _conv(len(CHANNELS) + 2, w)
        self.down1, self.down2 = _down(w, 2 * w), _down(2 * w, 4 * w)
        self.down3 = nn.Conv2d(4 * w, dim, 3, 2, 1)
        self.where = nn.Parameter(0.02 * torch.randn(1, (size // COARSE) ** 2, dim))
        self.blocks = nn.ModuleList(CrossBlock(dim, heads) for _ in range(depth))
        self.up2, self.up1, self.up0 = _conv(dim + 4 * w, 4 * w), _conv(6 * w, 2 * w), _conv(3 * w, w)
        self.static = nn.Conv2d(w, STATIC + 1, 1)
        self.basis = nn.Conv2d(2 * w, 6 * codes, 1)
        told = nn.Linear(64, 27)
        self.light = nn.Sequential(nn.Linear(dim + GLOBALS, 64), nn.GELU(), told)
        for last in (self.static, self.basis, told):  # a network that has learned nothing leaves uvfit's avatar
            for value in last.parameters():
                nn.init.zeros_(value)
        with torch.no_grad():
            cast(Tensor, self.static.bias)[STATIC] = _SHADED
        self.drive = DriveNet(features, codes)
        self.register_buffer("flat", flat, persistent=False)
        row, column = flat // size, flat % size
        self.register_buffer("coarse", (row // 2) * (size // 2) + column // 2, persistent=False)
        self.register_buffer("glow", glow, persistent=False)
        self.register_buffer("movable", movable, persistent=False)
        self.register_buffer("static_units", torch.tensor(_STATIC_UNITS), persistent=False)
        self.register_buffer("moved_units", torch.tensor(_MOVED_UNITS), persistent=False)
        self.register_buffer("groups", groups.repeat_interleave(codes // 3, 1), persistent=False)

    def forward(self, channels: Tensor, picture: Tensor, facts: Tensor, tokens: Tensor | None = None) -> Prediction:
        """
        Args:
            channels: (B, M, C). picture: (B, 6, P, P). facts: (B, G); see ``observe.Observation``.
            tokens: (B, T, D) of an outside backbone.
        """
        image = self.backbone(picture if tokens is None else tokens)
        context = torch.cat([image, self.fact(facts)[:, None]], 1)
        shade = self._shade(channels, facts)
        e0 = self.stem(self._map(torch.cat([channels, shade], 2)))
        e1 = self.down1(e0)
        e2 = self.down2(e1)
        side = self.size // COARSE
        x = self.down3(e2).flatten(2).transpose(1, 2) + self.where
        for block in self.blocks:
            x = block(x, context)
        x = x.transpose(1, 2).unflatten(2, (side, side))
        x = self.up2(torch.cat([_twice(x), e2], 1))
        half = self.up1(torch.cat([_twice(x), e1], 1))
        full = self.up0(torch.cat([_twice(half), e0], 1))
        said = self._texels(self.static(full))
        static = said[..., :STATIC] * self.static_units
        color = channels[..., :3] + 0.5
        shaded = color * ((said[..., STATIC:] * shade / _GAMMA).clamp(-1.5, 0.7).exp() - 1)
        static = torch.cat([static[..., :3], static[..., 3:6] + shaded, static[..., 6:]], 2)
        basis = self.basis(half).flatten(2)[:, :, self.coarse].transpose(1, 2).unflatten(2, (6, self.codes))
        basis = basis * self.moved_units[:, None] * self.groups[:, None]
        sure = (channels[..., 6:7] / _KNOWN).clamp(0, 1)
        worn = channels[..., _CLOTHES : _CLOTHES + 1].clamp(0, 1)  # a head's prior knows no wardrobe: uvfit's stays
        free = self.movable[None, :, None] * (1 - worn)
        allowed = torch.cat([free.expand(-1, -1, 3), (free * (1 - sure)).expand(-1, -1, 3), free.expand(-1, -1, 4)], 2)
        light = 2 * facts[:, :27] + self.light(torch.cat([context.mean(1), facts], 1))
        return Prediction(static * allowed, basis, light.unflatten(1, (9, 3)))

    def _shade(self, channels: Tensor, facts: Tensor) -> Tensor:
        """(B, M, 1) log of how much of the light that is read from the face arrives at each texel, beside what the
        photo shows. It tells the hidden side's brightness, which colours taken over from the seen side do not."""
        luminance = 2 * facts[:, :27].unflatten(1, (9, 3)).mean(2)
        arriving = (luminance @ self.glow.T).clamp(min=0)
        seen = channels[..., 6] + 1e-3
        mean = ((arriving * seen).sum(1) / seen.sum(1)).clamp(min=1e-3)[:, None]
        return ((arriving / mean + _SKY) / (1 + _SKY)).log()[..., None]

    def _map(self, channels: Tensor) -> Tensor:
        """(B, M, C) to (B, C + 1, S, S); the last channel says where there is surface."""
        b, m, _ = channels.shape
        full = torch.cat([channels, channels.new_ones(b, m, 1)], 2)
        out = channels.new_zeros(b, self.size**2, full.shape[2])
        out[:, self.flat] = full
        return out.transpose(1, 2).unflatten(2, (self.size, self.size))

    def _texels(self, maps: Tensor) -> Tensor:
        """(B, C, S, S) to (B, M, C)."""
        return maps.flatten(2)[:, :, self.flat].transpose(1, 2)


class SmallVit(nn.Module):
    """A plain vision transformer (Dosovitskiy et al. 2021) over the head crop with its matte and classes."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(6, dim, PATCH, PATCH)
        self.where = nn.Parameter(0.02 * torch.randn(1, _TOKENS, dim))
        self.blocks = nn.ModuleList(CrossBlock(dim, heads) for _ in range(depth))

    def forward(self, picture: Tensor) -> Tensor:
        x = self.patch(picture).flatten(2).transpose(1, 2) + self.where
        for block in self.blocks:
            x = block(x)
        return x


class CrossBlock(nn.Module):
    """Pre-norm attention to the tokens themselves, and to a context where one is given, then an MLP."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key_value, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        y = self.norm(x)
        seen = y if context is None else torch.cat([y, context], 1)
        q = self.query(y).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.key_value(seen).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x))


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1), nn.GroupNorm(4, outputs), nn.GELU())


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(4, outputs), nn.GELU(), *_conv(outputs, outputs)
    )


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
