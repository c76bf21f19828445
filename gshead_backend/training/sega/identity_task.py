"""First stage of ``sega``: the VQ-VAE learns heads from pictures."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ...methods.sega.identity import NAME, SIZE, identity_input
from ...methods.sega.identity_net import VERSION, IdentityNet
from ...portrait.labels import LABEL_INDEX
from ...portrait.nets.inputs import sample_affine
from ...portrait.nets.weights import Header
from ..augment import photographed, similarity
from ..config import Augment, TrainConfig
from ..crops import STORED, UNKNOWN
from ..data import Crops
from ..perceptual import FrozenFeatures

COMMITMENT = 0.25
OUTSIDE = 0.1  # what a pixel of the grey around the person counts
CLOSE = 3.0  # and one of eyes, brows and mouth: few pixels that everybody looks at
_CLOSE = tuple(LABEL_INDEX[name] for name in ("brows", "eyes", "lips", "mouth", "glasses"))
_FACE = slice(SIZE // 2 - 80, SIZE // 2 + 80)  # the face lies in the middle of the crop


class IdentityTask:
    """See ``loop.Task``. A batch holds image (B, 3, S, S) -1..1 and weight (B, S, S)."""

    name = NAME

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    @cached_property
    def features(self) -> FrozenFeatures:
        return FrozenFeatures()

    def make_net(self) -> nn.Module:
        return IdentityNet(**self.config.shape)

    def header(self, step: int) -> Header:
        c = self.config
        return Header(self.name, VERSION, dict(c.shape), [], step, c.seed, c.sha256())

    def look_at(self, crops: Crops) -> None:
        """Nothing of the data is needed beforehand."""

    def item(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return identity_item(crops[index], rng, self.config.augment)

    def still(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return identity_item(crops[index], rng, Augment.none())

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """L1 where it matters + features of the face + commitment of the encoder to its codes."""
        shown, between = cast(IdentityNet, net)(batch["image"])
        weight = batch["weight"][:, None]
        l1 = ((shown - batch["image"]).abs() * weight).sum() / (3 * weight.sum())
        parts = {"l1": l1.item(), "commitment": between.commitment.item()}
        loss = l1 + COMMITMENT * between.commitment
        if self.config.perceptual:
            face = [(p[..., _FACE, _FACE] + 1) / 2 for p in (shown, batch["image"])]
            p = self.features.distance(face[0], face[1])
            loss = loss + self.config.perceptual * p
            parts["perceptual"] = p.item()
        return loss, parts

    @torch.no_grad()
    def measure(self, net: nn.Module, batches: Any, device: torch.device) -> dict[str, Any]:
        """ "score" and "psnr": dB inside the matte; "used": share of the codes that occur; and their "perplexity"."""
        identity = cast(IdentityNet, net)
        used = torch.zeros(len(identity.codebook.codes))
        psnr = []
        for batch in batches:
            image = batch["image"].to(device)
            shown, between = identity(image)
            inside = (batch["weight"] > 0.5).to(device)[:, None]
            square = (((shown.clamp(-1, 1) - image) / 2) ** 2 * inside).sum((1, 2, 3))
            psnr += (-10 * (square / (3 * inside.sum((1, 2, 3)))).log10()).tolist()
            used += torch.bincount(between.index.reshape(-1).cpu(), minlength=len(used))
        share = used / used.sum()
        perplexity = float((-(share * share.clamp(min=1e-12).log()).sum()).exp())
        value = round(float(np.mean(psnr)), 3)
        return {"score": value, "psnr": value, "used": float((used > 0).float().mean()), "perplexity": perplexity}


def identity_item(sample: dict[str, np.ndarray], rng: np.random.Generator, how: Augment) -> dict[str, np.ndarray]:
    """image (3, S, S) float32 -1..1, the person on grey; weight (S, S) float32."""
    move, _ = similarity(rng, how, STORED)
    move[:, 2] -= (STORED - SIZE) / 2
    image = photographed(sample_affine(sample["image"], move, SIZE), rng, how)
    matte = sample_affine(sample["matte"], move, SIZE, border=cv2.BORDER_CONSTANT)
    labels = sample_affine(sample["labels"], move, SIZE, nearest=True, border=cv2.BORDER_CONSTANT, fill=UNKNOWN)
    if how.flip and rng.random() < how.flip:
        image, matte, labels = (np.ascontiguousarray(a[:, ::-1]) for a in (image, matte, labels))
    weight = np.maximum(matte.astype(np.float32) / 255, OUTSIDE)
    weight[np.isin(labels, _CLOSE)] = CLOSE
    return {"image": identity_input(image, matte), "weight": weight}
