"""The regressor's network: one trunk for the face, one shared by both eyes, the landmarks, and a common end."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .inputs import EYE, FACE, VECTOR
from .layers import ConvNorm, Residual

VERSION = 2
SIZES = {"arkit": 52, "gaze": 4, "head": 3, "light": 27, "log_sd": 59}
"""Outputs in order; ``log_sd`` belongs to arkit, gaze and head."""
DIRECT_SCALE = 0.05
DEFAULT_SHAPE = {"w0": 24, "w1": 48, "w2": 96, "w3": 160, "hidden": 256}


class RegressorNet(nn.Module):
    """face (B, 3, 144, 144), eyes (B, 2, 3, 64, 64), vector (B, 958) to raw outputs (B, 145); see :func:`split`."""

    def __init__(self, w0: int = 24, w1: int = 48, w2: int = 96, w3: int = 160, hidden: int = 256) -> None:
        super().__init__()
        self.face = nn.Sequential(
            ConvNorm(3, w0, stride=2), ConvNorm(w0, w1, stride=2), Residual(w1), ConvNorm(w1, w2, stride=2),
            Residual(w2), ConvNorm(w2, w3, stride=2), Residual(w3), ConvNorm(w3, 16, kernel=1),
        )  # fmt: skip
        self.eye = nn.Sequential(
            ConvNorm(3, w0, stride=2), ConvNorm(w0, w1, stride=2), Residual(w1), ConvNorm(w1, w1, stride=2),
            ConvNorm(w1, 16, kernel=1),
        )  # fmt: skip
        self.points = nn.Sequential(nn.Linear(VECTOR, hidden), nn.ReLU(), nn.Linear(hidden, hidden // 2), nn.ReLU())
        self.from_face = nn.Linear(16 * (FACE // 16) ** 2, hidden)
        self.from_eyes = nn.Linear(2 * 16 * (EYE // 8) ** 2, hidden // 2)
        self.trunk = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.out = nn.Linear(hidden, sum(SIZES.values()))
        # Most expressions are nearly linear in the landmarks.
        self.direct = nn.Linear(VECTOR, SIZES["arkit"], bias=False)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        nn.init.zeros_(self.direct.weight)
        with torch.no_grad():
            self.out.bias[: SIZES["arkit"]] = 0.05  # most channels are at rest most of the time
            self.out.bias[-SIZES["log_sd"] :] = -2.0

    def forward(self, face: torch.Tensor, eyes: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        batch = face.shape[0]
        seen = self.face(face.contiguous(memory_format=torch.channels_last)).flatten(1)
        look = self.eye(eyes.flatten(0, 1).contiguous(memory_format=torch.channels_last)).reshape(batch, -1)
        parts = (F.relu(self.from_face(seen)), F.relu(self.from_eyes(look)), self.points(vector))
        raw = self.out(self.trunk(torch.cat(parts, 1)))
        # Scaled: a step of Adam moves all of its many weights, and with them the output, by the learning rate at once.
        linear = self.direct(vector * DIRECT_SCALE)
        return raw + F.pad(linear, (0, raw.shape[1] - SIZES["arkit"]))


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
