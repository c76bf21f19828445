"""The dynamic decoder itself instead of its distilled residual: slower, for frames that are rendered offline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...avatar.drive import drive
from ...avatar.types import Avatar, Splats
from ...head.pose import HeadPose
from ..common.edits import Edits, residual_of
from ..common.lattice import Lookup
from .prior import Prior


def drive_exactly(avatar: Avatar, prior: Prior, lookup: Lookup, pose: HeadPose) -> Splats:
    """The splats of a pose as the decoders tell them, for an avatar that ``prior`` was the start of.

    Args:
        lookup: from the lattice's texels to the avatar's first N splats.
    """
    rows, origin = prior.moving(), prior.seen.built.scene.fit.pose
    still = replace(avatar, dynamic=None)
    if not rows.size:
        return drive(still, pose)
    change = np.zeros((len(prior.seen.lattice), 10, 1), np.float32)
    change[rows, :, 0] = prior.changes([pose], origin, rows)[0]
    none = np.zeros((1, avatar.head.expression_count + 3), np.float32)
    edits = Edits(np.zeros((len(change), 10), np.float32), change, none, np.ones(1, np.float32)).at(lookup)
    everywhere = np.arange(len(edits.static), dtype=np.int32)
    return drive(replace(still, dynamic=residual_of(still, edits, everywhere)), pose)
