"""How much of the picture to ask for while things move, so that frames come in time: resolution and level of detail."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from gshead_backend.camera import Camera

LADDER: tuple[tuple[float, int], ...] = (
    (1.0, 0), (1.0, 65_000), (1.0, 20_000), (0.71, 20_000), (0.5, 20_000), (0.35, 20_000), (0.25, 20_000),
)  # fmt: skip
"""Share of the resolution, and splats a head (0: all), from the best to the fastest."""
START = 4
BUDGET = 1 / 45
"""Seconds of drawing; a monitor's two frames are 1 / 30, of which the way to Blender takes its part."""
CLIMB = 0.5
"""A better rung is tried when a frame takes less than this share of the budget: one rung is at most twice as dear."""
PATIENCE = 4.0
"""Seconds until a rung that was too slow is tried again."""
ENOUGH = 0.25
"""Splats for each pixel that a head covers; more do not show while it moves."""
HEAD_RADIUS = 0.15
"""Metres; of a head with its hair, seen as a disc."""
_REMEMBERED = 32


@dataclass
class Pace:
    """Chooses a rung of ``LADDER`` from how long frames took. Knows nothing of Blender or the backend."""

    rung: int = START
    _asked: OrderedDict[int, int] = field(default_factory=OrderedDict)
    _slow_since: dict[int, float] = field(default_factory=dict)
    _mean: float = 0.0

    def wish(self) -> tuple[float, int]:
        """Scale and splats to ask for now."""
        return LADDER[self.rung]

    def wish_for(self, camera: Camera, matrices: Sequence[np.ndarray]) -> tuple[float, int]:
        """``wish``, with no more splats than the largest of the heads at ``matrices`` (4, 4) has use for."""
        scale, splats = self.wish()
        use = math.ceil(ENOUGH * scale * scale * max((covered_pixels(camera, m) for m in matrices), default=0.0))
        return scale, max(1, min(splats or use, use))

    def asked(self, token: int) -> None:
        """A moving frame was asked for by this token."""
        self._asked[token] = self.rung
        while len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)

    def came(self, token: int, seconds: float, now: float) -> None:
        """The frame of ``token`` came and took ``seconds`` to draw; frames that were not ``asked`` say nothing."""
        rung = self._asked.pop(token, None)
        if rung != self.rung:
            return
        self._mean = seconds if self._mean == 0.0 else 0.5 * (self._mean + seconds)
        if self._mean > BUDGET and self.rung < len(LADDER) - 1:
            self._slow_since[self.rung] = now
            self._go(self.rung + 1)
        elif self._mean < CLIMB * BUDGET and self.rung > 0 and self._may_try(self.rung - 1, now):
            self._go(self.rung - 1)

    def _may_try(self, rung: int, now: float) -> bool:
        return now - self._slow_since.get(rung, -math.inf) >= PATIENCE

    def _go(self, rung: int) -> None:
        self.rung, self._mean = rung, 0.0


def covered_pixels(camera: Camera, matrix: np.ndarray) -> float:
    """About how many pixels the head at ``matrix`` (4, 4), head space to world, covers, in the frame or beside it."""
    placed = camera.viewmat @ np.asarray(matrix, np.float64).reshape(4, 4)
    radius = HEAD_RADIUS * abs(np.linalg.det(placed[:3, :3])) ** (1 / 3)
    depth = 1.0 if camera.orthographic else max(float(placed[2, 3]), radius)
    return math.pi * (radius * camera.K[0, 0] / depth) * (radius * camera.K[1, 1] / depth)
