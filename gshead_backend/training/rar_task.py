"""What ``rar`` learns from: people seen from several sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..avatar.drive import pose_features
from ..head.arkit import ARKIT_NAMES
from ..head.catalog import default_head
from ..head.pose import HeadPose
from ..methods.common.lattice import lattice_of
from ..methods.rar.backbone import load_backbone
from ..methods.rar.build import NAME, make_net
from ..methods.rar.net import VERSION, Prediction, RarNet
from ..portrait.nets.mirror import ARKIT_MIRROR, LIGHT_SIGNS
from ..portrait.nets.weights import Header
from .config import HeadTraining, TrainConfig
from .data import Crops
from .head_views import Target, TrainingPerson, chosen_views, draw, head_item, nothing, people_of, picture_loss, scores
from .heads import GROUPS, VIEWS

OUTPUTS = ("shift", "color", "log_scale", "logit", "basis", "light")
_FLIPPED_CHANNELS = (10, 13)
"""x of the normal in the camera's frame and of the place: they change sign in a mirror."""
_FLIPPED_FACTS = 27
MEASURED = {"source": "source", "side": "sides", "far side": "sides", "expression": "expressions"}
"""By group of views, the name of the measurement."""
_RATES = {"shift": 0.06, "rough": 0.3, "tint": 0.15, "logit": 0.002, "moved": 0.3, "light": 0.02}


class RarTask:
    """See ``loop.Task``."""

    name = NAME

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.how = config.heads or HeadTraining()
        self.head = default_head()
        self.backbone = load_backbone(Path(self.how.backbone)) if self.how.backbone else None
        self.mirror = torch.from_numpy(lattice_of(self.head).mirror.astype(np.int64))
        self.arkit_mirror = torch.from_numpy(np.asarray(ARKIT_MIRROR).copy())

    def make_net(self) -> nn.Module:
        return make_net(self.head, self._shape())

    def _shape(self) -> dict[str, int]:
        outside = {"tokens": self.backbone.channels} if self.backbone is not None else {}
        return {**self.config.shape, **outside}

    def header(self, step: int) -> Header:
        c = self.config
        stands_on = self.backbone.sha256 if self.backbone is not None else ""
        return Header(
            self.name, VERSION, self._shape(), list(OUTPUTS), step, c.seed, c.sha256(), backbone=stands_on
        )  # fmt: skip

    def look_at(self, crops: Crops) -> None:
        """Nothing of the data is needed beforehand."""

    def item(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        item = head_item(crops, index, chosen_views(rng, self.how.views), rng)
        grey = rng.uniform(0.1, 0.9, self.how.views).astype(np.float32)
        return {**item, "grey": grey, "flip": np.array(rng.random() < self.config.augment.flip)}

    def still(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return head_item(crops, index, np.arange(VIEWS), None)

    def ask(self, net: RarNet, batch: dict[str, Tensor]) -> Prediction:
        """The network's answer; for items marked "flip" the mirror image of its answer to their mirror image."""
        inputs = [batch[k] for k in ("channels", "picture", "facts")]
        if "flip" not in batch or not bool(batch["flip"].any()):
            return net(*inputs, self._tokens(inputs[1]))
        flip, mirror = batch["flip"].bool(), self.mirror.to(inputs[0].device)
        channels, picture, facts = (
            torch.where(_like(flip, a), b, a) for a, b in zip(inputs, self._turned(inputs), strict=True)
        )
        said = net(channels, picture, facts, self._tokens(picture))
        sign = said.static.new_tensor([-1.0] + [1.0] * 9)
        signs6 = sign[:6, None]
        light = said.light * said.light.new_tensor(LIGHT_SIGNS)[:, None]
        return Prediction(
            torch.where(_like(flip, said.static), said.static[:, mirror] * sign, said.static),
            torch.where(_like(flip, said.basis), said.basis[:, mirror] * signs6, said.basis),
            torch.where(_like(flip, said.light), light, said.light),
        )

    def _tokens(self, picture: Tensor) -> Tensor | None:
        return None if self.backbone is None else self.backbone.tokens(picture)

    def _turned(self, inputs: list[Tensor]) -> list[Tensor]:
        channels, picture, facts = inputs
        channels = channels[:, self.mirror.to(channels.device)].clone()
        channels[..., list(_FLIPPED_CHANNELS)] *= -1
        facts = facts.clone()
        facts[:, :27] *= facts.new_tensor(LIGHT_SIGNS).repeat_interleave(3)
        facts[:, _FLIPPED_FACTS] *= -1
        return [channels, picture.flip(3), facts]

    def codes(self, net: RarNet, target: Target, photo_pose: Tensor, flip: bool) -> Tensor:
        """(K,) of a target's pose less those of the photo's; of the mirrored poses where the mirror image was seen."""
        poses = (target.pose, HeadPose.from_vector(photo_pose.cpu().numpy()))
        x = torch.from_numpy(np.stack([pose_features(p) for p in poses])).to(net.flat.device)
        if flip:
            arkit = x[:, : len(ARKIT_NAMES)][:, self.arkit_mirror]
            x = torch.cat([arkit, x[:, -3:] * x.new_tensor([1.0, -1.0, -1.0])], 1)
        now, photo = net.drive(x)
        return now - photo

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Pictures from several sides, and small, smooth corrections where these do not tell."""
        rar = cast(RarNet, net)
        said = self.ask(rar, batch)
        parts: dict[str, Tensor] = {"picture": said.static.new_zeros(())}
        people = people_of(batch, self.head, self.how.pixels)
        for i, person in enumerate(people):
            for k, target in enumerate(person.targets):
                moved = said.basis[i] @ self.codes(rar, target, batch["photo_pose"][i], bool(batch["flip"][i]))
                seen = draw(person, target, said.static[i], moved)
                one = picture_loss(seen, target, float(batch["grey"][i, k]), structure=self.how.structure)
                parts["picture"] = parts["picture"] + one / (len(people) * len(person.targets))
        shift = said.static[..., :3]
        parts["shift"] = _RATES["shift"] * (shift / 0.01).square().mean()
        parts["rough"] = _RATES["rough"] * self._rough(rar, shift / 0.01)
        parts["tint"] = _RATES["tint"] * said.static[..., 3:6].square().mean()
        parts["logit"] = _RATES["logit"] * said.static[..., 9].square().mean()
        parts["moved"] = _RATES["moved"] * (said.basis / rar.moved_units[:, None]).square().mean() * 0.01
        wrong = (said.light - batch["light"]).abs().mean((1, 2))
        parts["light"] = _RATES["light"] * (wrong * batch["lit"]).mean()  # nobody knows the light of footage
        total = torch.stack(list(parts.values())).sum()
        return total, {k: v.item() for k, v in parts.items()}

    @staticmethod
    def _rough(net: RarNet, values: Tensor) -> Tensor:
        """Mean squared difference between neighbouring texels."""
        maps = net._map(values)
        inside, maps = maps[:, -1:], maps[:, :-1]
        down = ((maps[:, :, 1:] - maps[:, :, :-1]) ** 2 * inside[:, :, 1:] * inside[:, :, :-1]).mean()
        across = ((maps[..., 1:] - maps[..., :-1]) ** 2 * inside[..., 1:] * inside[..., :-1]).mean()
        return down + across

    @torch.no_grad()
    def measure(self, net: nn.Module, batches: Any, device: torch.device) -> dict[str, Any]:
        """What is gained beside ``uvfit`` without its fit, in validation people's true pictures.

        "psnr_*" (dB inside both outlines) and "iou_*" at the source side, at other sides and with other expressions;
        "score": the gain at the sides in dB, plus ten times that in IoU; of footage without sides, that of the other
        frames.
        """
        rar = cast(RarNet, net)
        found: dict[str, list[float]] = {}
        light = []
        for batch in batches:
            batch = {k: v.to(device) for k, v in batch.items()}
            said = self.ask(rar, batch)
            lit = batch["lit"].bool()
            if lit.any():
                away = (said.light - batch["light"])[lit].abs().mean()
                light.append(float(away / batch["light"][lit].abs().mean()))
            for i, person in enumerate(people_of(batch, self.head)):
                for target, group in zip(person.targets, batch["group"][i].tolist(), strict=True):
                    if (name := MEASURED.get(GROUPS[group])) is not None:
                        moved = said.basis[i] @ self.codes(rar, target, batch["photo_pose"][i], False)
                        self._score(found, name, person, target, said.static[i], moved)
        mean = {k: float(np.mean(v)) for k, v in found.items()}
        of = "sides" if "psnr_sides" in mean else "expressions"
        gain = mean[f"psnr_{of}"] - mean[f"uvfit_psnr_{of}"] + 10 * (mean[f"iou_{of}"] - mean[f"uvfit_iou_{of}"])
        told = {"score": gain, **mean, **({"light_relative": float(np.mean(light))} if light else {})}
        return {k: round(v, 4) for k, v in told.items()}

    def _score(
        self, found: dict[str, list[float]], name: str, person: TrainingPerson, target: Target, static: Tensor,
        moved: Tensor,
    ) -> None:  # fmt: skip
        for prefix, seen in (
            ("", draw(person, target, static, moved)),
            ("uvfit_", draw(person, target, nothing(person))),
        ):
            psnr, iou = scores(seen, target)
            found.setdefault(f"{prefix}psnr_{name}", []).append(psnr)
            found.setdefault(f"{prefix}iou_{name}", []).append(iou)


def _like(flag: Tensor, value: Tensor) -> Tensor:
    """(B,) shaped so that it chooses among (B, ...)."""
    return flag.view(-1, *[1] * (value.ndim - 1))
