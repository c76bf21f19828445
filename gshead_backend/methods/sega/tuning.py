"""Decoders of one person: fine-tuned on the photo they look at, before the static map is taken from them for good."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...camera import Camera
from ...head.pose import HeadPose
from ...portrait.types import Progress, no_progress
from ...raster import rasterize
from ..common.edits import EditedAvatar
from ..uvfit.losses import photo_loss
from .decoders_net import DecodersNet

RATE = 3e-4
HOLD = 0.3
"""How firmly tuned corrections are held to those before tuning where the photo shows nothing; a tenth where it does."""
_LIKE = torch.tensor([0.005] * 3 + [0.1] * 3 + [0.3] * 3 + [2.0])
"""Corrections of ``edits.STATIC`` channels that weigh alike."""


@dataclass(frozen=True)
class Photo:
    """What the decoders are tuned to.

    Attributes:
        pose, camera: of the photo. color: (H, W, 3) straight 0..1. matte, weight: (H, W) 0..1.
        trust: (M,) 0..1 how surely the photo shows each texel.
    """

    pose: HeadPose
    camera: Camera
    color: Tensor
    matte: Tensor
    weight: Tensor
    trust: Tensor


def tuned(
    net: DecodersNet, say: Callable[[DecodersNet], Tensor], edited: EditedAvatar, photo: Photo, steps: int, *,
    progress: Progress = no_progress, told: Callable[[float], object] = lambda loss: None,
) -> DecodersNet:  # fmt: skip
    """A copy of ``net`` after so many steps of Adam on all its weights; ``net`` itself when there are none.

    Args:
        say: the corrections (M, 10) of a network in the photo's pose. edited: the splats that they correct.
        told: called with the loss of every step. Raises what ``progress`` raises.
    """
    if steps <= 0:
        return net
    own = copy.deepcopy(net).requires_grad_(True)
    with torch.no_grad():
        start = say(net)
    hold = HOLD * (1.1 - photo.trust.clamp(0, 1))[:, None]
    adam = torch.optim.Adam(own.parameters(), lr=RATE, betas=(0.9, 0.99))
    for i in range(steps):
        progress(i / steps, "tuning the decoders to the photo")
        now = say(own)
        seen = rasterize(edited.drive(photo.pose, edited.overrides(now)), photo.camera)
        loss = photo_loss(seen.color, seen.alpha, photo.color, photo.matte, photo.weight, 0.5)
        loss = loss + (((now - start) / _LIKE).square() * hold).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        told(loss.item())
    return own.requires_grad_(False)
