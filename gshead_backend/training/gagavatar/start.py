"""A network before its training: sizes out of a configuration, initial weights, and a backbone from the user's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from ...errors import ArgumentError
from ...methods.gagavatar.config import RELEASED, Config
from ...methods.gagavatar.gaussians import PlaneHead
from ...methods.gagavatar.network import Network
from ...methods.gagavatar.styleunet import ModulatedConv
from ...methods.gagavatar.vit import LayerScale
from ...methods.rar.backbone import not_a_backbone, vit_weights

LEVELS = tuple(f"level{i}" for i in range(4))
"""What a training configuration calls the four sizes of ``Config.levels``."""
LAYER_SCALE = 0.1
EMBEDDED = 0.02


def config_from(shape: Mapping[str, int], points: int) -> Config:
    """The network's sizes: the released ones but for those of ``shape``, for a head of ``points`` vertices.

    Raises ``ArgumentError`` for an unknown size, or one that cannot be.
    """
    known = asdict(RELEASED)
    unknown = [k for k in shape if k not in LEVELS and (k not in known or k in ("levels", "points"))]
    if unknown:
        names = [k for k in known if k not in ("levels", "points")] + list(LEVELS)
        raise ArgumentError(f"GAGAvatar has no size '{unknown[0]}'.", remedy=f"Sizes: {', '.join(names)}.")
    levels = tuple(shape.get(name, size) for name, size in zip(LEVELS, RELEASED.levels, strict=True))
    config = replace(RELEASED, **{k: v for k, v in shape.items() if k not in LEVELS}, levels=levels, points=points)
    wrong = ""
    if config.image % config.patch:
        wrong = f"image = {config.image} is no multiple of patch = {config.patch}"
    elif config.width % config.heads:
        wrong = f"width = {config.width} is no multiple of heads = {config.heads}"
    elif config.depth < 4 or config.depth > 64:
        wrong = f"depth = {config.depth} lies outside 4..64"
    elif config.size < 16 or config.size & (config.size - 1):
        wrong = f"size = {config.size} is no power of two from 16"
    elif config.features < 3:
        wrong = f"features = {config.features}: a Gaussian needs three for its colour"
    if wrong:
        raise ArgumentError(f"These sizes of GAGAvatar do not go together: {wrong}.")
    return config


def fresh_network(config: Config) -> Network:
    """Initial weights from torch's own generator: its usual ones, and those of StyleGAN2 and ViT where they differ."""
    net = Network(config)
    for module in net.modules():
        if isinstance(module, ModulatedConv):
            fan = module.weight[0, 0].numel()
            nn.init.normal_(module.weight, std=fan**-0.5)
            nn.init.ones_(module.modulation.bias)
            nn.init.normal_(module.modulation.weight, std=module.modulation.in_features**-0.5 * 0.3)
        elif isinstance(module, LayerScale):
            nn.init.constant_(module.gamma, LAYER_SCALE)
    for unit in net.base_model.refinenet:  # sums of many: each begins small
        for name, weight in unit.named_parameters():
            if name.endswith("conv2.weight"):
                nn.init.normal_(weight, std=1e-2 * weight[0].numel() ** -0.5)
    vit, decoder = net.base_model.dino_model, net.upsampler.stylegan_decoder
    for weight in (vit.pos_embed, vit.cls_token):
        nn.init.normal_(weight, std=EMBEDDED)
    for weight in (net.head_base, decoder.constant_input.weight, *decoder.noises.buffers()):
        nn.init.normal_(weight)
    for head in (net.gs_generator_l0, net.gs_generator_l1):
        _thin(head)
    return net


def _thin(head: PlaneHead) -> None:
    """Lifted Gaussians begin half as opaque and a third as large as nothing learned would have them: so many cover
    each pixel that the first steps would see the nearest alone."""
    last = head.gaussian_conv[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        first = head.features
        last.bias[first : first + 4] = -1.0  # opacity and three scales


def load_vit(net: Network, path: Path) -> None:
    """Put a user's DINOv2 weights into the encoder. Raises ``FileFormatError`` when they do not fit."""
    try:
        weights = vit_weights(path.read_bytes(), net.config.grid)
        net.base_model.dino_model.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, ValueError, IndexError, RuntimeError) as error:
        raise not_a_backbone(path, error) from error
