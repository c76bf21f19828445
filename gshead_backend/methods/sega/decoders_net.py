"""The decoders of ``sega``: identity, expression and what the photo shows to maps of changes of splats."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...portrait.nets.layers import ConvNorm
from ..common.edits import COLOR, LOG_SCALE, LOGIT, SHIFT, STATIC
from ..common.observe import CHANNELS
from .facial import FacialCrop

VERSION = 1
HELD = 0.95
_EVIDENCE = tuple(CHANNELS.index(name) for name in ("confidence", "hair", "clothes"))
_POOLED = 4  # the identity's latents are averaged on a grid of so many cells a side


class Told(nn.Module):
    """Two 3x3 convolutions between which a code scales and shifts the channels (Perez et al. 2018, FiLM)."""

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(code, 2 * channels)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        nn.init.zeros_(self.second.weight)  # starts as the identity

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        gain, shift = self.film(code)[:, :, None, None].chunk(2, 1)
        return F.relu(x + self.second(self.first(x) * (1 + gain) + shift))


class MapDecoder(nn.Module):
    """A U-Net over maps that a code speaks into: (B, C, H, W) and (B, code) to (B, outputs, H, W), sides 16 n.

    What it tells starts at zero.
    """

    def __init__(self, inputs: int, outputs: int, code: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        steps = tuple(itertools.pairwise(widths))
        self.stem = ConvNorm(4 * inputs, widths[0])
        self.down = nn.ModuleList(ConvNorm(a, b, stride=2) for a, b in steps)
        self.deep = nn.ModuleList(Told(b, code) for _, b in steps)
        self.lift = nn.ModuleList(ConvNorm(b, a, kernel=1) for a, b in steps)
        self.high = nn.ModuleList(Told(a, code) for a, _ in steps)
        self.out = nn.Conv2d(widths[0], 4 * outputs, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, maps: Tensor, code: Tensor) -> Tensor:
        kept = [self.stem(F.pixel_unshuffle(maps, 2).contiguous(memory_format=torch.channels_last))]
        for down, deep in zip(self.down, self.deep, strict=True):
            kept.append(deep(down(kept[-1]), code))
        x = kept[-1]
        for i in reversed(range(len(self.lift))):
            x = kept[i] + F.interpolate(self.lift[i](x), scale_factor=2.0, mode="nearest")
            x = self.high[i](x, code)
        return F.pixel_shuffle(self.out(x), 2)


class IdentityCode(nn.Module):
    """(B, dim, 32, 32) latents of the identity network to a vector (B, code)."""

    def __init__(self, dim: int, code: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Linear(dim * _POOLED**2, code), nn.ReLU(), nn.Linear(code, code), nn.ReLU())

    def forward(self, latents: Tensor) -> Tensor:
        return self.reduce(F.adaptive_avg_pool2d(latents, _POOLED).flatten(1))


class DecodersNet(nn.Module):
    """Both decoders: ``G_s = Dec_s(z_id, what the photo shows)`` and ``G_d = Dec_d(z_id, z_e, what it shows)``.

    Both tell maps of ``edits.STATIC`` channels: corrections of the splats that ``uvfit`` placed.

    Args:
        inputs: channels of the maps. facts: numbers that hold for the whole portrait. dim: channels of the identity's
            latents. latent: length of the expression code. code: length of the identity's vector.
        w0 .. w3: channels of the static decoder at 1/2 .. 1/16. d0 .. d2: of the dynamic one at 1/2 .. 1/8.
    """

    unit: Tensor

    def __init__(
        self, inputs: int = 21, facts: int = 33, dim: int = 32, latent: int = 32, code: int = 64, w0: int = 24,
        w1: int = 40, w2: int = 64, w3: int = 96, d0: int = 24, d1: int = 40, d2: int = 64,
    ) -> None:  # fmt: skip
        super().__init__()
        self.who = IdentityCode(dim, code)
        self.fixed = MapDecoder(inputs, STATIC, code + facts, (w0, w1, w2, w3))
        self.moving = MapDecoder(inputs, STATIC, code + facts + latent, (d0, d1, d2))
        unit = torch.empty(STATIC)
        unit[SHIFT], unit[COLOR], unit[LOG_SCALE], unit[LOGIT] = 0.01, 0.1, 0.1, 2.0
        self.register_buffer("unit", unit[:, None, None], persistent=False)

    def static(self, maps: Tensor, latents: Tensor, facts: Tensor) -> Tensor:
        """``G_s``: maps (B, C, S, S), latents (B, dim, 32, 32) and facts (B, F) to (B, 10, S, S)."""
        return self.unit * self.fixed(maps, torch.cat([self.who(latents), facts], 1))

    def dynamic(self, maps: Tensor, latents: Tensor, facts: Tensor, codes: Tensor) -> Tensor:
        """``G_d`` of the facial crop: maps (B, C, h, w) of it and expression codes (B, latent) to (B, 10, h, w)."""
        return self.unit * self.moving(maps, torch.cat([self.who(latents), facts, codes], 1))


def fuse(static: Tensor, dynamic: Tensor | None, crop: FacialCrop) -> Tensor:
    """``G = (1 - M) G_s + M G_d``: static (1 or B, 10, S, S), dynamic (B, 10, h, w) or None for all static."""
    if dynamic is None:
        return static
    rows, columns = crop.rows, crop.columns
    mask = torch.as_tensor(crop.mask, dtype=static.dtype, device=static.device)[rows, columns]
    out = static.expand(len(dynamic), -1, -1, -1).clone()
    out[:, :, rows, columns] = (1 - mask) * out[:, :, rows, columns] + mask * dynamic
    return out


def gate(maps: Tensor) -> Tensor:
    """(B, 10, S, S) how far corrections may go, from maps (B, C, S, S) of ``observe.CHANNELS``.

    What the photo shows clearly, it knows better than any prior: without this, decoders blur eyes and brows that lie a
    pixel off. Hair keeps its freedom of shape, since the photo does not tell how deep it is. Clothes stay as they are:
    heads teach nothing about a wardrobe (a space suit lost 1 dB of the whole source view).
    """
    trust, hair, clothes = (maps[:, i : i + 1].clamp(0, 1) for i in _EVIDENCE)
    color = (1 - HELD * trust) * (1 - clothes)
    shape = (1 - HELD * trust * (1 - hair)) * (1 - clothes)
    return torch.cat([color if COLOR.start <= k < COLOR.stop else shape for k in range(STATIC)], 1)
