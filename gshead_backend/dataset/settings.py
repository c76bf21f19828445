"""How footage is prepared, and what is counted of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from ..errors import ArgumentError
from ..training.footage import SHARE

RECIPE = 1
"""Changes whenever the same source gives other frames; prepared sources of another recipe are made again."""
LONGEST_LICENCE = 200
REASONS = {
    "unreadable": "could not be decoded",
    "no_face": "show no face",
    "other_shot": "belong to another shot or another face",
    "too_small": "show too small a face",
    "blurred": "are blurred",
    "turned_away": "are turned too far away to be fitted",
    "does_not_fit": "are not explained by the fitted head",
    "no_matte": "are seen from behind, without a matte",
}
"""Why frames are dropped."""


@dataclass(frozen=True)
class Settings:
    """What ``gshead dataset prepare`` was told.

    Attributes:
        size: pixels of a side. fps: frames taken of each second of a clip. every: one of so many frames instead; 0 goes
            by ``fps``. every_shot: keep all shots of a clip, each as a person of its own, instead of the longest.
        head: name or file of the head model. licence: of the footage, as the user says. validation: share of sources.
    """

    size: int = 512
    fps: float = 5.0
    every: int = 0
    every_shot: bool = False
    head: str = "default"
    licence: str = ""
    validation: float = SHARE

    def __post_init__(self) -> None:
        if not 128 <= self.size <= 1024 or self.size % 16:
            raise ArgumentError(f"--size is a multiple of 16 in 128..1024, not {self.size}.")
        if not 0.1 <= self.fps <= 120 or not 0 <= self.every <= 10_000:
            raise ArgumentError(f"--fps lies in 0.1..120 and --every in 0..10000, not {self.fps:g} and {self.every}.")
        if not 0 <= self.validation <= 1:
            raise ArgumentError(f"--validation lies in 0..1, not {self.validation:g}.")
        if len(self.licence) > LONGEST_LICENCE:
            raise ArgumentError(f"--licence has at most {LONGEST_LICENCE} characters, not {len(self.licence)}.")

    def sha256(self, head_sha256: str) -> str:
        """Of everything that shapes the shards."""
        shaping = {**asdict(self), "head": head_sha256, "recipe": RECIPE}
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()


@dataclass
class Counts:
    """Of one source. looked: frames that were looked at. dropped: of them, by reason (``REASONS``)."""

    looked: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int = 1) -> None:
        if reason not in REASONS:
            raise ValueError(reason)
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    @property
    def kept(self) -> int:
        return self.looked - sum(self.dropped.values())
