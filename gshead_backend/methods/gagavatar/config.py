"""Sizes of the network. The released weights fit one of them; tests use a small one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Config:
    """Every size that shapes a weight or a picture.

    Attributes:
        image: side of the photo the encoder sees, pixels; a multiple of ``patch``.
        patch: side of a ViT patch. width, depth, heads: of the ViT.
        levels: channels that the last four blocks are projected to.
        fused: channels of the feature map.
        points: vertices of the driven head. embedding: learnt features of each.
        features: channels of a Gaussian.
        lift_hidden: channels inside the heads of the lifted planes. point_hidden: inside the vertices' head.
        size: side of the picture, pixels, a power of two. style: length of the style code.
        unet_most, unet_total: a U-Net level of side s has min(most, total / s) channels; the decoder twice as many.
    """

    image: int = 518
    patch: int = 14
    width: int = 768
    depth: int = 12
    heads: int = 12
    levels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    fused: int = 256
    points: int = 5023
    embedding: int = 256
    features: int = 32
    lift_hidden: int = 128
    point_hidden: int = 128
    size: int = 512
    style: int = 512
    unet_most: int = 256
    unet_total: int = 8192

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.image // self.patch

    @property
    def plane(self) -> int:
        """Lifted points along a side."""
        return 8 * self.grid

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the U-Net's levels, smallest (8) first."""
        return tuple(2**i for i in range(3, self.size.bit_length()))

    def unet_channels(self, side: int) -> int:
        return min(self.unet_most, self.unet_total // side)


RELEASED = Config()
"""What the published weights fit."""

LARGEST = 200_000
"""Of any size."""


def config_of(sizes: Mapping[str, Any]) -> Config:
    """The released sizes but for those given, as a file has them. Raises ``ValueError``."""
    config = replace(RELEASED, **{k: tuple(v) if isinstance(v, list) else v for k, v in sizes.items()})
    numbers = [n for v in asdict(config).values() for n in (v if isinstance(v, tuple) else (v,))]
    if not all(type(n) is int and 0 < n <= LARGEST for n in numbers) or len(config.levels) != 4:
        raise ValueError(f"a size is not a number from 1 to {LARGEST}")
    return config
