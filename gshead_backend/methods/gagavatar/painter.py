"""One network on one device for any number of people and cameras: what a program holds to draw frames."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...avatar.types import Avatar, NetworkPortrait
from ...camera import Camera
from ...errors import ArgumentError
from ...head.pose import HeadPose
from ...head.skinning import PersonalHead
from ...raster.gsplat_backend import device_memory
from ...raster.types import Rendered
from .checkpoint import load_network
from .fast import FastUpsampler, true_float32
from .network import Identity, Network
from .person import UNITS, check_head, local_points, own_space, rigid_motion
from .window import put, window_of


@dataclass(frozen=True)
class Subject:
    """A person and what the network made of the photo; nobody writes into either.

    ``head`` has the person's identity, without personal offsets: the network knows FLAME's heads only. ``offsets``:
    (V, 3) metres, those of the avatar.
    """

    head: PersonalHead
    offsets: np.ndarray
    portrait: NetworkPortrait
    identity: Identity


class Painter:
    """Draws people. The same subject, pose and view give the same bytes, whatever was drawn in between.

    ``note`` is told what is being done between the steps of long work, many times a second.
    """

    def __init__(self, network: Network, note: Callable[[str], None] = lambda text: None) -> None:
        self.network, self._note = network, note
        self._fast = FastUpsampler.of(network)
        self._doing = ""
        for module in network.modules():  # the only place from which long work can be heard of while it goes on
            module.register_forward_hook(self._step)

    @classmethod
    def from_file(cls, path: Path, device: str = "cpu", note: Callable[[str], None] = lambda text: None) -> Painter:
        """With a converted checkpoint. Raises ``MissingWeightsError``, ``FileFormatError``, ``OutOfMemoryError``."""
        note("Loading GAGAvatar's weights")
        with device_memory("GAGAvatar's weights"):
            return cls(load_network(path, device), note)

    def subject(self, avatar: Avatar) -> Subject:
        """Reads the photo; the heavy part, once a person.

        Raises ``ArgumentError`` (no avatar of this network), ``HeadError``, ``OutOfMemoryError``.
        """
        portrait, config = avatar.portrait, self.network.config
        if portrait is None:
            raise ArgumentError(f"'{avatar.name}' was made by {avatar.method or 'another method'}, not by GAGAvatar.")
        check_head(avatar.head, config.points)
        self._doing = "Reading the photo"
        image = np.ascontiguousarray(portrait.image.transpose(2, 0, 1)).astype(np.float32) / 255
        with device_memory("GAGAvatar reading a photo"):
            identity = self.network.identity(self._on_device(image), portrait.camera)
        return Subject(PersonalHead.create(avatar.head, avatar.betas), avatar.vertex_offsets, portrait, identity)

    def draw(
        self, subject: Subject, frame: Camera, matrix: np.ndarray, pose: HeadPose | None = None,
        vertices: np.ndarray | None = None, *, exact: bool = True,
    ) -> Rendered:  # fmt: skip
        """One head in a frame, on the network's device: encoded premultiplied colour, coverage, metres of depth.

        Args:
            matrix: (4, 4) head space to world.
            pose: what drives the head. vertices: (V, 3) the posed mesh instead, metres.
            exact: in single precision; otherwise as fast as the device allows, see ``fast``.
        Raises:
            ArgumentError: neither pose nor vertices. RenderError, OutOfMemoryError.
        """
        config = self.network.config
        if vertices is not None:
            motion = rigid_motion(subject.head, vertices)
            points = own_space(motion, vertices)[: config.points] - subject.offsets[: config.points]
        elif pose is not None:
            motion, points = local_points(subject.head, pose, config)
        else:
            raise ArgumentError("A head needs a pose or vertices to be drawn.")
        placed = frame.viewmat @ np.asarray(matrix, np.float64) @ motion
        window = window_of(frame, placed, subject.portrait.camera, config.size, UNITS)
        self._doing = "Painting a head"
        with device_memory("a frame of GAGAvatar"):
            if window is None:
                return _nothing(frame, self.network.head_base.device)
            where = self._on_device((points * UNITS).astype(np.float32))
            with true_float32() if exact else nullcontext():
                upsampler = None if exact else self._fast
                painted = self.network.frame(subject.identity, where, window.camera, upsampler=upsampler)
            return put(window, frame, painted.rgb, painted.alpha, painted.depth)

    def _step(self, *_: object) -> None:
        self._note(self._doing)

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.network.head_base.device)


def _nothing(frame: Camera, device: torch.device) -> Rendered:
    flat = torch.zeros(frame.height, frame.width, device=device)
    return Rendered(torch.zeros(frame.height, frame.width, 3, device=device), flat, torch.full_like(flat, torch.inf))
