"""Loading the decoders, and what they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...portrait.nets.weights import load_weights, weights_folder
from ..common.lattice import Lattice
from .identity import SIZE, load_identity

if TYPE_CHECKING:
    from torch import Tensor

    from .decoders_net import DecodersNet
    from .facial import FacialCrop

NAME = "sega_decoders"
ABLATIONS = {
    "": (), "static": ("all_static",), "dynamic": ("all_dynamic",), "prior": ("no_prior",), "tuning": ("no_tuning",),
}  # fmt: skip
"""What the paper leaves out, and the flags of the weight file that say so to ``reconstruct``."""


@dataclass(frozen=True)
class Decoders:
    """A trained network and the flags it was trained with."""

    net: DecodersNet
    flags: tuple[str, ...]


def flags_of(ablate: str) -> tuple[str, ...]:
    """The flags of a configuration's ``ablate``."""
    return ABLATIONS[ablate]


def observed_maps(lattice: Lattice, channels: np.ndarray) -> np.ndarray:
    """(M, C) at texels to maps (C + 1, S, S) float32; the last says where the surface is."""
    full = np.concatenate([channels, np.ones((len(channels), 1), np.float32)], 1).astype(np.float32)
    return np.ascontiguousarray(lattice.image(full).transpose(2, 0, 1))


def corrections(
    net: DecodersNet, lattice: Lattice, crop: FacialCrop, maps: Tensor, latents: Tensor, facts: Tensor, codes: Tensor,
    flags: tuple[str, ...] = (), static: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """(P, M, 10) of the texels for P expression codes (P, latent) of one portrait; ``static`` where it is known."""
    import torch

    from .decoders_net import fuse, gate
    from .facial import free

    static = net.static(maps, latents, facts) if static is None else static
    dynamic = None
    if "all_static" not in flags:
        p = len(codes)
        near = maps[:, :, crop.rows, crop.columns].expand(p, -1, -1, -1)
        dynamic = net.dynamic(near, latents.expand(p, -1, -1, -1), facts.expand(p, -1), codes)
    allowed = gate(maps) * torch.from_numpy(free(lattice)).to(maps.device)
    both = (allowed * fuse(static, dynamic, crop)).flatten(2)[:, :, torch.from_numpy(lattice.flat).to(maps.device)]
    return both.transpose(1, 2).expand(len(codes), -1, -1)


def identity_of(picture: Tensor, flags: tuple[str, ...] = ()) -> Tensor:
    """``z_id`` (B, dim, 32, 32) of an observation's pictures (B, 6, P, P); zeros where that prior is left out."""
    import torch
    from torch.nn import functional as F

    net = load_identity(device=str(picture.device))
    with torch.no_grad():
        large = F.interpolate(picture[:, :4] + 0.5, (SIZE, SIZE), mode="bilinear", align_corners=False)
        latents = net.identity(((large[:, :3] - 0.5) * large[:, 3:4] * 2).contiguous())
    return torch.zeros_like(latents) if "no_prior" in flags else latents


def load_decoders(path: Path | None = None) -> Decoders:
    """Read once. Raises ``MissingWeightsError``, ``FileFormatError``."""
    path = weights_folder() / f"{NAME}.safetensors" if path is None else path
    return _load(str(path), path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=2)
def _load(path: str, stamp: int) -> Decoders:
    from ...portrait.nets.build import build
    from .decoders_net import VERSION, DecodersNet

    weights = load_weights(NAME, VERSION, Path(path))
    return Decoders(cast("DecodersNet", build(DecodersNet, weights)), tuple(weights.header.labels))
