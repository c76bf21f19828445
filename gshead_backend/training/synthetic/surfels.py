"""Surface elements: Gaussians with a material, from which synthetic people are put together."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ...errors import ArgumentError

ANCHORS = ("surface", "cranium", "torso")
"""What a surfel follows: the nearest triangle of the face, the rigid cranium, or the shoulders."""


@dataclass(frozen=True)
class Surfels:
    """N Gaussians on or over one person's neutral head; metres, head space.

    Attributes:
        means: (N, 3). quats: (N, 4) wxyz; the third axis is the flat one. scales: (N, 3) standard deviations.
        opacities: (N,) 0..1. albedo: (N, 3) linear 0..1. normals: (N, 3) unit, outward, for shading.
        gloss: (N,) 0..1 strength of the highlight. labels: (N,) uint8 index into ``portrait.labels.LABELS``.
        anchor: (N,) uint8 index into ``ANCHORS``.
    """

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    albedo: np.ndarray
    normals: np.ndarray
    gloss: np.ndarray
    labels: np.ndarray
    anchor: np.ndarray

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        widths = {"means": 3, "quats": 4, "scales": 3, "albedo": 3, "normals": 3}
        for f in fields(self):
            wanted = (n, widths[f.name]) if f.name in widths else (n,)
            got = getattr(self, f.name).shape
            if got != wanted:
                raise ArgumentError(f"Surfels.{f.name} must have shape {wanted}, got {got}.")

    def __len__(self) -> int:
        return int(self.means.shape[0])

    def keep(self, mask: np.ndarray) -> Surfels:
        """Those where ``mask`` is true (or the ones at these indices)."""
        return Surfels(*(getattr(self, f.name)[mask] for f in fields(self)))


def join(*parts: Surfels) -> Surfels:
    """All parts, in this order."""
    return Surfels(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Surfels)))
