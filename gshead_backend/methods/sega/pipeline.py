"""``reconstruct`` for method ``sega``: decoders look at the portrait, are tuned to it, and leave an avatar."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...avatar.drive import pose_features
from ...avatar.types import Avatar
from ...errors import MissingWeightsError, UnsupportedError
from ...head.arkit import ARKIT_NAMES
from ...head.catalog import default_head
from ...head.model import HeadModel
from ...head.pose import HeadPose
from ...head.skinning import pose_from_arkit
from ...portrait.types import PortraitFit, Progress
from .. import ReconstructOptions
from ..common.edits import Edits
from ..common.learned import reconstruct_with
from ..common.observe import Observation, base_avatar
from ..uvfit.pipeline import reconstruct as reconstruct_untrained
from ..uvfit.presets import chosen
from .decoders import load_decoders
from .distil import MAX_RANK, Distilled, distil, error_by_channel
from .identity import load_identity
from .motion import load_motion
from .prior import Prior

TUNE_STEPS = 40
"""Of the decoders on the photo, before the common fit; none where that fit is not wanted either."""
_POSES = 160
_TALK = ("jawOpen", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft",
         "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight",
         "eyeBlinkLeft", "eyeBlinkRight", "browInnerUp")  # fmt: skip
"""Channels that often go together; the others are sampled one by one."""
_log = logging.getLogger(__name__)


def reconstruct(fit: PortraitFit, head: HeadModel, options: ReconstructOptions, progress: Progress) -> Avatar:
    """Turn a fitted portrait into an avatar.

    Without the networks' weights it is ``uvfit``'s avatar, and its provenance says so.

    Raises ``Cancelled`` when ``progress`` does, ``UnsupportedError`` for a head that the networks do not know.
    """
    try:
        load_all(head)
    except MissingWeightsError as missing:
        _log.warning("%s The head is made by uvfit instead.", missing)
        avatar = reconstruct_untrained(fit, head, options, progress)
        return replace(avatar, provenance={**avatar.provenance, "fallback": f"sega has no weights here: {missing}"})

    def predict(seen: Observation) -> tuple[Edits, dict[str, Any]]:
        prior = Prior.of(seen)
        steps = TUNE_STEPS if chosen(options).iterations > 0 and "no_tuning" not in prior.flags else 0
        torch.manual_seed(options.seed)
        return edits_of(prior.tuned(base_avatar(seen), steps, progress), steps)

    return reconstruct_with(predict, "sega", fit, head, options, progress)


def load_all(head: HeadModel) -> None:
    """Read every network of the method.

    Raises:
        MissingWeightsError: one is not installed. FileFormatError: one is damaged.
        UnsupportedError: they were trained on another head's UV map.
    """
    load_decoders()
    load_identity()
    load_motion()
    trained = default_head()
    if head.sha256 != trained.sha256:
        raise UnsupportedError(
            f"The weights of sega were trained on the UV map of '{trained.name}'; '{head.name}' has another one.",
            remedy="Use the default head, or the method uvfit, which works on any head.",
        )


def edits_of(prior: Prior, steps: int = 0, rank: int = MAX_RANK) -> tuple[Edits, dict[str, Any]]:
    """Corrections of the texels in the photo's pose, their change with the pose as a low-rank residual, and notes."""
    fit = prior.seen.built.scene.fit
    with torch.inference_mode():
        static = prior.corrections(prior.codes([fit.pose]))[0].numpy()
    told, report = distilled(prior, fit.pose, rank)
    notes = {"sega": {"tuning_steps": steps, "flags": list(prior.flags), **report}}
    if told is None or not told.bias.size:  # nothing moves
        return Edits(static), notes
    return Edits(static, told.scattered(prior.moving(), len(static)), told.gain, told.bias), notes


def distilled(prior: Prior, origin: HeadPose, rank: int = MAX_RANK) -> tuple[Distilled | None, dict[str, Any]]:
    """The dynamic decoder as linear changes, and how far they are from it in poses that the fit did not see."""
    rows = prior.moving()
    if not rows.size:
        return None, {"rank": 0}
    head = prior.seen.lattice.surface.head
    poses, other = sample_poses(head, _POSES, 1), sample_poses(head, _POSES // 4, 2)
    features, unseen = (np.stack([pose_features(p) for p in group]) for group in (poses, other))
    told = distil(features, prior.changes(poses, origin, rows), pose_features(origin), rank)
    wanted = prior.changes(other, origin, rows)
    error, change = error_by_channel(told(unseen), wanted), error_by_channel(np.zeros_like(wanted), wanted)
    report = {
        "rank": int(told.gain.shape[0]), "kept": round(told.share(), 4),
        "error": {k: float(f"{v:.3g}") for k, v in error.items()},
        "change": {k: float(f"{v:.3g}") for k, v in change.items()},
    }  # fmt: skip
    return told, report


def sample_poses(head: HeadModel, count: int, seed: int) -> list[HeadPose]:
    """Expressions to distil from: every channel alone, then mixtures of a few. Always the same for a seed."""
    rng = np.random.default_rng((seed, 58))
    often = np.array([ARKIT_NAMES.index(name) for name in _TALK])
    out = []
    for k in range(count):
        channels = np.zeros(52, np.float32)
        if k < 52 and seed == 1:
            channels[k] = 1.0
        else:
            some = np.concatenate([rng.choice(often, 3, replace=False), rng.choice(52, 2, replace=False)])
            channels[some] = rng.uniform(0.1, 1.0, some.size) * rng.uniform(0.3, 1)
        out.append(pose_from_arkit(head, channels))
    return out
