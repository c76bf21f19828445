"""The network's pictures with gradients: photo and target to the rough and the finished picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...methods.gagavatar.encoder import Features
from ...methods.gagavatar.gaussians import Gaussians
from ...methods.gagavatar.lifting import opencv_camera
from ...methods.gagavatar.network import Identity, Network
from ...methods.gagavatar.raster_gradient import rasterize_trainable

RENDERER, PLANE, LIFTING = "renderer", "plane", "lifting"
"""Ablations: without the neural renderer, with one lifted plane, without the lifting loss."""


@dataclass(frozen=True)
class Painted:
    """One sample. raw: (3, S, S) the raster's first channels. picture: (3, S, S) what the network says. lifted: (L, 3)
    the planes' points, units."""

    raw: Tensor
    picture: Tensor
    lifted: Tensor


def paint(net: Network, batch: dict[str, Tensor], *, ablate: str = "", fresh: bool = False) -> list[Painted]:
    """Every sample of a batch (``pairs.pair_item``); the photos are read together, the rest goes one by one.

    Args:
        ablate: see above. fresh: new noise for the decoder from torch's generator, as the public code trains with;
            otherwise the stored one, which is used afterwards.
    """
    features = net.base_model(batch["image"].float() / 255)
    return [_one(net, features, batch, i, ablate, fresh) for i in range(len(batch["image"]))]


def _one(net: Network, features: Features, batch: dict[str, Tensor], i: int, ablate: str, fresh: bool) -> Painted:
    device = features.map.device
    own = Features([], features.map[i : i + 1].float(), features.vector[i : i + 1].float())
    with torch.autocast(device.type, enabled=False):  # places need more than half precision
        person = net.lift(own, batch["source"][i].cpu().numpy())
        if ablate == PLANE:
            person = _one_plane(person)
        placed = person.placed(batch["points"][i])
        camera = opencv_camera(batch["camera"][i].cpu().numpy(), net.config.size)
        raster = rasterize_trainable(placed, camera)
    raw, lifted = raster[:3], torch.cat([person.front_xyz, person.back_xyz])
    if ablate == RENDERER:
        return Painted(raw, raw, lifted)
    noises = net.upsampler.stylegan_decoder.noises.drawn() if fresh else None
    return Painted(raw, net.upsampler(raster[None], noises)[0].float(), lifted)


def _one_plane(person: Identity) -> Identity:
    """Without the plane behind."""
    b = person.back
    rows = (b.colors, b.opacities, b.scales, b.rotations)
    return replace(person, back=Gaussians(*(f[:0] for f in rows)), back_xyz=person.back_xyz[:0])
