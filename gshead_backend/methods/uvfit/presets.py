"""What draft, standard and high mean for ``uvfit``."""

from __future__ import annotations

from dataclasses import dataclass

from .. import Quality


@dataclass(frozen=True)
class Preset:
    """splats: on the head's mesh. leftover: at most, for what hangs beyond it. iterations: of the photo fit."""

    splats: int
    leftover: int
    iterations: int


PRESETS: dict[Quality, Preset] = {
    "draft": Preset(18_000, 3_000, 0),
    "standard": Preset(54_000, 9_000, 90),
    "high": Preset(132_000, 20_000, 150),
}
