"""A fitted portrait to an avatar that the network draws."""

from __future__ import annotations

from dataclasses import replace

from ...avatar.types import Avatar
from ...head.model import HeadModel
from ...portrait.types import PortraitFit, Progress
from .. import ReconstructOptions
from ..needs import GAGAVATAR, require
from ..uvfit import reconstruct as place_splats
from .checkpoint import read_config
from .person import make_portrait


def reconstruct(fit: PortraitFit, head: HeadModel, options: ReconstructOptions, progress: Progress) -> Avatar:
    """What the network reads of the photo, on about 20,000 splats that stand in for it.

    The splats are those of ``uvfit`` before its fit: they give the rig its colours, and are drawn in the network's
    place where it is too slow for a moving picture. The network itself is run by whoever draws the avatar.

    Raises:
        HeadError: the head is not FLAME's. PortraitError: the network's camera cannot see the head so.
        MissingWeightsError, FileFormatError: of the weights.
    """
    progress(0.0, "cutting out the portrait")
    portrait, error = make_portrait(fit, head, read_config(require(GAGAVATAR)))
    options = replace(options, quality="draft", splats=None, fit_steps=0, preview=None)
    avatar = place_splats(fit, head, options, lambda fraction, text: progress(0.05 + 0.95 * fraction, text))
    provenance = {**avatar.provenance, "method": GAGAVATAR, "window_error_px": round(error, 2)}
    del provenance["quality"]
    return replace(avatar, portrait=portrait, method=GAGAVATAR, provenance=provenance)
