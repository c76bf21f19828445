"""Moving and joining splats; numpy arrays or torch tensors, the same kind comes back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..head.rotation import matrix_to_quat, quat_to_matrix
from .types import Splats


def is_torch(array: Any) -> bool:
    """Whether ``array`` is a torch tensor; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def transform_splats(splats: Splats, matrix: np.ndarray) -> Splats:
    """Splats under an affine map.

    Rotation, uniform scale, translation and point reflection keep the three axes of every splat: exact and cheap.
    Anything else (non-uniform scale, shear, mirror) transforms the covariances and takes them apart again; still exact
    for the Gaussians, but the axes may come back in another order. A single head needs no transform at all: put the
    matrix into the camera, ``viewmat @ matrix``.

    Args:
        matrix: (4, 4) affine, last row 0 0 0 1.
    """
    m = np.asarray(matrix, np.float64)
    if m.shape != (4, 4) or not np.isfinite(m).all() or np.abs(m[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise ArgumentError("A transform must be a finite affine (4, 4) matrix with last row 0 0 0 1.")
    A, t = m[:3, :3], m[:3, 3]
    volume = float(np.linalg.det(A))
    scale = abs(volume) ** (1 / 3)
    if scale < 1e-9:
        raise ArgumentError(f"The transform is singular (determinant {volume:g}).", remedy="Give the head a size.")
    Q = A / (scale if volume > 0 else -scale)  # a Gaussian equals its point reflection
    rigid = np.abs(Q @ Q.T - np.eye(3)).max() < 1e-5
    like = splats.means
    means = like @ _like(A.T, like) + _like(t, like)
    if rigid:
        quats, scales = _rotate(matrix_to_quat(Q), splats.quats), splats.scales * scale
    else:
        quats, scales = _transform_axes(A, splats.quats, splats.scales)
    return Splats(means, quats, scales, splats.opacities, splats.colors)


def concatenate(parts: Sequence[Splats]) -> Splats:
    """All splats in one; every part must have the same number of channels. Raises ``ArgumentError`` on none."""
    if not parts:
        raise ArgumentError("There are no splats to join.")
    if len(parts) == 1:
        return parts[0]
    channels = {int(p.colors.shape[1]) for p in parts}
    if len(channels) > 1:
        raise ArgumentError(f"Splats with different numbers of channels cannot be joined: {sorted(channels)}.")
    if is_torch(parts[0].means):
        import torch

        join = torch.cat
    else:
        join = np.concatenate
    return Splats(*(join([getattr(p, n) for p in parts]) for n in ("means", "quats", "scales", "opacities", "colors")))


def _like(array: np.ndarray, reference: Any) -> Any:
    if is_torch(reference):
        return reference.new_tensor(array)
    return array.astype(reference.dtype)


def _rotate(q: np.ndarray, quats: Any) -> Any:
    """The quaternion q (4,) times every row of ``quats``, as one matrix product."""
    w, x, y, z = q
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return quats @ _like(left.T, quats)


def _transform_axes(A: np.ndarray, quats: Any, scales: Any) -> tuple[Any, Any]:
    """Quaternions and scales of A S AT for every splat's covariance S, by eigen-decomposition."""
    if is_torch(quats):
        from .drive_torch import transform_axes

        return transform_axes(_like(A, quats), quats, scales)
    M = A @ quat_to_matrix(quats) * scales[:, None, :]
    values, axes = np.linalg.eigh(M @ M.transpose(0, 2, 1))
    axes = axes * np.sign(np.linalg.det(axes))[:, None, None]
    return matrix_to_quat(axes).astype(quats.dtype), np.sqrt(np.maximum(values, 0)).astype(scales.dtype)
