"""An avatar of any method to pictures, in this process: what ``gshead render`` and ``gshead evaluate`` draw with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..avatar.types import Avatar
from ..camera import Camera
from ..head.pose import HeadPose
from ..raster.rasterize import rasterize
from ..raster.types import Rendered

if TYPE_CHECKING:
    from .gagavatar.painter import Painter

Draw = Callable[[HeadPose, Camera], Rendered]
"""Pose and camera to encoded premultiplied colour, coverage and depth, as numpy arrays."""


def drawer_of(avatar: Avatar, device: str = "cpu") -> Draw:
    """``device``: ``cpu`` or a CUDA device. What is made once is made here, or by the first picture.

    Raises:
        MissingWeightsError, FileFormatError: of a head that a network draws, its weights are not here, or damaged.
    """
    if avatar.portrait is not None:
        from .needs import GAGAVATAR, require

        weights = require(GAGAVATAR)
        painter = _painter(weights, weights.stat().st_mtime_ns, device)
        subject = painter.subject(avatar)
        return lambda pose, camera: _on_host(painter.draw(subject, camera, np.eye(4), pose))
    if device == "cpu":
        from ..avatar.drive_fast import drive_fast

        return lambda pose, camera: rasterize(drive_fast(avatar, pose), camera)
    from ..avatar.drive_torch import TorchAvatar

    twin = TorchAvatar(avatar, device)
    return lambda pose, camera: _on_host(rasterize(twin.drive(pose), camera))


@lru_cache(maxsize=1)
def _painter(weights: Path, changed: int, device: str) -> Painter:
    """One network for all avatars of this process; ``changed`` makes another of other weights."""
    from .gagavatar.painter import Painter

    return Painter.from_file(weights, device)


def _on_host(drawn: Rendered) -> Rendered:
    def array(value: Any) -> np.ndarray:
        return value.detach().cpu().numpy()

    return Rendered(array(drawn.color), array(drawn.alpha), array(drawn.depth))
