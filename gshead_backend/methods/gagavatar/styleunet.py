"""The neural renderer: a 32-channel raster to a picture. U-Net around a StyleGAN2-like decoder (as in GFPGAN)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu

from .config import Config

SLOPE = 0.2
EPSILON = 1e-8
MAPPING_LAYERS = 8


def _scaled(x: Tensor, factor: float) -> Tensor:
    return interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class ResBlock(nn.Module):
    """Two convolutions, the side times ``factor`` between them, beside a 1 x 1 one."""

    def __init__(self, channels: int, out: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, out, 3, padding=1)
        self.skip = nn.Conv2d(channels, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = _scaled(leaky_relu(self.conv1(x), SLOPE), self.factor)
        return leaky_relu(self.conv2(y), SLOPE) + self.skip(_scaled(x, self.factor))


class ModulatedConv(nn.Module):
    """A convolution whose input channels are weighted by the style; one picture at a time."""

    def __init__(self, channels: int, out: int, kernel: int, style: int, *, demodulate: bool) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.modulation = nn.Linear(style, channels)
        self.weight = nn.Parameter(torch.zeros(1, out, channels, kernel, kernel))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        kernel = self.weight[0] * self.modulation(style)[None, :, None, None]
        if self.demodulate:
            kernel = kernel * torch.rsqrt(kernel.square().sum((1, 2, 3), keepdim=True) + EPSILON)
        return conv2d(x, kernel, padding=kernel.shape[-1] // 2)


class StyleConv(nn.Module):
    def __init__(self, channels: int, out: int, style: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.modulated_conv = ModulatedConv(channels, out, 3, style, demodulate=True)
        self.weight = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, out, 1, 1))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        x = self.modulated_conv(_scaled(x, 2) if self.up else x, style) * 2**0.5
        return leaky_relu(x + self.weight * noise + self.bias, SLOPE)


class ToRGB(nn.Module):
    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv(channels, 3, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, coarser: Tensor | None = None) -> Tensor:
        x = self.modulated_conv(x, style) + self.bias
        return x if coarser is None else x + _scaled(coarser, 2)


class NormStyle(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)


class Constant(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, channels, 4, 4))

    def forward(self) -> Tensor:
        return self.weight


class Noises(nn.Module):
    """One plane of noise per style convolution. Stored noise, not fresh: the same frame has to give the same bytes."""

    def __init__(self, sides: list[int]) -> None:
        super().__init__()
        for i, side in enumerate(sides):
            self.register_buffer(f"noise{i}", torch.zeros(1, 1, side, side))

    def __getitem__(self, i: int) -> Tensor:
        return self.get_buffer(f"noise{i}")

    def drawn(self) -> list[Tensor]:
        """Fresh noise of the same shapes, from torch's own generator: what the public code trains with."""
        return [torch.randn_like(plane) for plane in self.buffers()]


class Decoder(nn.Module):
    """Style code (style,) and a scale and a shift per level to a picture (1, 3, size, size) before its sigmoid."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        channels = 2 * c.unet_channels(4)
        mapping: list[nn.Module] = [NormStyle()]
        for _ in range(MAPPING_LAYERS):
            mapping += [nn.Linear(c.style, c.style), nn.LeakyReLU(SLOPE)]
        self.style_mlp = nn.Sequential(*mapping)
        self.constant_input = Constant(channels)
        self.style_conv1 = StyleConv(channels, channels, c.style, up=False)
        self.to_rgb1 = ToRGB(channels, c.style)
        self.style_convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for side in c.sides:
            out = 2 * c.unet_channels(side)
            self.style_convs.append(StyleConv(channels, out, c.style, up=True))
            self.style_convs.append(StyleConv(out, out, c.style, up=False))
            self.to_rgbs.append(ToRGB(out, c.style))
            channels = out
        self.noises = Noises([4, *(side for side in c.sides for _ in range(2))])

    def forward(
        self, style: Tensor, conditions: list[tuple[Tensor, Tensor]], noises: Sequence[Tensor] | None = None
    ) -> Tensor:
        """``noises``: in place of the stored ones."""
        noise = self.noises if noises is None else noises
        style = self.style_mlp(style)
        x = self.style_conv1(self.constant_input(), style, noise[0])
        picture = self.to_rgb1(x, style)
        for i, (scale, shift) in enumerate(conditions):
            x = self.style_convs[2 * i](x, style, noise[2 * i + 1])
            x = self.style_convs[2 * i + 1](x * scale + shift, style, noise[2 * i + 2])
            picture = self.to_rgbs[i](x, style, picture)
        return picture


class StyleUNet(nn.Module):
    """Raster (1, features, size, size) to a picture (1, 3, size, size) in 0..1."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        channels = [c.unet_channels(4), *(c.unet_channels(side) for side in c.sides)]
        pairs = list(pairwise(channels))
        self.conv_body_first = nn.Conv2d(c.features, channels[-1], 1)
        self.conv_body_down = nn.ModuleList(ResBlock(fine, coarse, 0.5) for coarse, fine in reversed(pairs))
        self.final_conv = nn.Conv2d(channels[0], channels[0], 3, padding=1)
        self.conv_body_up = nn.ModuleList(ResBlock(coarse, fine, 2) for coarse, fine in pairs)
        self.final_linear = nn.Linear(channels[0] * 16, c.style)
        self.condition_scale = nn.ModuleList(self._condition(n) for n in channels[1:])
        self.condition_shift = nn.ModuleList(self._condition(n) for n in channels[1:])
        self.stylegan_decoder = Decoder(c)

    @staticmethod
    def _condition(channels: int) -> nn.Sequential:
        first, second = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, 2 * channels, 3, padding=1)
        return nn.Sequential(first, nn.LeakyReLU(SLOPE), second)

    def forward(self, raster: Tensor, noises: Sequence[Tensor] | None = None) -> Tensor:
        """``noises``: planes for the decoder in place of the stored ones."""
        x = leaky_relu(self.conv_body_first(raster), SLOPE)
        skips = []
        for block in self.conv_body_down:
            x = block(x)
            skips.append(x)
        x = leaky_relu(self.final_conv(x), SLOPE)
        style = self.final_linear(x.flatten())
        conditions = []
        for i, block in enumerate(self.conv_body_up):
            x = block(x + skips[-1 - i])
            conditions.append((self.condition_scale[i](x), self.condition_shift[i](x)))
        return self.stylegan_decoder(style, conditions, noises).sigmoid()
