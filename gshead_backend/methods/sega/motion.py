"""What the motion network sees and tells, and the expression code of a pose.

The head's surface under an expression is skinning (jaw, eyes) of ``rest + D``. ``D`` is what the motion network
decodes: every movement of the surface that is not a turn of a joint, before skinning. Its input is where the skinned
surface went, so a code can be had of any mesh with the head's topology, whatever moved it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...head.pose import HeadPose
from ...head.skinning import PersonalHead
from ...portrait.nets.weights import load_weights, weights_folder
from ..common.lattice import Lattice

if TYPE_CHECKING:
    from .motion_net import MotionNet

NAME = "sega_motion"
SIZE = 128
UNIT = 0.002  # metres of one unit of the maps: about how far a face moves


def still(pose: HeadPose) -> HeadPose:
    """The pose without the turns and the place of the whole head: they are no expression."""
    none = np.zeros(3, np.float32)
    return replace(pose, global_orient=none, neck_pose=none, translation=none)


def moved_map(lattice: Lattice, vertices: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """(3, S, S) float32, ``UNIT``: how far (V, 3) ``vertices`` are from the neutral ones; zero beside the surface."""
    return _map(lattice, (vertices - neutral) / UNIT)


def displacement_map(lattice: Lattice, person: PersonalHead, pose: HeadPose) -> np.ndarray:
    """(3, S, S) float32, ``UNIT``: the true ``D`` of a pose."""
    return _map(lattice, (person.shaped(pose) - person.rest) / UNIT)


def _map(lattice: Lattice, values: np.ndarray) -> np.ndarray:
    image = lattice.image(lattice.at(values).astype(np.float32))
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def expression_codes(lattice: Lattice, person: PersonalHead, poses: Sequence[HeadPose]) -> np.ndarray:
    """(P, latent) float32 codes of poses. Raises ``MissingWeightsError``, ``FileFormatError``."""
    import torch

    net = load_motion()
    neutral = person.vertices(HeadPose.neutral(person.model.expression_count))
    out = []
    with torch.inference_mode():
        for pose in poses:
            moved = moved_map(lattice, person.vertices(still(pose)), neutral)
            out.append(net.encode(torch.from_numpy(moved)[None])[0][0].numpy())
    return np.stack(out)


def load_motion(path: Path | None = None) -> MotionNet:
    """The frozen network, read once. Raises ``MissingWeightsError``, ``FileFormatError``."""
    path = weights_folder() / f"{NAME}.safetensors" if path is None else path
    return _load(str(path), path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=2)
def _load(path: str, stamp: int) -> MotionNet:
    from ...portrait.nets.build import build
    from .motion_net import VERSION, MotionNet

    return cast("MotionNet", build(MotionNet, load_weights(NAME, VERSION, Path(path))))
