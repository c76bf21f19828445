"""An asymmetric scene of three splats, and what every format must agree on: places, shapes, opacities, colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gshead_backend.avatar.types import Splats
from gshead_backend.head.rotation import quat_to_matrix

RDF = np.diag([1.0, -1.0, -1.0])  # head space (x left, y up, z front) to x right, y down, z forward


def three_splats() -> Splats:
    """No two axes, sizes, quaternion components or colours alike, so that any swap or sign shows."""
    return Splats(
        means=np.array([[0.1, 0, 0], [0, 0.2, 0], [0.05, -0.02, 0.3]], np.float32),
        quats=np.array([[0.9, 0.1, 0.2, 0.3], [0.8, 0.6, 0, 0], [0.1, 0.3, -0.5, 0.8]], np.float32),
        scales=np.array([[0.01, 0.02, 0.03], [0.001, 0.002, 0.004], [0.005, 0.015, 0.0025]], np.float32),
        opacities=np.array([0.6, 0.88, 0.25], np.float32),
        colors=np.array([[1, 0, 0], [0, 0.45, 0], [0.2, 0.4, 0.6]], np.float32),
    )


@dataclass(frozen=True)
class Read:
    """What a reader found: (N, 3) means, (N, 4) quats wxyz, (N, 3) scales, (N,) opacities, (N, 3) colours 0..1."""

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray

    @property
    def covariances(self) -> np.ndarray:
        """(N, 3, 3): where quaternions may differ (a half turn about an own axis), these may not."""
        turned = quat_to_matrix(np.asarray(self.quats, np.float64)) * np.asarray(self.scales, np.float64)[:, None, :]
        return turned @ np.swapaxes(turned, 1, 2)


def assert_same(
    got: Read, want: Splats, *, turn: np.ndarray | None = None, place: float = 1e-6, shape: float = 1e-5,
    opacity: float = 1e-5, color: float = 1e-5,
) -> None:  # fmt: skip
    """``got`` is ``want`` after ``turn`` (3, 3), within metres, relative size, opacity and colour."""
    turn = np.eye(3) if turn is None else turn
    wanted = Read(want.means, want.quats, want.scales, want.opacities, want.colors)
    assert np.abs(got.means - want.means @ turn.T).max() <= place
    covariances = turn @ wanted.covariances @ turn.T
    size = np.abs(covariances).max((1, 2), keepdims=True)
    assert (np.abs(got.covariances - covariances) / size).max() <= shape
    assert np.abs(got.opacities - want.opacities).max() <= opacity
    assert np.abs(got.colors - want.colors).max() <= color
