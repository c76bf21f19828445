"""What ``gagavatar`` learns: to paint another frame of the person whom one frame shows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import ArgumentError
from ...head.model import HeadModel
from ...methods.gagavatar.config import Config
from ...methods.gagavatar.network import Network
from ...methods.gagavatar.parts import new_index, read_parts, write_parts
from ...methods.gagavatar.person import UNITS, point_count
from ...portrait.nets.weights import Header
from ..config import ReenactTraining, TrainConfig
from ..perceptual import FrozenFeatures
from .forward import LIFTING, RENDERER, Painted, paint
from .losses import boxed, lifting_loss, picture_l1
from .pairs import Pairs
from .start import config_from, fresh_network, load_vit

NAME, VERSION = "gagavatar", 1
HALF = 0.5
"""Of each of the two pictures' L1, in the full frame and in the face box."""


class GagavatarTask:
    """See ``loop.Task``. A batch holds what ``pairs.pair_item`` makes. The network's sizes follow from the footage's
    head, so ``look_at`` comes first."""

    name = NAME
    corpus = Pairs

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.how = config, config.reenact or ReenactTraining()
        self._head: HeadModel | None = None
        if config.ablate not in ("", "renderer", "plane", "lifting"):
            raise ArgumentError(
                f"GAGAvatar has no part '{config.ablate}' to leave out.", remedy="Use renderer, plane or lifting."
            )

    def look_at(self, crops: Pairs) -> None:
        self._head = crops.head
        config_from(self.config.shape, point_count(self._head))  # an error now rather than in a worker

    @property
    def head(self) -> HeadModel:
        """Of the footage."""
        if self._head is None:
            raise ArgumentError("GAGAvatar's training knows its head from the footage alone.")
        return self._head

    @cached_property
    def sizes(self) -> Config:
        return config_from(self.config.shape, point_count(self.head))

    @cached_property
    def frozen(self) -> FrozenFeatures:
        return FrozenFeatures()

    def make_net(self) -> nn.Module:
        net = fresh_network(self.sizes)
        if self.how.backbone:
            load_vit(net, Path(self.how.backbone))
            net.base_model.dino_model.requires_grad_(not self.how.freeze)
        return net

    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        """The paper's: no memory of earlier gradients, a long one of their sizes."""
        c = self.config
        return torch.optim.AdamW(net.parameters(), lr=c.lr, betas=(self.how.momentum, 0.99), weight_decay=c.decay)

    def header(self, step: int) -> Header:
        c = self.config
        return Header(self.name, VERSION, dict(c.shape), ["picture"], step, c.seed, c.sha256())

    def save(self, net: nn.Module, step: int, out: Path) -> Path:
        """Parts and their index in ``out/parts``."""
        c = self.config
        index = new_index(
            self.sizes, self.head.name, self.head.sha256, ablate=c.ablate, step=step, seed=c.seed, training=c.sha256()
        )
        return write_parts(net.state_dict(), out / "parts", index)

    def warm(self, net: nn.Module, path: Path) -> None:
        """Start from parts. Raises ``FileFormatError``, ``ArgumentError`` (other sizes)."""
        weights, _, sizes = read_parts(path)
        if sizes != self.sizes:
            raise ArgumentError(f"{path} holds a network of other sizes or for another head than this training's.")
        net.load_state_dict(weights)

    def item(self, crops: Pairs, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return crops.item(index, rng, self.sizes)

    still = item

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """0.5 (L1 raw + L1 refined), the same on the face box, a perceptual term, and the lifting loss."""
        painted = paint(cast(Network, net), batch, ablate=self.config.ablate, fresh=self.how.noise)
        each = [self._one(p, batch, i) for i, p in enumerate(painted)]
        parts = {name: torch.stack([e[name] for e in each]).mean() for name in each[0]}
        total = torch.stack(list(parts.values())).sum()
        return total, {k: v.item() for k, v in parts.items()}

    def _one(self, painted: Painted, batch: dict[str, Tensor], i: int) -> dict[str, Tensor]:
        target, known = batch["target"][i].float() / 255, batch["known"][i].float() / 255
        pictures = [painted.raw] if self.config.ablate == RENDERER else [painted.raw, painted.picture]
        box = batch["box"][i]
        full = [picture_l1(p, target, known) for p in pictures]
        face = [picture_l1(boxed(p, box), boxed(target, box), boxed(known, box)) for p in pictures]
        parts = {"full": HALF * torch.stack(full).sum(), "face": self.how.face * HALF * torch.stack(face).sum()}
        if self.config.perceptual:
            shown = torch.stack([torch.where(known > 0, p, target) for p in pictures])
            wanted = target[None].expand_as(shown)
            parts["perceptual"] = (
                self.config.perceptual * len(pictures) * self.frozen.to(target.device).distance(shown, wanted)
            )
        if self.config.ablate != LIFTING and self.how.lifting:
            parts["lifting"] = self.how.lifting * lifting_loss(batch["near"][i], painted.lifted)
        return parts

    @torch.no_grad()
    def measure(self, net: nn.Module, batches: Iterable[dict[str, Tensor]], device: torch.device) -> dict[str, Any]:
        """Of the averaged network with its stored noise: "psnr" of the picture and "psnr_raw" of the raster (dB), in
        the "face" box too, "l1", and "lifted_mm": how far vertices are from their nearest lifted point. "score" is the
        PSNR."""
        found: dict[str, list[float]] = {}
        for batch in batches:
            batch = {k: v.to(device) for k, v in batch.items()}
            for i, painted in enumerate(paint(cast(Network, net), batch, ablate=self.config.ablate)):
                target, known = batch["target"][i].float() / 255, batch["known"][i].float() / 255
                box = batch["box"][i]
                told = {
                    "psnr": _psnr(painted.picture, target, known), "psnr_raw": _psnr(painted.raw, target, known),
                    "psnr_face": _psnr(boxed(painted.picture, box), boxed(target, box), boxed(known, box)),
                    "l1": float(picture_l1(painted.picture, target, known)),
                    "lifted_mm": float(lifting_loss(batch["near"][i], painted.lifted)) ** 0.5 / UNITS * 1000,
                }  # fmt: skip
                for name, value in told.items():
                    found.setdefault(name, []).append(value)
        mean = {k: round(float(np.mean(v)), 4) for k, v in found.items()}
        return {"score": mean["psnr"], **mean}


def _psnr(picture: Tensor, target: Tensor, known: Tensor) -> float:
    """dB, where known, the picture cut to 0..1."""
    error = ((picture.clamp(0, 1) - target).square().mean(0) * known).sum() / known.sum().clamp(min=1)
    return float(-10 * torch.log10(error.clamp(min=1e-8)))
