"""Which part of the UV lattice moves with the face: where the dynamic decoder works."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..common.lattice import Lattice
from ..uvfit.surface import smoothstep

STEP = 16
"""Sides of the crop are multiples of it: what the decoders' halvings need."""
_INNER, _OUTER = 0.006, 0.022  # metres from the face's landmarks over which the dynamic maps fade out
_LIPS = 0.008  # metres around them


@dataclass(frozen=True)
class FacialCrop:
    """rows, columns: of the crop in the lattice's maps. mask: (S, S) float32 ``M``, 0..1, zero outside the crop."""

    rows: slice
    columns: slice
    mask: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def facial_crop(lattice: Lattice, *, everything: bool = False) -> FacialCrop:
    """The face's skin with lids and lips; ``everything``: the whole surface, for the ablation without static maps."""
    if everything:
        return FacialCrop(slice(0, lattice.size), slice(0, lattice.size), lattice.covered.astype(np.float32))
    distance = lattice.at(lattice.surface.face_distance)
    mask = lattice.image(((1 - smoothstep(distance, _INNER, _OUTER)) * (lattice.part == 0)).astype(np.float32))
    rows, columns = (_span(np.flatnonzero(mask.max(1 - axis)), lattice.size) for axis in (0, 1))
    return FacialCrop(rows, columns, mask)


def free(lattice: Lattice) -> np.ndarray:
    """(S, S) float32 0..1 where corrections may go at all: neither eyes nor lips nor the inside of the mouth.

    What a photo does not show of them counts as unseen, but ``uvfit`` paints it better than decoders do (Cycles people:
    5 dB of the mouth).
    """
    lips = smoothstep(lattice.at(lattice.surface.lip_distance), _LIPS / 2, _LIPS)
    return lattice.image((lips * (lattice.part == 0)).astype(np.float32))


def _span(used: np.ndarray, size: int) -> slice:
    """The smallest slice of a multiple of ``STEP`` that holds the indices, within 0..size."""
    length = min(size, -(-(used[-1] + 1 - used[0]) // STEP) * STEP)
    start = int(np.clip((used[0] + used[-1] + 1 - length) // 2, 0, size - length))
    return slice(start, start + length)
