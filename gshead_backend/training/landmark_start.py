"""Where the regressor starts: mean landmarks from the front, and the best linear guess from them, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..head.catalog import default_head
from ..head.skinning import PersonalHead
from ..portrait.nets.face_inputs import WINDOW
from ..portrait.nets.mirror import ANGLE_SIGNS, ARKIT_MIRROR, LANDMARK_MIRROR, mirror_gaze
from ..portrait.nets.regressor_net import DIRECT_SCALE, RegressorNet, aligned
from .data import Crops

ROUNDS = 4
RIDGE = 100.0  # of standardised landmarks: their noise over what one of them says
TEMPLATE_SIZE = 1.0  # root mean square distance from the middle


@dataclass(frozen=True)
class LandmarkStart:
    """Buffers of ``RegressorNet``, its linear weights (59, 1434) and the means (59,) of arkit, gaze and head."""

    template: np.ndarray
    middle: np.ndarray
    spread: np.ndarray
    linear: np.ndarray
    mean: np.ndarray

    def give_to(self, net: RegressorNet) -> None:
        """Copy everything into a new network."""
        with torch.no_grad():
            for name in ("template", "middle", "spread"):
                getattr(net, name).copy_(torch.from_numpy(getattr(self, name)))
            net.direct.weight.copy_(torch.from_numpy(self.linear))
            net.out.bias[: self.mean.size] = torch.from_numpy(self.mean)


def landmark_start(crops: Crops) -> LandmarkStart:
    """From the landmarks that the detector found on all training crops, and on their mirror images."""
    marks = crops.column("window_marks")
    points = (marks - marks[:, :468].mean(1, keepdims=True)) * (np.array([1, -1, -1], np.float32) / WINDOW)
    points = np.concatenate([points, points[:, LANDMARK_MIRROR] * np.array([-1, 1, 1], np.float32)])
    template = _front()
    for _ in range(ROUNDS):  # generalised Procrustes (Gower 1975); symmetric, since every face has its mirror image
        template = _turned(points, template)[:, :468].mean(0)
        template *= TEMPLATE_SIZE / np.sqrt((template**2).sum(1).mean())
    flat = _turned(points, template).reshape(len(points), -1)
    middle, spread = flat.mean(0), np.maximum(flat.std(0), 1e-3)
    Z = np.clip((flat - middle) / spread, -6, 6).astype(np.float64)
    Y = _targets(crops)
    mean = Y.mean(0)
    weights = np.linalg.solve(Z.T @ Z + RIDGE * np.eye(Z.shape[1]), Z.T @ (Y - mean))
    return LandmarkStart(
        template.astype(np.float32), middle.astype(np.float32), spread.astype(np.float32),
        (weights.T / DIRECT_SCALE).astype(np.float32), mean.astype(np.float32),
    )  # fmt: skip


def _targets(crops: Crops) -> np.ndarray:
    """(2 N, 59) arkit, gaze and head without the roll of the eye line, of crops and mirror images."""
    arkit, gaze, head = (crops.column(k) for k in ("arkit", "gaze", "head"))
    head = head - np.array([0, 0, 1], np.float32) * crops.column("roll")[:, None]
    head = (head + np.pi) % (2 * np.pi) - np.pi
    still = np.concatenate([arkit, gaze.reshape(-1, 4), head], 1)
    mirrored = np.concatenate([arkit[:, ARKIT_MIRROR], mirror_gaze(gaze).reshape(-1, 4), head * ANGLE_SIGNS], 1)
    return np.concatenate([still, mirrored]).astype(np.float64)


def _front() -> np.ndarray:
    """(468, 3) landmarks of the mean default head, which looks toward +Z."""
    head = default_head()
    rest = PersonalHead.create(head, np.zeros(head.identity_count, np.float32)).rest
    return np.einsum("lk,lkc->lc", head.landmark_bary, rest[head.faces[head.landmark_triangles]]).astype(np.float32)


def _turned(points: np.ndarray, template: np.ndarray) -> np.ndarray:
    return aligned(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(template))[0].numpy()
