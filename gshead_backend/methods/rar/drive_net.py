"""The light drive network: from a pose to codes, with eyes, mouth and expression apart; and its linear form."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ...avatar.drive import pose_features
from ...head.arkit import ARKIT_NAMES
from ...head.model import HeadModel
from ...head.skinning import pose_from_arkit
from ..uvfit.surface import smoothstep

GROUPS = ("eyes", "mouth", "expression")
_EYES = ("eye",)
_MOUTH = ("jaw", "mouth", "tongue")
_POSES, _MOVING = 600, 0.15


def group_of(name: str) -> int:
    """Which of ``GROUPS`` an ARKit channel belongs to."""
    return 0 if name.startswith(_EYES) else 1 if name.startswith(_MOUTH) else 2


def feature_groups(features: int) -> np.ndarray:
    """(features,) group of every entry of ``drive.pose_features``: the ARKit channels, then the jaw."""
    out = np.full(features, 2)
    out[: len(ARKIT_NAMES)] = [group_of(name) for name in ARKIT_NAMES]
    out[-3:] = 1
    return out


class DriveNet(nn.Module):
    """(B, E + 3) pose features to (B, K) codes. The first third hears the eyes only, the second the mouth only, the
    last brows, cheeks and nose only. The neutral pose gives zero."""

    inputs: Tensor

    def __init__(self, features: int, codes: int, hidden: int = 32) -> None:
        super().__init__()
        groups = torch.from_numpy(feature_groups(features))
        self.register_buffer("inputs", torch.stack([(groups == g).float() for g in range(3)]), persistent=False)
        self.straight = nn.ModuleList(nn.Linear(features, codes // 3, bias=False) for _ in GROUPS)
        self.bent = nn.ModuleList(
            nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, codes // 3)) for _ in GROUPS
        )

    def forward(self, features: Tensor) -> Tensor:
        out = []
        for mask, straight, bent in zip(self.inputs, self.straight, self.bent, strict=True):
            x = features * mask
            out.append(straight(x) + bent(x) - bent(torch.zeros_like(x)))
        return torch.cat(out, 1)


def region_groups(surface_distances: dict[str, np.ndarray], scale: float, loose: np.ndarray) -> np.ndarray:
    """(M, 3) 0..1: where eyes, mouth and expression may move splats.

    Args:
        surface_distances: (M,) metres to "eye", "lip" and "brow" landmarks. loose: (M,) 0..1, what expressions move.
    """
    near = {k: 1 - smoothstep(v / scale, 0.012, 0.03) for k, v in surface_distances.items()}
    return np.stack([np.maximum(near["eye"], near["brow"]), near["lip"], np.ones_like(loose)], 1) * loose[:, None]


@torch.no_grad()
def linearised(net: DriveNet, head: HeadModel) -> tuple[np.ndarray, float]:
    """Gain (K, E + 3) of the best linear map over sampled expressions, and its relative error.

    An avatar plays these without the network: every row is a Gaussian shape key.
    """
    rng = np.random.default_rng(0)
    weights = rng.random((_POSES, len(ARKIT_NAMES))) * (rng.random((_POSES, len(ARKIT_NAMES))) < _MOVING)
    x = np.stack([pose_features(pose_from_arkit(head, w.astype(np.float32))) for w in weights])
    y = net(torch.from_numpy(x)).numpy().astype(np.float64)
    groups = feature_groups(x.shape[1])
    third = y.shape[1] // 3
    gain = np.zeros((y.shape[1], x.shape[1]))
    for g in range(3):
        mine = np.flatnonzero(groups == g)
        A = x[:, mine].astype(np.float64)
        ridge = 1e-3 * len(x) * np.eye(mine.size)
        gain[g * third : (g + 1) * third, mine] = np.linalg.solve(
            A.T @ A + ridge, A.T @ y[:, g * third : (g + 1) * third]
        ).T
    error = float(np.sqrt(((x @ gain.T - y) ** 2).mean() / max((y**2).mean(), 1e-12)))
    return gain.astype(np.float32), error
