"""``z_id`` of a portrait: what the identity network, trained on pictures and then frozen, makes of it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...portrait.nets.weights import load_weights, weights_folder

if TYPE_CHECKING:
    from .identity_net import IdentityNet

NAME = "sega_identity"
SIZE = 256
_GREY = 0.5  # what stands for everything that is not this person


def identity_input(image: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """(3, S, S) float32 -1..1: the person on grey.

    Args:
        image: (S, S, 3) uint8 sRGB. matte: (S, S) uint8.
    """
    alpha = matte.astype(np.float32)[..., None] / 255
    mixed = image.astype(np.float32) / 255 * alpha + _GREY * (1 - alpha)
    return np.ascontiguousarray((mixed * 2 - 1).transpose(2, 0, 1))


def load_identity(path: Path | None = None, device: str = "cpu") -> IdentityNet:
    """The frozen network, read once for each device. Raises ``MissingWeightsError``, ``FileFormatError``."""
    path = weights_folder() / f"{NAME}.safetensors" if path is None else path
    return _load(str(path), path.stat().st_mtime_ns if path.is_file() else 0, device)


@lru_cache(maxsize=2)
def _load(path: str, stamp: int, device: str) -> IdentityNet:
    from ...portrait.nets.build import build
    from .identity_net import VERSION, IdentityNet

    return cast("IdentityNet", build(IdentityNet, load_weights(NAME, VERSION, Path(path))).to(device))
