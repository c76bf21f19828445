"""The regressor's network: feature maps of face and eyes, the landmarks turned to the front, and a common end."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .face_inputs import CONTOUR, EYE_FEATURES, FACE_FEATURES
from .layers import ConvNorm

VERSION = 3
SIZES = {"arkit": 52, "gaze": 4, "head": 3, "light": 27, "log_sd": 59}
"""Outputs in order; ``log_sd`` belongs to arkit, gaze and head."""
LINEAR = SIZES["arkit"] + SIZES["gaze"] + SIZES["head"]
"""The first outputs, those that are nearly linear in the landmarks."""
POINTS = 478 * 3
DIRECT_SCALE = 0.05
DEFAULT_SHAPE = {"face": 64, "eye": 48, "hidden": 256}


class RegressorNet(nn.Module):
    """Batches of ``face_inputs.FaceInput`` to raw outputs (B, 145); see :func:`split`.

    Buffers, from the training data: ``template`` (468, 3) the mean landmarks of a face from the front; ``middle`` and
    ``spread`` (1434,) of all landmarks as :func:`aligned` to it.

    Args:
        face, eye: channels of the feature maps. hidden: of the fully connected layers.
    """

    template: torch.Tensor
    middle: torch.Tensor
    spread: torch.Tensor

    def __init__(self, face: int = 64, eye: int = 48, hidden: int = 256) -> None:
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
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        nn.init.zeros_(self.direct.weight)
        with torch.no_grad():
            self.out.bias[-SIZES["log_sd"] :] = -2.0
        self.register_buffer("template", torch.zeros(468, 3))
        self.register_buffer("middle", torch.zeros(POINTS))
        self.register_buffer("spread", torch.ones(POINTS))

    def forward(
        self, points: torch.Tensor, roll: torch.Tensor, face: torch.Tensor, eyes: torch.Tensor, contours: torch.Tensor
    ) -> torch.Tensor:
        batch = points.shape[0]
        turned, R = aligned(points, self.template)
        solid = ((turned.flatten(1) - self.middle) / self.spread).clamp(-6, 6)
        known = torch.cat([solid, 4 * contours.flatten(1), R.flatten(1), roll], 1)
        look = self.eye(eyes.flatten(0, 1)).reshape(batch, -1)
        raw = self.out(self.trunk(torch.cat([self.face(face), look, self.points(known)], 1)))
        # Scaled: a step of Adam moves all of its many weights, and with them the output, by the learning rate at once.
        linear = self.direct(DIRECT_SCALE * solid)
        return raw + F.pad(linear, (0, raw.shape[1] - LINEAR))


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

    The head's roll is what the eye line does not already say; light is in units of its ``scale``.
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
