"""Who is in a set of synthetic photographs, in tables; and whether the portrait room finds their faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...errors import PortraitError
from .sample import USUAL, Drawing, Sample
from .workers import each_sample

ITA_EDGES = (-90, -30, 10, 28, 41, 55, 91)
ITA_NAMES = ("dark", "brown", "tan", "intermediate", "light", "very light")
"""Classes of the individual typology angle (Del Bino & Bernerd 2013)."""
BINS: dict[str, Sequence[float]] = {
    "age": (0, 25, 35, 45, 55, 65, 200), "femininity": (0, 0.35, 0.65, 1.01), "makeup": (0, 0.01, 0.3, 0.6, 1.01),
    "focal_mm": (0, 28, 35, 50, 70, 85, 105, 1000), "yaw": (-180, -40, -25, -10, 10, 25, 40, 180),
    "pitch": (-90, -15, -5, 5, 15, 90), "roll": (-180, -10, -3, 3, 10, 180),
}  # fmt: skip
WRONG = 0.12  # mean error in face heights above which the detector saw something else


@dataclass(frozen=True)
class Seen:
    """What the report keeps of one sample.

    Attributes:
        about: the sample's facts. found: the detector found this face. error: mean landmark error in pixels, NaN when
            not found. face: pixels from forehead to chin.
    """

    seed: int
    about: dict[str, Any]
    found: bool
    error: float
    face: float


def look(sample: Sample, *, detect: bool = True) -> Seen:
    """The facts of a sample and how the portrait room sees it."""
    from ...portrait.crop import face_height

    face = float(face_height(sample.landmarks))
    seed = sample.seed * 8 + sample.shot_seed
    if not detect:
        return Seen(seed, sample.about, True, float("nan"), face)
    error = detection_error(sample)
    return Seen(seed, sample.about, error < WRONG * face, error if error < WRONG * face else float("nan"), face)


def detection_error(sample: Sample) -> float:
    """Mean distance in pixels of the detector's 468 face landmarks from the true ones; infinite without a face."""
    from ...portrait.image import Photo
    from ...portrait.locate import locate_face

    photo = Photo(np.ascontiguousarray(sample.image))
    try:
        located = locate_face(photo)
    except PortraitError:
        return float("inf")
    if located.photo is not photo:  # turned: what it found is not upright
        return float("inf")
    return float(np.linalg.norm(located.landmarks.points[:468] - sample.landmarks[:468], axis=1).mean())


def survey(
    seeds: Sequence[int], how: Drawing = USUAL, *, workers: int = 1,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> list[Seen]:  # fmt: skip
    """What the report needs of every seed."""
    out: list[Seen] = []
    for seen in each_sample(seeds, how, workers=workers, then=look):
        assert isinstance(seen, Seen)
        out.append(seen)
        progress(len(out) / len(seeds), f"{len(out)} of {len(seeds)} photographs")
    return out


def found_share(seen: Sequence[Seen]) -> float:
    """Share of the faces that the detector finds."""
    return float(np.mean([s.found for s in seen]))


def report(seen: Sequence[Seen]) -> str:
    """Markdown: the detector's result, then one table for each fact."""
    lost = [s.seed for s in seen if not s.found]
    errors = np.array([s.error for s in seen if s.found])
    faces = np.array([s.face for s in seen if s.found])
    lines = [f"{len(seen)} photographs. The landmark detector finds {found_share(seen):.1%} of the faces"]
    if np.isfinite(errors).any():
        relative = 100 * errors / faces
        lines[0] += (
            f"; its landmarks lie {np.nanmedian(errors):.1f} px from the truth (median; {np.nanmedian(relative):.1f} % "
            f"of the face's height, 95 % below {np.nanpercentile(relative, 95):.1f} %)"
        )
    lines[0] += "." + (f" Not found: {', '.join(map(str, lost[:20]))}." if lost else "")
    tones = np.digitize([s.about["tone_ita"] for s in seen], ITA_EDGES[1:-1])
    lines += ["", *_table("skin tone (ITA)", [ITA_NAMES[t] for t in tones], ITA_NAMES)]
    for name, value in seen[0].about.items():
        if name in BINS:
            edges = BINS[name]
            names = [_range(a, b, i, len(edges) - 1) for i, (a, b) in enumerate(pairwise(edges))]
            values = np.digitize([s.about[name] for s in seen], edges[1:-1])
            lines += ["", *_table(name, [names[v] for v in values], names)]
        elif isinstance(value, str | bool):
            lines += ["", *_table(name, [str(s.about[name]) for s in seen], None)]
    return "\n".join(lines) + "\n"


def _range(low: float, high: float, i: int, count: int) -> str:
    return f"below {high:g}" if i == 0 else f"{low:g} and more" if i == count - 1 else f"{low:g} to {high:g}"


def _table(title: str, values: Sequence[str], order: Sequence[str] | None) -> list[str]:
    counts = Counter(values)
    names = list(order) if order is not None else sorted(counts, key=lambda n: (-counts[n], n))
    head = " | ".join([title.replace("_", " "), *names])
    row = " | ".join(["share", *(f"{counts[n] / len(values):.0%}" for n in names)])
    return [f"| {head} |", "|" + "---|" * (len(names) + 1), f"| {row} |"]
