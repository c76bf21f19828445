"""What the expression regressor learns from, its loss, and how good it is beside a predictor that says nothing."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..errors import ArgumentError
from ..head.arkit import ARKIT_INDEX, ARKIT_NAMES
from ..portrait.nets.face_inputs import INPUTS, WINDOW, regressor_input
from ..portrait.nets.mirror import ANGLE_SIGNS, ARKIT_MIRROR, LIGHT_SIGNS, mirror_gaze, mirror_landmarks
from ..portrait.nets.regressor_net import VERSION, RegressorNet, split
from ..portrait.nets.weights import Header
from .augment import covered, moved_points, photographed, similarity
from .config import Augment, TrainConfig
from .data import Crops
from .landmark_start import LandmarkStart, landmark_start
from .restyle import restyled

ACTIVE = 0.1  # channels above are counted as active
ACTIVE_WEIGHT = 3.0
BLINK = 0.5
CLOSED_WEIGHT = 5.0
"""What a closed eye counts more: rare, and half closed is a mistake that everybody sees."""
LABELS = [*ARKIT_NAMES, "gaze", "head", "light"]
_MAPS = ("face", "eyes", "regions")
_BLINKS = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]


class RegressorTask:
    """See ``loop.Task``."""

    name = "regressor"

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.light_unit = np.ones(9, np.float32)
        self.channel_weight = torch.ones(52)
        self.start: LandmarkStart | None = None
        self._kept: dict[tuple[int, int], dict[str, np.ndarray]] = {}

    def make_net(self) -> nn.Module:
        net = RegressorNet(**self.config.shape)
        net.light_unit.copy_(torch.from_numpy(self.light_unit))
        if self.start is not None:
            self.start.give_to(net)
        if only := self.config.only:
            parts = dict(net.named_children())
            if only not in parts:
                raise ArgumentError(f"The regressor has no part '{only}'; its parts are {', '.join(parts)}.")
            net.requires_grad_(False)
            parts[only].requires_grad_(True)
        return net

    def header(self, step: int) -> Header:
        c = self.config
        return Header(self.name, VERSION, dict(c.shape), LABELS, step, c.seed, c.sha256())

    def look_at(self, crops: Crops) -> None:
        """Take the units of the light, the weights of rare channels and a linear start from the training data."""
        light = crops.column("light")
        self.light_unit = np.maximum(np.sqrt((light**2).mean((0, 2))), 1e-3).astype(np.float32)
        energy = (crops.column("arkit") ** 2).mean(0)
        weight = 1 / np.sqrt(energy + 0.01)
        self.channel_weight = torch.from_numpy((weight / weight.mean()).astype(np.float32))
        self.start = landmark_start(crops)

    def item(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """What the outside networks make of a picture takes ten times as long as a step with it: ``config.copies``."""
        c = self.config
        if not c.copies:
            return regressor_item(crops, index, rng, c.augment)
        key = index, int(rng.integers(c.copies))
        if key not in self._kept:
            new = regressor_item(crops, index, np.random.default_rng((c.seed, 3, *key)), c.augment)
            self._kept[key] = {k: v.astype(np.float16) if k in _MAPS else v for k, v in new.items()}
        return {k: v.astype(np.float32) for k, v in self._kept[key].items()}

    def still(self, crops: Crops, index: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return regressor_item(crops, index, rng, Augment.none())

    def loss(self, net: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Squared error of the ARKit weights, Huber losses of the other means, and a likelihood of the deviations.

        ARKit weights are mostly zero: a loss that leads to the median would teach to read too little, so theirs is
        squared, and counts more where something moves. The Gaussian likelihood sees the means without gradient:
        letting it weigh the errors makes hard samples count less and their means worse (Seitzer et al. 2022, "On the
        pitfalls of heteroscedastic uncertainty estimation").
        """
        share = self.config.restyle
        seen = (restyled(batch[k], share) if share and k in _MAPS else batch[k] for k in INPUTS)
        out = {k: v.float() for k, v in split(net(*seen)).items()}
        weight = self.channel_weight.to(out["arkit"].device)
        moving = 1 + ACTIVE_WEIGHT * (batch["arkit"] > ACTIVE)
        moving[:, _BLINKS] += CLOSED_WEIGHT * (batch["arkit"][:, _BLINKS] > BLINK)
        parts = {
            "arkit": 40 * (weight * moving * (out["arkit"] - batch["arkit"]) ** 2).mean(),
            "gaze": 10 * _huber(out["gaze"] - batch["gaze"], 0.15).mean(),
            "head": 20 * _huber(out["head"] - batch["head"], 0.1).mean(),
            "light": 0.1
            * _huber(out["light"] - batch["light"] / cast(RegressorNet, net).light_unit[:, None], 0.5).mean(),
        }
        guess = torch.cat([out["arkit"], out["gaze"].flatten(1), out["head"]], 1).detach()
        truth = torch.cat([batch["arkit"], batch["gaze"].flatten(1), batch["head"]], 1)
        parts["spread"] = 0.05 * F.gaussian_nll_loss(guess, truth, (2 * out["log_sd"]).exp(), eps=1e-4)
        total = torch.stack(list(parts.values())).sum()
        return total, {k: v.item() for k, v in parts.items()}

    def measure(self, net: nn.Module, batches: Any, device: torch.device) -> dict[str, Any]:
        """See :func:`report`; "score" is its active correlation minus its active error."""
        return report(read_batches(cast(RegressorNet, net), batches, device))


@torch.no_grad()
def read_batches(net: RegressorNet, batches: Any, device: torch.device) -> dict[str, np.ndarray]:
    """Everything that a network reads, and the same with ``true_``, as :func:`report` takes it."""
    found: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        inputs = (batch[k].to(device) for k in INPUTS)
        for key, value in split(net(*inputs).float()).items():
            found.setdefault(key, []).append(value.cpu().numpy())
            if key in batch:
                found.setdefault("true_" + key, []).append(batch[key].numpy())
    joined = {k: np.concatenate(v) for k, v in found.items()}
    joined["light"] = joined["light"] * net.light_unit.cpu().numpy()[:, None]
    return joined


def _huber(d: torch.Tensor, delta: float) -> torch.Tensor:
    return F.huber_loss(d, torch.zeros_like(d), reduction="none", delta=delta) / delta


def report(v: dict[str, np.ndarray]) -> dict[str, Any]:
    """Errors of readings against the truth; ``zero`` is what predicting nothing would give.

    Args:
        v: arkit (N, 52), gaze (N, 2, 2), head (N, 3), light (N, 9, 3), log_sd (N, 59), and the same with ``true_``.
    """
    guess, truth = v["arkit"], v["true_arkit"]
    active = truth > ACTIVE
    error = np.abs(guess - truth)
    moving = [c for c in range(52) if truth[:, c].std() > 0.02]
    by_channel = {ARKIT_NAMES[c]: correlation(guess[:, c], truth[:, c]) for c in moving}
    eyes_t, eyes_g = truth[:, _BLINKS].ravel(), guess[:, _BLINKS].ravel()
    blinks = eyes_t > BLINK
    head = np.degrees(np.abs(v["head"] - v["true_head"])).mean(0)
    light = np.abs(v["light"] - v["true_light"]).mean() / max(float(np.abs(v["true_light"]).mean()), 1e-6)
    out = {
        "arkit_mae": error.mean(), "arkit_active_mae": error[active].mean() if active.any() else 0.0,
        "arkit_active_corr": correlation(guess[active], truth[active]),
        "arkit_channel_corr": np.mean(list(by_channel.values())) if by_channel else 0.0,
        "zero_mae": truth.mean(), "zero_active_mae": truth[active].mean() if active.any() else 0.0,
        "blink_recall": (eyes_g[blinks] > BLINK).mean() if blinks.any() else 1.0,
        "blink_false": (eyes_g[eyes_t < 0.2] > BLINK).mean() if (eyes_t < 0.2).any() else 0.0,
        "gaze_deg": _gaze_error(v["gaze"], v["true_gaze"]), "zero_gaze_deg": _gaze_error(0 * v["gaze"], v["true_gaze"]),
        "yaw_deg": head[0], "pitch_deg": head[1], "roll_deg": head[2], "light_relative": light,
    }  # fmt: skip
    told: dict[str, Any] = {k: round(float(x), 4) for k, x in out.items()}
    told["score"] = round(told["arkit_active_corr"] - told["arkit_active_mae"] - 0.01 * told["gaze_deg"], 4)
    told["channels"] = {k: round(x, 3) for k, x in by_channel.items()}
    return told


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; 0 where one of them does not vary."""
    if a.size < 2 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _gaze_error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean angle in degrees between directions given as yaw and pitch."""

    def direction(g: np.ndarray) -> np.ndarray:
        yaw, pitch = g[..., 0], g[..., 1]
        return np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], -1)

    return float(np.degrees(np.arccos(np.clip((direction(a) * direction(b)).sum(-1), -1, 1))).mean())


def regressor_item(crops: Crops, index: int, rng: np.random.Generator, how: Augment) -> dict[str, np.ndarray]:
    """``FaceInput``'s arrays; arkit, gaze, head (roll beyond the eye line), light."""
    sample = crops[index]
    image, marks, roll = sample["window"], sample["window_marks"], float(sample["roll"])
    arkit, gaze, head, light = (sample[k] for k in ("arkit", "gaze", "head", "light"))
    if how.flip and rng.random() < how.flip:
        image, marks, roll = np.ascontiguousarray(image[:, ::-1]), mirror_landmarks(marks, WINDOW), -roll
        arkit, gaze, head = arkit[ARKIT_MIRROR], mirror_gaze(gaze), head * ANGLE_SIGNS
        light = light * LIGHT_SIGNS[:, None]
    image = photographed(image, rng, how)
    if how.cover and rng.random() < how.cover:
        where, color = covered(image.shape[:2], rng)
        image = image.copy()
        image[where] = color
    move, angle = similarity(rng, how, WINDOW)
    marks = moved_points(marks, rng, how, 0.55 * WINDOW)
    seen = regressor_input(image, marks, roll, move)
    turned = (head - np.array([0, 0, roll - angle])).astype(np.float32)
    turned[2] = (turned[2] + np.pi) % (2 * np.pi) - np.pi
    return {
        **seen.arrays(), "arkit": arkit.astype(np.float32), "gaze": gaze.astype(np.float32), "head": turned,
        "light": light.astype(np.float32),
    }  # fmt: skip
