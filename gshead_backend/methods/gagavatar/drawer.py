"""One network on one device for any number of people: what a program holds to draw frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...head.pose import HeadPose
from ...raster.gsplat_backend import device_memory
from .checkpoint import load_network
from .network import Identity, Network
from .person import Person, driven_camera, driven_points


@dataclass(frozen=True)
class Subject:
    """A person and what the network made of the photo; nobody writes into either."""

    person: Person
    identity: Identity


@dataclass(frozen=True)
class Picture:
    """A frame.

    Attributes:
        rgb: (size, size, 3) float32 0..1, sRGB-encoded, premultiplied as the network paints it on black.
        alpha: (size, size) float32 0..1, what the Gaussians cover.
    """

    rgb: np.ndarray
    alpha: np.ndarray


class Drawer:
    """Draws people. The same subject, pose and view give the same bytes, whatever was drawn in between."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @classmethod
    def from_file(cls, path: Path, device: str = "cpu") -> Drawer:
        """With a converted checkpoint. Raises ``MissingWeightsError``, ``FileFormatError``, ``OutOfMemoryError``."""
        with device_memory("GAGAvatar's weights"):
            return cls(load_network(path, device))

    def subject(self, person: Person) -> Subject:
        """Reads the photo; the heavy part, once a person. Raises ``OutOfMemoryError``."""
        with device_memory("GAGAvatar reading a photo"):
            return Subject(person, self.network.identity(self._on_device(person.image), person.camera))

    def draw(self, subject: Subject, pose: HeadPose, yaw: float = 0.0, pitch: float = 0.0) -> Picture:
        """One frame; ``yaw`` and ``pitch`` as in ``person.driven_camera``. Raises ``OutOfMemoryError``."""
        points = self._on_device(driven_points(subject.person, pose, self.network.config))
        camera = driven_camera(subject.person, pose, yaw, pitch)
        with device_memory("a frame of GAGAvatar"):
            frame = self.network.frame(subject.identity, points, camera)
            rgb, alpha = frame.rgb.permute(1, 2, 0).cpu().numpy(), frame.alpha.cpu().numpy()
        return Picture(np.ascontiguousarray(rgb), alpha)

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.network.head_base.device)
