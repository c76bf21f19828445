"""A closer look at mouth and eyes: the region networks of MediaPipe's Attention Mesh, which follow lips and brows where
the face mesh leaves them in their usual place.

Grishchenko et al. 2020, "Attention Mesh: High-fidelity Face Mesh Prediction in Real-time". The weights are those of
``face_landmark_with_attention.tflite`` (MediaPipe 0.10.21, Apache-2.0), in another format: OpenCV cannot run its three
own operations. ``convert_attention_mesh.py`` made the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .build import build
from .weights import load_weights

NAME, VERSION = "attention_mesh", 1
FILE = Path(__file__).parents[1] / "data" / f"{NAME}.safetensors"
FACE = 192  # sides of the picture, of the maps that regions are cut from, of a region, of the space of its points
SHARED, REGION, SPACE = 48, 16, 64
MARGIN = 1.5
MOUTH = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409, 78, 95, 88, 178, 87, 14,
    317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415, 76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306,
    184, 74, 73, 72, 11, 302, 303, 304, 408, 62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268,
    271, 272, 407,
)  # fmt: skip
RIGHT_EYE = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22, 26, 112, 243,
    247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189, 35,
    124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
LEFT_EYE = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254, 253, 252, 256,
    341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442,
    441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336,
    285, 417,
)  # fmt: skip
REGIONS = {"mouth": (MOUTH, (61, 291)), "right_eye": (RIGHT_EYE, (33, 133)), "left_eye": (LEFT_EYE, (362, 263))}
"""Name to the landmarks of a region and the two between which it lies level; eyes with their brows."""
OF_REGIONS = [index for indices, _ in REGIONS.values() for index in indices]
"""The landmark that each of ``CloserLook``'s points is."""
MAPS = (64, 8, 8)


@dataclass(frozen=True)
class CloserLook:
    """What the region networks make of a face, in the order of ``REGIONS``.

    Attributes:
        points: (222, 2) landmarks, pixels of the face crop. local: (222, 2) the same in their region, 0..64.
        maps: (3, 64, 8, 8) feature maps half way through.
    """

    points: np.ndarray
    local: np.ndarray
    maps: np.ndarray


def look_closer(face: np.ndarray, landmarks: np.ndarray) -> CloserLook:
    """Look at the mouth and the eyes of a face.

    Args:
        face: (192, 192, 3) uint8, as the face mesh sees it. landmarks: (468 or more, 2) the mesh's, pixels in it.
    """
    net = _network()
    grids = {name: region_matrix(landmarks, name) for name in REGIONS}
    with torch.inference_mode():
        picture = torch.from_numpy(face.astype(np.float32) / 255).permute(2, 0, 1)[None]
        seen = net(picture, torch.from_numpy(np.stack(list(grids.values()))).float())
    local = [points.numpy().astype(np.float64) for points, _ in seen]
    to_face = np.array([REGION / SPACE, REGION / SPACE, 1.0]) * FACE / SHARED
    points = [
        np.column_stack([p, np.ones(len(p))]) @ (grid * to_face).T
        for p, grid in zip(local, grids.values(), strict=True)
    ]
    return CloserLook(np.concatenate(points), np.concatenate(local), np.stack([maps.numpy() for _, maps in seen]))


def region_matrix(landmarks: np.ndarray, region: str) -> np.ndarray:
    """(2, 3) from a region's 16² grid to the 48² maps: level, ``MARGIN`` times as large as the landmarks' box."""
    indices, (left, right) = REGIONS[region]
    at = landmarks[:, :2] * (SHARED / FACE)
    across = at[right] - at[left]
    angle = np.arctan2(across[1], across[0])
    c, s = np.cos(angle), np.sin(angle)
    level = np.array([[c, -s], [s, c]])
    turned = at[list(indices)] @ level
    low, high = turned.min(0), turned.max(0)
    axes = level * (MARGIN * (high - low) / REGION)
    return np.concatenate([axes, (level @ ((low + high) / 2) - axes @ np.full(2, REGION / 2))[:, None]], 1)


class Step(nn.Module):
    """Depthwise 3x3 and pointwise convolution, added to the input, which a stride of 2 halves and widens with zeros."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.more = stride, outputs - inputs
        self.depth = nn.Conv2d(inputs, inputs, 3, stride, groups=inputs)
        self.mix = nn.Conv2d(inputs, outputs, 1)
        self.act = nn.PReLU(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new = self.mix(self.depth(_same(x, self.stride)))
        if self.stride == 2:
            x = F.max_pool2d(x, 2)
        return self.act(F.pad(x, (0, 0, 0, 0, 0, self.more)) + new)


class Region(nn.Module):
    """(B, 32, 16, 16) maps of a region to its points (B, P, 2), 0..64, and maps (B, 64, 8, 8)."""

    def __init__(self, points: int) -> None:
        super().__init__()
        self.near = nn.Sequential(Step(32, 32), Step(32, 32), Step(32, 64, 2), Step(64, 64), Step(64, 64))
        self.far = nn.Sequential(
            Step(64, 128, 2), Step(128, 128), Step(128, 128), Step(128, 128, 2), Step(128, 128), Step(128, 128),
            nn.Conv2d(128, 32, 1), nn.PReLU(32), Step(32, 32), nn.Conv2d(32, 2 * points, 2),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.near(x)
        return self.far(maps).reshape(len(x), -1, 2), maps


class AttentionMesh(nn.Module):
    """The part of the network that is used here: not its own face mesh, nor its irises."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2)
        self.act = nn.PReLU(16)
        self.shared = nn.Sequential(Step(16, 16), Step(16, 16), Step(16, 32, 2))
        self.regions = nn.ModuleDict({name: Region(len(indices)) for name, (indices, _) in REGIONS.items()})

    def forward(self, face: torch.Tensor, grids: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """One face (1, 3, 192, 192) 0..1 and its grids (3, 2, 3): points (P, 2) and maps of each region."""
        maps = self.shared(self.act(self.stem(_same(face, 2))))
        middle = torch.arange(REGION) + 0.5
        y, x = torch.meshgrid(middle, middle, indexing="ij")
        places = torch.stack([x, y, torch.ones_like(x)], -1)
        at = torch.einsum("ijk,rlk->rijl", places, grids) / (SHARED / 2) - 1
        cut = F.grid_sample(maps.expand(len(grids), -1, -1, -1), at, align_corners=False)
        seen = [net(cut[k : k + 1]) for k, net in enumerate(self.regions.values())]
        return [(points[0], maps[0]) for points, maps in seen]


def _same(x: torch.Tensor, stride: int) -> torch.Tensor:
    """TensorFlow's padding of a 3x3 window."""
    return F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))


@lru_cache(maxsize=1)
def _network() -> AttentionMesh:
    return cast(AttentionMesh, build(AttentionMesh, load_weights(NAME, VERSION, FILE)))
