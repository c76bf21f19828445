"""What the lids' network learns from: both eyes of a face, shut ones often."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..portrait.nets.lids import BLINKS, eye_pictures, grey
from ..portrait.nets.lids_net import VERSION, LidsNet, blink_of, shut_share
from ..portrait.nets.weights import Header
from .augment import moved_points, photographed, shaded, similarity
from .config import Augment, TrainConfig
from .data import Crops
from .regressor_task import BLINK, WINDOW

SHARES = {"open": 0.6, "wink": 0.02, "shut": 0.38}
"""How often which eyes are shown, whatever is how often in the crops. Shut ones often enough to learn from, and seldom
enough that eyes which nobody sees are taken for open; winks as rare as they are, so that one eye says much about the
other."""
LABELS = ["eyeBlinkRight", "eyeBlinkLeft"]


class LidsTask:
    """See ``loop.Task``."""

    name = "lids"

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.kinds: list[np.ndarray] = []

    def make_net(self) -> nn.Module:
        return LidsNet(**self.config.shape)

    def header(self, step: int) -> Header:
        c = self.config
        return Header(self.name, VERSION, dict(c.shape), LABELS, step, c.seed, c.sha256())

    def look_at(self, crops: Crops) -> None:
        count = (crops.column("arkit")[:, BLINKS] > BLINK).sum(1)
        self.kinds = [np.flatnonzero(count == k) for k in range(len(SHARES))]

    def item(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Any sample of the kind whose turn it is; ``index`` only where there is none of that kind."""
        kind = self.kinds[rng.choice(len(SHARES), p=list(SHARES.values()))]
        return lids_item(crops, int(rng.choice(kind)) if len(kind) else index, rng, self.config.augment)

    def still(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return lids_item(crops, index, rng, Augment.none())

    def loss(self, net: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Cross entropy of how far each eye is shut."""
        loss = F.binary_cross_entropy_with_logits(net(batch["eyes"]).float(), shut_share(batch["blink"]))
        return loss, {}

    @torch.no_grad()
    def measure(self, net: nn.Module, batches: Any, device: torch.device) -> dict[str, Any]:
        """ "recall" of shut eyes, "false" of open ones taken for shut, "mae" of eyeBlink; "score": recall - false."""
        pairs = [(blink_of(net(batch["eyes"].to(device)).float()).cpu(), batch["blink"]) for batch in batches]
        read, true = (torch.cat(part).numpy() for part in zip(*pairs, strict=True))
        shut, open_ = true > BLINK, true < 0.2
        told = {
            "recall": float((read[shut] > BLINK).mean()) if shut.any() else 1.0,
            "false": float((read[open_] > BLINK).mean()) if open_.any() else 0.0,
            "mae": float(np.abs(read - true).mean()), "zero_mae": float(true.mean()),
        }  # fmt: skip
        return {k: round(v, 4) for k, v in told.items()} | {"score": round(told["recall"] - told["false"], 4)}


def lids_item(crops: Crops, index: int, rng: np.random.Generator, how: Augment) -> dict[str, np.ndarray]:
    """eyes (2, HEIGHT, WIDTH) as ``LidsNet``, blink (2,) of right and left eye."""
    sample = crops[index]
    image, marks = photographed(sample["window"], rng, how), moved_points(sample["window_marks"], rng, how, WINDOW / 2)
    move, _ = similarity(rng, how, WINDOW)
    eyes, blink = eye_pictures(image, marks, move), sample["arkit"][list(BLINKS)].astype(np.float32)
    if how.flip and rng.random() < how.flip:
        eyes, blink = eyes[::-1], blink[::-1]
    # Shadows of brows and noses have edges right here, which a shadow somewhere on the face seldom has.
    shade = [shaded(eye, rng) if how.shade and rng.random() < how.shade else eye for eye in eyes]
    return {"eyes": grey(np.stack(shade)), "blink": np.ascontiguousarray(blink)}
