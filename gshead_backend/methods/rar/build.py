"""A network for one head model, and the shipped one with its weights."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ...avatar.facing import vertex_normals
from ...avatar.light import COSINE, sh_basis
from ...errors import UnsupportedError
from ...head.catalog import default_head
from ...head.model import HeadModel
from ...portrait.nets.weights import Weights, load_weights, weights_folder
from ..common.lattice import SIZE, lattice_of
from ..uvfit.surface import smoothstep
from .drive_net import region_groups
from .net import VERSION, RarNet

_FACE = (0.006, 0.02)  # metres beyond the landmarks, between which shape becomes free
NAME = "rar"
SIZES = {
    "S": {"width": 16, "dim": 96, "depth": 2, "heads": 4, "codes": 12},
    "B": {"width": 24, "dim": 192, "depth": 4, "heads": 6, "codes": 12},
    "L": {"width": 32, "dim": 256, "depth": 6, "heads": 8, "codes": 12},
}
"""Sizes of the reconstructor. The codes are the same for all of them: so is what a frame costs."""


def make_net(head: HeadModel, shape: dict[str, int]) -> RarNet:
    """A fresh network of a shape (see ``SIZES``; ``texels`` a side may be given) for one head."""
    sizes = dict(shape)
    lattice = lattice_of(head, sizes.pop("texels", SIZE))
    surface = lattice.surface
    normal = lattice.at(vertex_normals(surface.vertices, surface.faces))
    glow = sh_basis(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)) * COSINE
    # Faces are what the fit knows best; what training people's fits get wrong there does not hold for others'.
    beside = smoothstep(lattice.at(surface.face_distance) / surface.scale, *_FACE) * (lattice.part == 0)
    loose = (~surface.rigid[lattice.triangle] & (lattice.part == 0)).astype(np.float64)
    distances = {"eye": surface.eye_distance, "lip": surface.lip_distance, "brow": surface.brow_distance}
    groups = region_groups({k: lattice.at(v) for k, v in distances.items()}, surface.scale, loose)
    return RarNet(
        flat=torch.from_numpy(lattice.flat), size=lattice.size, features=head.expression_count + 3,
        movable=torch.from_numpy(beside.astype(np.float32)),
        glow=torch.from_numpy(glow.astype(np.float32)),
        groups=torch.from_numpy(groups.astype(np.float32)), **sizes,
    )  # fmt: skip


def load_net(head: HeadModel) -> tuple[RarNet, Weights]:
    """The trained network.

    Raises:
        MissingWeightsError: its weights are not installed. FileFormatError: they are damaged.
        UnsupportedError: they were trained on another head's UV map.
    """
    path = weights_folder() / f"{NAME}.safetensors"
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    trained = default_head()
    weights = load_weights(NAME, VERSION, path)
    if head.sha256 != trained.sha256:
        raise UnsupportedError(
            f"The weights of rar were trained on the UV map of '{trained.name}'; '{head.name}' has another one.",
            remedy="Use the default head, or the method uvfit, which works on any head.",
        )
    return _loaded(str(path), stamp), weights


@lru_cache(maxsize=1)
def _loaded(path: str, stamp: int) -> RarNet:
    weights = load_weights(NAME, VERSION, Path(path))
    net = make_net(default_head(), weights.header.shape)
    net.load_state_dict({k: torch.from_numpy(v) for k, v in weights.arrays.items()})
    return net.eval().requires_grad_(False)
