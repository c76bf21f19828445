"""What a source turns into: persons, each with the frames that are kept, decided before anything is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..training.footage_shard import CodedFrame
from .settings import Counts


@dataclass(frozen=True)
class PersonPlan:
    """One person of a source.

    Attributes:
        name: what tells the person from others of the same source, for the hash.
        betas: (B,), vertex_offsets: (V, 3) metres: the fitted head.
        count: frames that will be made. frames: makes them from the given one on, in an order that never changes.
    """

    name: str
    betas: np.ndarray
    vertex_offsets: np.ndarray
    count: int
    frames: Callable[[int], Iterator[CodedFrame]]


@dataclass(frozen=True)
class Plan:
    """A source that was looked at.

    Attributes:
        kind: "clip" or "multiview". counts: what was looked at and what was dropped. licence: what the source itself
            says, or "". facts: figures for the manifest.
    """

    kind: str
    people: list[PersonPlan]
    counts: Counts
    licence: str
    facts: dict[str, Any]


def error_facts(error: np.ndarray) -> dict[str, float]:
    """Median and 95th percentile of landmark errors (n,), as a share of the face's height."""
    error = error[np.isfinite(error)]
    if not error.size:
        return {}
    return {"error": round(float(np.median(error)), 5), "error_95": round(float(np.percentile(error, 95)), 5)}
