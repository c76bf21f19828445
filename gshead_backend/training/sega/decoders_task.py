"""Third stage of ``sega``: static and dynamic decoders, by looking at people from other sides; both VAEs are frozen."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...head.catalog import default_head
from ...head.model import HeadModel
from ...head.pose import HeadPose
from ...methods.common.edits import LOG_SCALE, SHIFT
from ...methods.common.lattice import Lattice, lattice_of
from ...methods.sega.decoders import NAME, corrections, flags_of, identity_of, observed_maps
from ...methods.sega.decoders_net import VERSION, DecodersNet
from ...methods.sega.facial import FacialCrop, facial_crop
from ...methods.sega.identity import load_identity
from ...methods.sega.motion import expression_codes
from ...portrait.nets.weights import Header
from ..config import HeadTraining, TrainConfig
from ..data import Crops
from ..head_views import Target, chosen_views, draw, head_item, nothing, people_of, picture_loss, scores
from ..heads import GROUPS, VIEWS, avatar_of
from ..perceptual import FrozenFeatures

OFFSET, LARGE = 0.02, 1.0
"""Weights of squared shifts (in cm) and of splats that grow beyond ``LARGEST``."""
LARGEST = float(np.log(0.012))
STILL = (0, 1, 3, 4, VIEWS - 1)
"""Views that validation looks at."""


class DecodersTask:
    """See ``loop.Task``. A batch holds what ``head_views.head_item`` makes, with maps and expression codes."""

    name = NAME

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.how = config.heads or HeadTraining()
        self.flags = flags_of(config.ablate)

    @cached_property
    def head(self) -> HeadModel:
        return default_head()

    @cached_property
    def lattice(self) -> Lattice:
        return lattice_of(self.head)

    @cached_property
    def crop(self) -> FacialCrop:
        return facial_crop(self.lattice, everything="all_dynamic" in self.flags)

    @cached_property
    def features(self) -> FrozenFeatures:
        return FrozenFeatures()

    def make_net(self) -> nn.Module:
        return DecodersNet(**self.config.shape)

    def header(self, step: int) -> Header:
        c = self.config
        return Header(self.name, VERSION, dict(c.shape), list(self.flags), step, c.seed, c.sha256())

    def look_at(self, crops: Any) -> None:
        """Nothing of the data is needed beforehand."""

    def item(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return self._seen(head_item(crops, index, chosen_views(rng, self.how.views), rng))

    def still(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return self._seen(head_item(crops, index, np.array(STILL), None))

    def _seen(self, item: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        person = avatar_of(item, self.head).personal
        poses = [HeadPose.from_vector(p) for p in item["pose"]]
        codes = expression_codes(self.lattice, person, poses)
        return {**item, "maps": observed_maps(self.lattice, item["channels"]), "codes": codes}

    def told(self, net: nn.Module, batch: dict[str, Tensor], i: int) -> Tensor:
        """(T, M, 10) what the decoders say of the texels in each view of sample ``i``."""
        latents = identity_of(batch["picture"][i : i + 1], self.flags)
        maps, facts = batch["maps"][i : i + 1], batch["facts"][i : i + 1]
        decoders = cast(DecodersNet, net)
        return corrections(decoders, self.lattice, self.crop, maps, latents, facts, batch["codes"][i], self.flags)

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """``.8 L1 + .2 (1 - SSIM) + .5 mask`` of every view, features and identity of one, small shifts and splats."""
        parts: dict[str, list[Tensor]] = defaultdict(list)
        for i, person in enumerate(people_of(batch, self.head, self.how.pixels)):
            told = self.told(net, batch, i)
            before = person.edited.overrides(nothing(person))["log_scale"][: person.edited.count]
            for v, target in enumerate(person.targets):
                seen = draw(person, target, told[v])
                parts["photo"].append(
                    picture_loss(seen, target, 0.2 + 0.7 * float(torch.rand(())), structure=self.how.structure)
                )
                parts["offset"].append((told[v][:, SHIFT] * 100).square().sum(1).mean())
                grown = (before + told[v][:, LOG_SCALE] - LARGEST).clamp(min=0) * (told[v][:, LOG_SCALE] > 0)
                parts["scale"].append(grown.mean())
                if v == 0:
                    self._features(parts, seen, target)
        mean = {k: torch.stack(v).mean() for k, v in parts.items()}
        c = self.config
        weights = {"photo": 1.0, "offset": OFFSET, "scale": LARGE, "perceptual": c.perceptual, "identity": c.identity}
        loss = torch.stack([weights[k] * v for k, v in mean.items()]).sum()
        return loss, {k: v.item() for k, v in mean.items()}

    def _features(self, parts: dict[str, list[Tensor]], seen: Any, target: Target) -> None:
        """Perceptual and identity distances of a picture, both on grey."""
        shown = seen.color + 0.5 * (1 - seen.alpha)[..., None]
        wanted = target.color * target.matte[..., None] + 0.5 * (1 - target.matte)[..., None]
        a, b = (x.permute(2, 0, 1)[None].clamp(0, 1) for x in (shown, wanted))
        if self.config.perceptual:
            parts["perceptual"].append(self.features.distance(a, b))
        if self.config.identity:
            net = load_identity(device=str(a.device))
            large = [F.interpolate(2 * x - 1, (256, 256), mode="bilinear").contiguous() for x in (a, b)]
            mine, true = net.encode(large[0]), net.encode(large[1]).detach()
            parts["identity"].append(1 - F.cosine_similarity(mine, true, dim=1).mean())

    @torch.no_grad()
    def measure(self, net: nn.Module, batches: Any, device: torch.device) -> dict[str, Any]:
        """PSNR inside both outlines ("psnr", dB) and intersection over union ("iou") by group of views, of the decoders
        and of the splats that they correct ("untrained"); "score": mean gain of the PSNR from the sides + 10 times
        that of the outlines."""
        found: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for batch in batches:
            batch = {k: v.to(device) for k, v in batch.items()}
            for i, person in enumerate(people_of(batch, self.head)):
                told = self.told(net, batch, i)
                for v, target in enumerate(person.targets):
                    group = GROUPS[int(batch["group"][i, v])]
                    found[f"sega {group}"].append(scores(draw(person, target, told[v]), target))
                    found[f"untrained {group}"].append(scores(draw(person, target, nothing(person)), target))
        psnr = {k: float(np.mean([p for p, _ in v])) for k, v in found.items()}
        iou = {k: float(np.mean([o for _, o in v])) for k, v in found.items()}
        groups = sorted({g for g in GROUPS if f"sega {g}" in psnr})
        gains = [psnr[f"sega {g}"] - psnr[f"untrained {g}"] for g in groups]
        cuts = [iou[f"sega {g}"] - iou[f"untrained {g}"] for g in groups]
        return {"score": float(np.mean(gains) + 10 * np.mean(cuts)), "psnr": psnr, "iou": iou}
