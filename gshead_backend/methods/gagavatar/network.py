"""The whole network, and what it knows of one person.

The modules hold weights and nothing else. What belongs to a person is an ``Identity``, what belongs to a frame is a
local variable: any number of people and viewports share one network and never see each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from ...camera import Camera
from ...errors import ArgumentError
from .config import RELEASED, Config
from .encoder import Encoder, Features
from .gaussians import Gaussians, PlaneHead, PointHead
from .lifting import DIRECTION_CODE, encode_direction, plane
from .raster import Placed, chosen_backend, rasterize_features, unit_rotations
from .styleunet import StyleUNet


@dataclass(frozen=True)
class Identity:
    """One person, computed once from a photo; nobody writes into it.

    Attributes:
        points: Gaussians of the head's vertices, without places: those come with every frame.
        front, back: Gaussians lifted from the plane towards where the source camera looks, and against.
        front_xyz, back_xyz: (plane², 3) their places.
    """

    points: Gaussians
    front: Gaussians
    back: Gaussians
    front_xyz: Tensor
    back_xyz: Tensor

    def placed(self, points: Tensor, *, unit: bool = False) -> Placed:
        """All Gaussians of a frame: vertices first, then front, then back; equal depths are drawn in this order.

        Only the vertices' places change; the rest is put together once. ``unit``: with rotations of length one.
        """
        rotations, scales = self._unit if unit else self._turned
        xyz = torch.cat([points, self.front_xyz, self.back_xyz])
        return Placed(xyz, *self._painted, scales, rotations, unit)

    def _joined(self, name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in (self.points, self.front, self.back)])

    @cached_property
    def _painted(self) -> tuple[Tensor, Tensor]:
        return self._joined("colors"), self._joined("opacities")

    @cached_property
    def _turned(self) -> tuple[Tensor, Tensor]:
        return self._joined("rotations"), self._joined("scales")

    @cached_property
    def _unit(self) -> tuple[Tensor, Tensor]:
        return unit_rotations(*self._turned)


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        raster: (features, size, size) what the neural renderer saw; the first three channels are a rough picture.
        alpha: (size, size) 0..1, what the Gaussians cover. depth: (size, size) units, +inf where nothing is.
        rgb: (3, size, size) 0..1, sRGB-encoded, on black.
    """

    raster: Tensor
    alpha: Tensor
    depth: Tensor
    rgb: Tensor


class Network(nn.Module):
    """GAGAvatar with the released file's names."""

    def __init__(self, config: Config = RELEASED) -> None:
        super().__init__()
        self.config = config
        self.head_base = nn.Parameter(torch.zeros(config.points, config.embedding))
        self.base_model = Encoder(config)
        self.gs_generator_g = PointHead(config, DIRECTION_CODE)
        self.gs_generator_l0 = PlaneHead(config, DIRECTION_CODE)
        self.gs_generator_l1 = PlaneHead(config, DIRECTION_CODE)
        self.upsampler = StyleUNet(config)

    @classmethod
    def with_weights(cls, weights: Mapping[str, Tensor], config: Config = RELEASED) -> Network:
        """A network in eval mode that uses the given tensors themselves; names and shapes must be exactly its own."""
        with torch.device("meta"):
            network = cls(config)
        network.load_state_dict(dict(weights), strict=True, assign=True)
        return network.eval().requires_grad_(False)

    @torch.no_grad()
    def identity(self, image: Tensor, camera: np.ndarray) -> Identity:
        """What the network makes of a photo.

        Args:
            image: (3, image, image) 0..1, sRGB-encoded, the person on black, on the network's device.
            camera: (3, 4) of the photo, see ``lifting``.
        Raises:
            ArgumentError: another shape, or the camera is none.
        """
        side = self.config.image
        if tuple(image.shape) != (3, side, side):
            raise ArgumentError(f"The photo must have shape (3, {side}, {side}), got {tuple(image.shape)}.")
        return self.lift(self.base_model(image[None]), camera)

    def lift(self, features: Features, camera: np.ndarray) -> Identity:
        """The encoder's features of one photo, seen from its camera, as Gaussians; differentiable."""
        places, direction = (torch.from_numpy(a).to(features.map) for a in plane(camera, self.config.plane))
        code = encode_direction(direction)
        vector = features.vector.expand(self.config.points, -1)
        points = self.gs_generator_g(torch.cat([self.head_base, vector], 1), code)
        front, back = self.gs_generator_l0(features.map, code), self.gs_generator_l1(features.map, code)
        return Identity(
            points, front, back, places + front.positions * direction, places - back.positions * direction
        )  # fmt: skip

    @torch.no_grad()
    def frame(
        self, identity: Identity, points: Tensor, camera: Camera, *, raster: str = "auto",
        upsampler: Callable[[Tensor], Tensor] | None = None,
    ) -> Frame:  # fmt: skip
        """Draw a person.

        Args:
            points: (points, 3) vertices of the driven head in the network's units, without the head's own pose.
            camera: of the network's size, in its units, the head's pose included.
            raster: see ``raster.rasterize_features``. upsampler: in place of the network's own.
        Raises:
            ArgumentError: another shape, or another camera. RenderError, OutOfMemoryError.
        """
        if tuple(points.shape) != (self.config.points, 3):
            raise ArgumentError(f"points must have shape ({self.config.points}, 3), got {tuple(points.shape)}.")
        backend = chosen_backend(raster, points.device)
        placed = identity.placed(points, unit=backend != "exact")
        if (camera.width, camera.height) != (self.config.size, self.config.size):
            raise ArgumentError(f"The camera must have {self.config.size} x {self.config.size} pixels.")
        drawn = rasterize_features(placed, camera, backend)
        features = drawn.color.permute(2, 0, 1).contiguous()
        return Frame(features, drawn.alpha, drawn.depth, (upsampler or self.upsampler)(features[None])[0])
