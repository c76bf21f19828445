"""What draft, standard and high mean for ``uvfit``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .. import Quality, ReconstructOptions


@dataclass(frozen=True)
class Preset:
    """splats: on the head's mesh. leftover: at most, for what hangs beyond it. iterations: of the photo fit. pixels:
    side of the photo that it looks at, at most; more than the splats can show costs time and nothing else."""

    splats: int
    leftover: int
    iterations: int
    pixels: int


PRESETS: dict[Quality, Preset] = {
    "draft": Preset(18_000, 3_000, 0, 512),
    "standard": Preset(54_000, 9_000, 90, 640),
    "high": Preset(132_000, 20_000, 150, 832),
}


def chosen(options: ReconstructOptions) -> Preset:
    """The quality's preset, with the caller's own numbers of splats and of steps where they are given."""
    preset = PRESETS[options.quality]
    if options.fit_steps is not None:
        preset = replace(preset, iterations=options.fit_steps)
    if options.splats is None:
        return preset
    beyond = options.splats // 7
    return replace(preset, splats=options.splats - beyond, leftover=beyond)
