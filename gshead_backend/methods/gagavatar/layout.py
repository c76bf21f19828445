"""What the released checkpoint holds: 597 entries by name and shape, and which of them nobody needs."""

from __future__ import annotations

import functools

import torch

from .config import RELEASED, Config
from .network import Network

PERCEPTUAL = "percep_loss."
"""Networks of the training loss; present in the released file and never looked at."""

_ALEXNET = ((1, 0, 64, 3, 11), (2, 3, 192, 64, 5), (3, 6, 384, 192, 3), (4, 8, 256, 384, 3), (5, 10, 256, 256, 3))
_VGG16 = (
    (0, 64, 3), (2, 64, 64), (5, 128, 64), (7, 128, 128), (10, 256, 128), (12, 256, 256), (14, 256, 256),
    (17, 512, 256), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512),
)  # fmt: skip


@functools.cache
def used_shapes(config: Config = RELEASED) -> dict[str, tuple[int, ...]]:
    """Name to shape of everything that inference needs: what ``Network`` holds."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in Network(config).state_dict().items()}


@functools.cache
def unused_shapes(config: Config = RELEASED) -> dict[str, tuple[int, ...]]:
    """Name to shape of what the released file holds besides: checked by name and shape, but for the perceptual part."""
    c, out = config, {"base_model.dino_model.mask_token": (1, config.width)}
    for conv in ("conv1", "conv2"):
        stem = f"base_model.refinenet.0.resConfUnit1.{conv}"
        out |= {f"{stem}.weight": (c.fused, c.fused, 3, 3), f"{stem}.bias": (c.fused,)}
    for i, side in enumerate(c.sides):
        out |= {f"upsampler.toRGB.{i}.weight": (3, c.unet_channels(side), 1, 1), f"upsampler.toRGB.{i}.bias": (3,)}
    return out


@functools.cache
def perceptual_shapes() -> dict[str, tuple[int, ...]]:
    """Name to shape of the perceptual part (AlexNet and VGG-16); ``recipe`` draws weights for it as well."""
    out: dict[str, tuple[int, ...]] = {}
    for part, index, n, channels, kernel in _ALEXNET:
        stem = f"{PERCEPTUAL}net.slice{part}.{index}"
        out |= {f"{stem}.weight": (n, channels, kernel, kernel), f"{stem}.bias": (n,)}
    for index, n, channels in _VGG16:
        stem = f"{PERCEPTUAL}vggface.network.{index}"
        out |= {f"{stem}.weight": (n, channels, 3, 3), f"{stem}.bias": (n,)}
    return out


def released_shapes(config: Config = RELEASED) -> dict[str, tuple[int, ...]]:
    """Name to shape of all entries of a released file."""
    return {**used_shapes(config), **unused_shapes(config), **perceptual_shapes()}
