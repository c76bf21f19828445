"""From what a network says about a portrait to an avatar: its corrections, then the same fit as ``uvfit``'s."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...avatar.types import Avatar
from ...head.model import HeadModel
from ...portrait.types import PortraitFit, Progress
from .. import ReconstructOptions
from ..uvfit.pipeline import Stages, build, personalise
from ..uvfit.presets import chosen
from .edits import Edits, dynamic_of, edit_cloud
from .observe import Observation, observe_portrait

Predict = Callable[[Observation], tuple[Edits, dict[str, Any]]]
"""A network's corrections at the lattice's texels, and what the avatar's provenance should say."""


def reconstruct_with(
    predict: Predict, method: str, fit: PortraitFit, head: HeadModel, options: ReconstructOptions, progress: Progress
) -> Avatar:
    """Method prior, then the common fit; ``options.fit_steps = 0`` leaves the bare prior.

    Raises ``Cancelled`` when ``progress`` does, ``UnsupportedError`` for a head without a usable UV map.
    """
    preset, stages = chosen(options), Stages(progress)
    built = build(fit, head, preset, options.seed, stages)
    seen = observe_portrait(fit, head)
    edits, notes = predict(seen)
    at = edits.at(seen.lattice.lookup(built.samples.triangle, built.samples.bary))
    cloud = edit_cloud(built.cloud, at)

    def finish(avatar: Avatar) -> Avatar:
        residual = dynamic_of(avatar, at)
        return avatar if residual is None else replace(avatar, dynamic=residual)

    return personalise(built, cloud, options, preset, stages, method=method, notes=notes, finish=finish)
