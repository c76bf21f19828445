"""The lids' network: both eyes' pixels to how far each is shut."""

from __future__ import annotations

import torch
from torch import nn

VERSION = 1
HEIGHT, WIDTH = 48, 64
"""Of an eye's picture, the middle of the iris network's crop."""
OPEN, SHUT = 0.15, 0.85
"""eyeBlink where an eye counts as open and as shut; between them the network is to be as unsure."""
SURE = 0.02


class LidsNet(nn.Module):
    """Grey pictures (B, 2, HEIGHT, WIDTH) of the right eye and the mirrored left one to logits (B, 2), right and left.

    Args:
        width: channels of the first convolution. features: of an eye. hidden: of what both say together.
    """

    def __init__(self, width: int = 12, features: int = 48, hidden: int = 32) -> None:
        super().__init__()
        w = width
        self.eye = nn.Sequential(
            *_seen(1, w, 2), *_seen(w, 2 * w, 2), *_seen(2 * w, 3 * w, 1), nn.Dropout2d(0.2),
            *_seen(3 * w, 4 * w, 2), *_seen(4 * w, 4 * w, 2), nn.Dropout2d(0.3), nn.Flatten(),
            nn.Dropout(0.5), nn.Linear(4 * w * (HEIGHT // 16) * (WIDTH // 16), features), nn.ReLU(), nn.Dropout(0.2),
        )  # fmt: skip
        self.both = nn.Sequential(nn.Linear(2 * features, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, eyes: torch.Tensor) -> torch.Tensor:
        each = self.eye(standardised(eyes).flatten(0, 1)[:, None]).reshape(len(eyes), 2, -1)
        return self.both(torch.cat([each, each.flip(1)], 2))[..., 0]


def _seen(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, ...]:
    """Batch norm: norms of single pictures took away how strong an edge is beside others, and found fewer shut eyes."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def standardised(eyes: torch.Tensor) -> torch.Tensor:
    """Every picture with mean 0 and spread 1, but for flat ones: neither light nor skin say whether an eye is shut."""
    mean, spread = eyes.mean((-2, -1), keepdim=True), eyes.std((-2, -1), keepdim=True)
    return (eyes - mean) / (spread + 0.02)


def shut_share(blink: torch.Tensor) -> torch.Tensor:
    """eyeBlink 0..1 to what the network's sigmoid should say."""
    return ((blink - OPEN) / (SHUT - OPEN)).clamp(SURE, 1 - SURE)


def blink_of(logits: torch.Tensor) -> torch.Tensor:
    """Logits to eyeBlink 0..1, all the way where the network is sure."""
    return ((logits.sigmoid() - SURE) / (1 - 2 * SURE)).clamp(0, 1)
