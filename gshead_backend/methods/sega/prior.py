"""One portrait in front of the decoders: what they say of it, tuned to the photo or not."""

from __future__ import annotations

import copy
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
from ...raster import rasterize
from ..common.edits import EditedAvatar
from ..common.observe import Observation
from ..uvfit.losses import photo_loss
from .decoders import corrections, identity_of, load_decoders, observed_maps
from .decoders_net import DecodersNet
from .facial import FacialCrop, facial_crop
from .motion import expression_codes

TUNE_PIXELS = 256
RATE = 3e-4
HOLD = 0.3
"""How firmly tuned corrections are held to those before tuning where the photo shows nothing; a tenth where it does."""
CLOTHES = 0.25
_LIKE = torch.tensor([0.005] * 3 + [0.1] * 3 + [0.3] * 3 + [2.0])


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
        if steps <= 0:
            return self
        tune = _Tuning(replace(self, net=copy.deepcopy(self.net).requires_grad_(True)), base)
        for i in range(steps):
            progress(i / steps, "tuning the decoders to the photo")
            told(tune.step())
        tune.prior.net.requires_grad_(False)
        return tune.prior


class _Tuning:
    def __init__(self, prior: Prior, base: Avatar) -> None:
        self.prior = prior
        scene, lattice = prior.seen.built.scene, prior.seen.lattice
        fit, size = scene.fit, (TUNE_PIXELS, TUNE_PIXELS)
        small = lambda a: cv2.resize(np.ascontiguousarray(a, np.float32), size, interpolation=cv2.INTER_AREA)  # noqa: E731
        self.camera = fit.camera.resized(*size)
        self.color, self.matte = torch.from_numpy(small(scene.photo)), torch.from_numpy(small(fit.matte))
        self.weight = 1 - (1 - CLOTHES) * torch.from_numpy(small(scene.classes.clothes))
        self.edited = EditedAvatar(base, len(lattice))
        self.pose = fit.pose
        self.codes = prior.codes([fit.pose])
        with torch.no_grad():
            self.start = prior.corrections(self.codes)[0]
        trust = torch.from_numpy(prior.seen.built.cloud.confidence[: len(lattice)].astype(np.float32))
        self.hold = HOLD * (1.1 - trust.clamp(0, 1))[:, None]
        self.adam = torch.optim.Adam(prior.net.parameters(), lr=RATE, betas=(0.9, 0.99))

    def step(self) -> float:
        """One step of Adam; returns the loss before it."""
        told = self.prior.corrections(self.codes)[0]
        splats = self.edited.drive(self.pose, self.edited.overrides(told))
        seen = rasterize(splats, self.camera)
        photo = photo_loss(seen.color, seen.alpha, self.color, self.matte, self.weight, 0.5)
        drift = (((told - self.start) / _LIKE).square() * self.hold).mean()
        loss = photo + drift
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        return loss.item()
