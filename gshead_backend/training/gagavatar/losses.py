"""GAGAvatar's losses: both pictures, the face once more, frozen features, and lifted points pulled to the head."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

AT_ONCE = 1 << 24
"""Distances computed at a time on a GPU."""


def picture_l1(picture: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Mean absolute difference of (3, H, W) pictures where ``known`` (H, W) 0..1."""
    return ((picture - target).abs().mean(0) * known).sum() / known.sum().clamp(min=1)


def boxed(value: Tensor, box: Tensor) -> Tensor:
    """(..., H, W) inside a box (4,): left, top, right, bottom (past the last)."""
    left, top, right, bottom = box.tolist()
    return value[..., top:bottom, left:right]


def nearest_lifted(vertices: Tensor, lifted: Tensor) -> Tensor:
    """(V,) numbers of the lifted points (L, 3) that lie nearest to the vertices (V, 3)."""
    with torch.no_grad():
        if lifted.device.type == "cpu":
            found = KDTree(lifted.detach().numpy()).query(vertices.detach().numpy())[1]
            return torch.from_numpy(np.asarray(found, np.int64))
        rows = max(1, AT_ONCE // max(1, lifted.shape[0]))
        exact = "donot_use_mm_for_euclid_dist"  # the other way loses what distances of hundredths need
        return torch.cat([torch.cdist(v, lifted, compute_mode=exact).argmin(1) for v in vertices.split(rows)])


def lifting_loss(vertices: Tensor, lifted: Tensor) -> Tensor:
    """Mean over the vertices of the squared distance to the nearest lifted point, units². Gradients go to the points.

    Few points are nearest to some vertex; they alone are pulled, the others are free to be hair and shoulders.
    """
    return (lifted[nearest_lifted(vertices, lifted)] - vertices).square().sum(1).mean()
