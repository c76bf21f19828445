"""One portrait in front of the decoders: what they say of it, tuned to the photo or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ...avatar.types import Avatar
from ...head.pose import HeadPose
from ...head.skinning import PersonalHead
from ...portrait.types import Progress
from ..common.edits import EditedAvatar
from ..common.observe import Observation
from .decoders import corrections, identity_of, load_decoders, observed_maps
from .decoders_net import DecodersNet
from .facial import FacialCrop, facial_crop
from .motion import expression_codes
from .tuning import Photo, tuned

TUNE_PIXELS = 256
CLOTHES = 0.25  # what a pixel of clothes counts: heads are learned here


@dataclass
class Prior:
    """What the decoders know of one portrait.

    Attributes:
        seen: the portrait on the lattice. net: decoders, this person's own once tuned. flags: of their training.
        crop: where the dynamic decoder works. person: the fitted head. latents: ``z_id``.
    """

    seen: Observation
    net: DecodersNet
    flags: tuple[str, ...]
    crop: FacialCrop
    person: PersonalHead
    latents: Tensor
    maps: Tensor
    facts: Tensor

    @classmethod
    def of(cls, seen: Observation) -> Prior:
        """Load the networks and look. Raises ``MissingWeightsError``, ``FileFormatError``."""
        decoders = load_decoders()
        fit, lattice = seen.built.scene.fit, seen.lattice
        person = PersonalHead.create(lattice.surface.head, fit.betas, fit.vertex_offsets)
        latents = identity_of(torch.from_numpy(seen.picture)[None], decoders.flags)
        maps = torch.from_numpy(observed_maps(lattice, seen.channels))[None]
        crop = facial_crop(lattice, everything="all_dynamic" in decoders.flags)
        facts = torch.from_numpy(seen.facts)[None]
        return cls(seen, decoders.net, decoders.flags, crop, person, latents, maps, facts)

    def codes(self, poses: Sequence[HeadPose]) -> Tensor:
        """(P, latent) ``z_e``."""
        return torch.from_numpy(expression_codes(self.seen.lattice, self.person, poses))

    def static(self) -> Tensor:
        """(1, 10, S, S) ``G_s``: once a person."""
        return self.net.static(self.maps, self.latents, self.facts)

    def corrections(self, codes: Tensor, static: Tensor | None = None) -> Tensor:
        """(P, M, 10) of the texels; ``static`` where it is known already."""
        lattice = self.seen.lattice
        return corrections(self.net, lattice, self.crop, self.maps, self.latents, self.facts, codes, self.flags, static)

    @torch.inference_mode()
    def changes(self, poses: Sequence[HeadPose], origin: HeadPose, rows: np.ndarray) -> np.ndarray:
        """(P, rows, 10) how the corrections of some texels differ from those in the pose ``origin``."""
        static = self.static()
        start = self.corrections(self.codes([origin]), static)[0]
        out = []
        for first in range(0, len(poses), 16):
            told = self.corrections(self.codes(poses[first : first + 16]), static)
            out.append((told - start)[:, torch.from_numpy(rows)].numpy())
        return np.concatenate(out)

    def moving(self) -> np.ndarray:
        """Texels that the dynamic decoder reaches: (m,) indices into the lattice."""
        if "all_static" in self.flags:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.crop.mask[self.seen.lattice.row, self.seen.lattice.column] > 0)

    def tuned(
        self, base: Avatar, steps: int, progress: Progress, told: Callable[[float], object] = lambda loss: None
    ) -> Prior:
        """Decoders of this person: Adam on all their weights, by the photo they come from.

        Args:
            base: the splats to be corrected, those of the texels first. told: called with the loss of every step.
        """
        scene, lattice = self.seen.built.scene, self.seen.lattice
        fit, size = scene.fit, (TUNE_PIXELS, TUNE_PIXELS)
        color, matte, clothes = (
            torch.from_numpy(cv2.resize(np.ascontiguousarray(a, np.float32), size, interpolation=cv2.INTER_AREA))
            for a in (scene.photo, fit.matte, scene.classes.clothes)
        )
        trust = torch.from_numpy(self.seen.built.cloud.confidence[: len(lattice)].astype(np.float32))
        photo = Photo(fit.pose, fit.camera.resized(*size), color, matte, 1 - (1 - CLOTHES) * clothes, trust)
        codes = self.codes([fit.pose])
        say = lambda net: replace(self, net=net).corrections(codes)[0]  # noqa: E731
        edited = EditedAvatar(base, len(lattice))
        return replace(self, net=tuned(self.net, say, edited, photo, steps, progress=progress, told=told))
