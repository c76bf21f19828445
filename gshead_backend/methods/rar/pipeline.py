"""``reconstruct``: the trained prior, then the fit to the photo."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...avatar.drive import pose_features
from ...avatar.types import Avatar
from ...errors import MissingWeightsError
from ...head.model import HeadModel
from ...portrait.types import PortraitFit, Progress
from .. import ReconstructOptions
from ..common.edits import Edits
from ..common.learned import reconstruct_with
from ..common.observe import Observation
from ..uvfit.pipeline import reconstruct as reconstruct_uvfit
from .backbone import Backbone, required_backbone
from .build import NAME, load_net
from .drive_net import linearised
from .net import RarNet

_log = logging.getLogger(__name__)


def reconstruct(fit: PortraitFit, head: HeadModel, options: ReconstructOptions, progress: Progress) -> Avatar:
    """Turn a fitted portrait into an avatar. Without weights the avatar is ``uvfit``'s, and its provenance says so.

    Raises ``Cancelled`` when ``progress`` does, ``UnsupportedError`` for a head that the network was not trained on,
    ``MissingWeightsError`` when the weights stand on an image backbone that is not here.
    """
    try:
        net, weights = load_net(head)
    except MissingWeightsError as error:
        _log.warning("%s The head is made by uvfit instead.", error)
        avatar = reconstruct_uvfit(fit, head, options, progress)
        return replace(avatar, provenance={**avatar.provenance, "fallback": f"{NAME} has no weights here"})

    backbone = required_backbone(weights.header.backbone) if weights.header.backbone else None

    def ask(seen: Observation) -> tuple[Edits, dict[str, Any]]:
        edits, notes = predict(net, seen, head, backbone)
        return edits, {**notes, "weights": {"step": weights.header.step, "config": weights.header.config[:16]}}

    return reconstruct_with(ask, NAME, fit, head, options, progress)


@torch.no_grad()
def predict(
    net: RarNet, seen: Observation, head: HeadModel, backbone: Backbone | None = None
) -> tuple[Edits, dict[str, Any]]:
    """What the network says about a portrait: corrections, and for the provenance the photo's light."""
    channels, picture, facts = (torch.from_numpy(a)[None] for a in (seen.channels, seen.picture, seen.facts))
    said = net(channels, picture, facts, None if backbone is None else backbone.tokens(picture))
    gain, error = linearised(net.drive, head)
    bias = -gain @ pose_features(seen.built.scene.fit.pose)  # the photo shows the head as it is at its own pose
    light = np.round(said.light[0].numpy().astype(float), 4)
    notes = {"network_light": light.tolist(), "drive_linear_error": round(error, 4)}
    return Edits(said.static[0].numpy(), said.basis[0].numpy(), gain, bias), notes
