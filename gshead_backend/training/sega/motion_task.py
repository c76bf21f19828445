"""Second stage of ``sega``: the VAE learns the movements of the head model itself; nothing is rendered."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...head.catalog import default_head
from ...head.pose import HeadPose
from ...head.skinning import PersonalHead
from ...methods.common.lattice import Lattice, lattice_of
from ...methods.sega.motion import NAME, UNIT, displacement_map, moved_map
from ...methods.sega.motion_net import VERSION, MotionNet, divergence
from ...portrait.nets.weights import Header
from ..config import TrainConfig
from ..synthetic.expression import draw_expression, pose_of

DIVERGENCE = 1e-4
LAPLACIAN = 0.1
SQUARE = 0.5  # most texels hardly move: by absolute differences alone, nothing moves at all for long
MOVING = 3.0  # what a texel of the face counts; the rest of the bust hardly moves
_REACH = 0.02  # metres from the face's landmarks
SPLITS = {"train": (2_000, 65_536), "validation": (1_000, 512)}
"""First person and number of samples."""
PEOPLE = 256
_LAPLACE = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).expand(3, 1, 3, 3)


class Movements:
    """Expressions of people, drawn when they are asked for; sample k is always the same."""

    def __init__(self, split: str, limit: int | None = None) -> None:
        self.first, count = SPLITS[split]
        self.count = count if limit is None else min(count, limit)

    def __len__(self) -> int:
        return self.count

    def column(self, key: str) -> np.ndarray:
        """Only "seed" is known."""
        return np.arange(self.count)

    def draw(self, index: int) -> tuple[PersonalHead, HeadPose]:
        person = _person(self.first + index % PEOPLE)
        return person, pose_of(person.model, draw_expression(np.random.default_rng((self.first, index))))


@lru_cache(maxsize=2 * PEOPLE)
def _person(seed: int) -> PersonalHead:
    head = default_head()
    return PersonalHead.create(head, np.clip(np.random.default_rng(seed).standard_normal(head.identity_count), -2, 2))


@lru_cache(maxsize=2 * PEOPLE)
def _neutral(seed: int) -> np.ndarray:
    person = _person(seed)
    return person.vertices(HeadPose.neutral(person.model.expression_count))


class MotionTask:
    """See ``loop.Task``. A batch holds moved and wanted (B, 3, S, S) in ``UNIT``."""

    name = NAME

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    @cached_property
    def lattice(self) -> Lattice:
        return lattice_of(default_head(), self.config.shape["size"])

    @cached_property
    def weight(self) -> Tensor:
        """(S, S) 0 beside the surface, 1 on it, ``MOVING`` on the face."""
        lattice = self.lattice
        near = lattice.at(lattice.surface.face_distance) < _REACH
        return torch.from_numpy(lattice.image(np.where(near, MOVING, 1.0).astype(np.float32)))

    def make_net(self) -> nn.Module:
        return MotionNet(**self.config.shape)

    def header(self, step: int) -> Header:
        c = self.config
        return Header(self.name, VERSION, dict(c.shape), [], step, c.seed, c.sha256())

    def corpus(self, folder: Path, split: str, limit: int | None = None) -> Movements:
        return Movements(split, limit)

    def look_at(self, crops: Any) -> None:
        """Nothing of the data is needed beforehand."""

    def item(self, crops: Movements, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        person, pose = crops.draw(index)
        neutral = _neutral(crops.first + index % PEOPLE)
        return {
            "moved": moved_map(self.lattice, person.vertices(pose), neutral),
            "wanted": displacement_map(self.lattice, person, pose),
        }

    still = item

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """``|D - D*| + w_sq (D - D*)^2 + w_KL KL + w_lap |Laplacian of D - D*|`` on the surface."""
        told, mean, spread = cast(MotionNet, net)(batch["moved"])
        weight = self.weight.to(told.device)
        error = (told - batch["wanted"]) * (weight > 0)
        l1 = (error.abs() * weight).sum() / (3 * len(error) * weight.sum())
        square = (error.square() * weight).sum() / (3 * len(error) * weight.sum())
        bend = F.conv2d(error, _LAPLACE.to(error.device, error.dtype), groups=3, padding=1)
        bend = (bend.abs() * weight).sum() / (3 * len(error) * weight.sum())
        nats = divergence(mean, spread)
        loss = l1 + SQUARE * square + DIVERGENCE * nats + LAPLACIAN * bend
        return loss, {"l1": l1.item(), "square": square.item(), "nats": nats.item(), "bend": bend.item()}

    @torch.no_grad()
    def measure(self, net: nn.Module, batches: Any, device: torch.device) -> dict[str, Any]:
        """Of the face's texels, mm: "mean_mm" and "p95_mm" error, "moved_mm" the mean without any network; "score" is
        the share of the movement that is explained; "active": dimensions of the code whose mean varies (> .1)."""
        face = (self.weight == MOVING).to(device)
        errors, sizes, codes = [], [], []
        for batch in batches:
            wanted = batch["wanted"].to(device)
            told, mean, _ = cast(MotionNet, net)(batch["moved"].to(device))
            errors.append((told - wanted).norm(dim=1)[:, face].reshape(-1))
            sizes.append(wanted.norm(dim=1)[:, face].reshape(-1))
            codes.append(mean)
        error, size = (torch.cat(x) * UNIT * 1000 for x in (errors, sizes))
        some = error[:: max(1, len(error) // 1_000_000)]
        return {
            "score": float(1 - error.mean() / size.mean()), "mean_mm": float(error.mean()),
            "p95_mm": float(some.quantile(0.95)), "moved_mm": float(size.mean()),
            "active": float((torch.cat(codes).std(0) > 0.1).sum()),
        }  # fmt: skip
