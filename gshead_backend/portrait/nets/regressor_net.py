"""The regressor's network: feature maps of face and eyes and the landmarks turned to the front with a common end, and a
second reading of the expression from a closer look at mouth and eyes."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn
from torch.nn import functional as F

from .attention_mesh import MAPS, OF_REGIONS, REGIONS
from .face_inputs import CONTOUR, EYE_FEATURES, FACE_FEATURES
from .layers import ConvNorm

VERSION = 4
SIZES = {"arkit": 52, "gaze": 4, "head": 3, "light": 27, "log_sd": 59}
"""Outputs in order; ``log_sd`` belongs to arkit, gaze and head."""
LINEAR = SIZES["arkit"] + SIZES["gaze"] + SIZES["head"]
"""The first outputs, those that are nearly linear in the landmarks."""
POINTS = 478 * 3
DIRECT_SCALE = 0.05
OUTLINE_SCALE = (20.0, 20.0, 2.0, 2.0)
DEFAULT_SHAPE = {"face": 64, "eye": 48, "hidden": 256, "region": 32}


class RegressorNet(nn.Module):
    """Batches of ``face_inputs.FaceInput`` to raw outputs (B, 145); see :func:`split`.

    Buffers, from the training data: ``template`` (468, 3) the mean landmarks of a face from the front; ``middle`` and
    ``spread`` (1434,) of all landmarks as :func:`aligned` to it; ``light_unit`` (9,) of the harmonics of the light.

    Args:
        face, eye, region: channels of the feature maps. hidden: of the fully connected layers.
    """

    template: torch.Tensor
    middle: torch.Tensor
    spread: torch.Tensor
    light_unit: torch.Tensor

    def __init__(self, face: int = 64, eye: int = 48, hidden: int = 256, region: int = 32) -> None:
        super().__init__()
        channels, height, _ = FACE_FEATURES
        self.face = nn.Sequential(
            ConvNorm(channels, face, kernel=1), ConvNorm(face, face, stride=2), nn.Dropout2d(0.4), nn.Flatten(),
            nn.Linear(face * (height // 2) ** 2, hidden), nn.ReLU(),
        )  # fmt: skip
        channels, height, _ = EYE_FEATURES
        self.eye = nn.Sequential(
            ConvNorm(channels, eye, kernel=1), ConvNorm(eye, eye, stride=2), nn.Dropout2d(0.4), nn.Flatten(),
            nn.Linear(eye * (height // 2) ** 2, hidden // 2), nn.ReLU(),
        )  # fmt: skip
        self.points = nn.Sequential(
            nn.Linear(POINTS + 2 * CONTOUR + 9 + 2, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, hidden),
            nn.ReLU(),
        )  # fmt: skip
        self.trunk = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(3 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.out = nn.Linear(hidden, sum(SIZES.values()))
        self.direct = nn.Linear(POINTS, LINEAR, bias=False)
        self.closer = Closer(region, hidden)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        nn.init.zeros_(self.direct.weight)
        with torch.no_grad():
            self.out.bias[-SIZES["log_sd"] :] = -2.0
        self.register_buffer("template", torch.zeros(468, 3))
        self.register_buffer("middle", torch.zeros(POINTS))
        self.register_buffer("spread", torch.ones(POINTS))
        self.register_buffer("light_unit", torch.ones(9))

    def train(self, mode: bool = True) -> Self:
        """Parts that are not trained stay as in use, without dropout."""
        super().train(mode)
        for part in self.children():
            if not any(p.requires_grad for p in part.parameters()):
                part.eval()
        return self

    def forward(
        self, points: torch.Tensor, roll: torch.Tensor, face: torch.Tensor, eyes: torch.Tensor, contours: torch.Tensor,
        outlines: torch.Tensor, regions: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        batch = points.shape[0]
        turned, R = aligned(points, self.template)
        solid = ((turned.flatten(1) - self.middle) / self.spread).clamp(-6, 6)
        known = torch.cat([solid, 4 * contours.flatten(1), R.flatten(1), roll], 1)
        look = self.eye(eyes.flatten(0, 1)).reshape(batch, -1)
        whole = self.trunk(torch.cat([self.face(face), look, self.points(known)], 1))
        raw = self.out(whole)
        # Scaled: a step of Adam moves all of its many weights, and with them the output, by the learning rate at once.
        linear = self.direct(DIRECT_SCALE * solid)
        raw = raw + F.pad(linear, (0, raw.shape[1] - LINEAR))
        more = self.closer(torch.cat([whole, R.flatten(1)], 1), outlines, regions)
        return raw + F.pad(more, (0, raw.shape[1] - more.shape[1]))


class Closer(nn.Module):
    """What mouth and eyes, seen closely, add to the ARKit weights (B, 52) that the whole face says.

    Args:
        region: channels of the maps. hidden: width of ``whole`` but for its rotation.
    """

    def __init__(self, region: int, hidden: int) -> None:
        super().__init__()
        channels, height, _ = MAPS
        self.maps = nn.ModuleList(
            nn.Sequential(
                nn.Dropout2d(0.5), ConvNorm(channels, region, kernel=1), ConvNorm(region, region, stride=2),
                nn.Flatten(), nn.Dropout(0.5), nn.Linear(region * (height // 2) ** 2, hidden // 4), nn.ReLU(),
            )
            for _ in REGIONS
        )  # fmt: skip
        self.outlines = nn.Sequential(nn.Dropout(0.1), nn.Linear(4 * len(OF_REGIONS), hidden // 2), nn.ReLU())
        width = hidden + 9 + len(REGIONS) * (hidden // 4) + hidden // 2
        self.both = nn.Sequential(nn.Dropout(0.5), nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(0.5))
        self.out = nn.Linear(hidden, SIZES["arkit"])
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)

    def forward(self, whole: torch.Tensor, outlines: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        drawn = self.outlines((outlines * outlines.new_tensor(OUTLINE_SCALE)).flatten(1))
        seen = [net(regions[:, k]) for k, net in enumerate(self.maps)]
        return self.out(self.both(torch.cat([whole, drawn, *seen], 1)))


def aligned(points: torch.Tensor, template: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Landmarks (B, 478, 3) turned, moved and scaled onto (468, 3) others, and the rotations (B, 3, 3) that do it:
    ``aligned = s (points - mean) @ R`` (Umeyama 1991)."""
    with torch.autocast(points.device.type, enabled=False):
        points, template = points.float(), template.float()
        x = points - points[:, :468].mean(1, keepdim=True)
        y = template - template.mean(0)
        own = x[:, :468]
        U, S, Vh = torch.linalg.svd(own.transpose(1, 2) @ y)
        last = torch.linalg.det(U @ Vh).sign()
        D = torch.stack([torch.ones_like(last), torch.ones_like(last), last], 1)
        R = (U * D[:, None]) @ Vh
        scale = (S * D).sum(1) / (own**2).sum((1, 2)).clamp(min=1e-12)
        return scale[:, None, None] * (x @ R), R


def split(raw: torch.Tensor) -> dict[str, torch.Tensor]:
    """Raw outputs (B, 145) to arkit (B, 52) 0..1, gaze (B, 2, 2) rad, head (B, 3) rad, light (B, 9, 3), log_sd (B, 59).

    The head's roll is what the eye line does not already say; light is in ``light_unit``.
    """
    parts = dict(zip(SIZES, raw.split(tuple(SIZES.values()), 1), strict=True))
    arkit = parts["arkit"]
    return {
        # Clamped, with the gradient of the unclamped value: a sigmoid hardly learns where most targets are zero.
        "arkit": arkit + (arkit.clamp(0, 1) - arkit).detach(),
        "gaze": parts["gaze"].reshape(-1, 2, 2),
        "head": parts["head"],
        "light": parts["light"].reshape(-1, 9, 3),
        "log_sd": parts["log_sd"].clamp(-5, 1),
    }
