"""An avatar of any method to pictures, in this process: what ``gshead render`` and ``gshead evaluate`` draw with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..avatar.shading import harmonics, only_photo_light, shading_of
from ..avatar.types import Avatar
from ..camera import Camera
from ..head.pose import HeadPose
from ..raster.rasterize import rasterize
from ..raster.types import Rendered

if TYPE_CHECKING:
    from .gagavatar.painter import Painter

Draw = Callable[[HeadPose, Camera], Rendered]
"""Pose and camera to encoded premultiplied colour, coverage and depth, as numpy arrays."""


def drawer_of(avatar: Avatar, device: str = "cpu", light: np.ndarray | None = None) -> Draw:
    """``device``: ``cpu`` or a CUDA device. What is made once is made here, or by the first picture.

    Args:
        light: (9, 3) in head space, see ``avatar.light``; None for the photo's own.
    Raises:
        UnsupportedError: a light for a head that a network draws.
        MissingWeightsError, FileFormatError: of a head that a network draws, its weights are not here, or damaged.
    """
    if avatar.portrait is not None:
        if light is not None:
            raise only_photo_light(avatar.name)
        from .needs import GAGAVATAR, require

        weights = require(GAGAVATAR)
        painter = _painter(weights, weights.stat().st_mtime_ns, device)
        subject = painter.subject(avatar)
        return lambda pose, camera: _on_host(painter.draw(subject, camera, np.eye(4), pose))
    if device == "cpu":
        from ..avatar.drive_fast import drive_fast

        if light is None:
            return lambda pose, camera: rasterize(drive_fast(avatar, pose), camera)
        from ..avatar.shading_fast import lit_fast

        shading = shading_of(avatar)
        return lambda pose, camera: rasterize(lit_fast(drive_fast(avatar, pose), shading, light), camera)
    from ..avatar.drive_torch import TorchAvatar

    twin = TorchAvatar(avatar, device)
    if light is None:
        return lambda pose, camera: _on_host(rasterize(twin.drive(pose), camera))
    import torch

    from ..avatar.shading_torch import lit_torch

    h, full = torch.from_numpy(harmonics(light)).to(device), torch.ones((), device=device)
    return lambda pose, camera: _on_host(rasterize(lit_torch(twin.drive(pose), *twin.shading, h, full), camera))


@lru_cache(maxsize=1)
def _painter(weights: Path, changed: int, device: str) -> Painter:
    """One network for all avatars of this process; ``changed`` makes another of other weights."""
    from .gagavatar.painter import Painter

    return Painter.from_file(weights, device)


def _on_host(drawn: Rendered) -> Rendered:
    def array(value: Any) -> np.ndarray:
        return value.detach().cpu().numpy()

    return Rendered(array(drawn.color), array(drawn.alpha), array(drawn.depth))
