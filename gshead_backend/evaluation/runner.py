"""Runs the benchmarks that there is material for, and says what there is none for."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from ..errors import EvaluationError, PortraitError
from ..methods import Quality, get_method, head_for
from ..portrait.types import Progress, no_progress
from .benchmarks.common import Candidate, Item
from .benchmarks.people import Readings, run_person
from .benchmarks.photos import run_photo
from .benchmarks.scenes import run_multiview
from .benchmarks.video import run_video
from .report import Line, Report

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut.png"
"""The portrait that a checkout brings along; an installed package has none."""
_RENDER = "gshead evaluate people"


@dataclass(frozen=True)
class Plan:
    """What to run. people: folders; photos: files; multiview: folders; videos: files.

    ``unfitted``: each quality once more without the fit to the photo: what the method itself gives.
    """

    method: str
    qualities: tuple[Quality, ...] = ("standard",)
    people: tuple[Path, ...] = ()
    photos: tuple[Path, ...] = ()
    multiview: tuple[Path, ...] = ()
    videos: tuple[Path, ...] = ()
    head: str = "default"
    device: str = "cpu"
    seed: int = 0
    unfitted: bool = False
    missing: tuple[tuple[str, str, str], ...] = field(default=())


def people_folder() -> Path:
    """Where rendered test people lie: ``$GSHEAD_TEST_PEOPLE``, else in the user's cache."""
    chosen = os.environ.get("GSHEAD_TEST_PEOPLE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("gshead", appauthor=False)) / "test_people"


def clips_folder() -> Path:
    """Where rendered clips lie: ``$GSHEAD_TEST_CLIPS``, else in the user's cache."""
    chosen = os.environ.get("GSHEAD_TEST_CLIPS")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("gshead", appauthor=False)) / "test_clips"


def find_people(which: str) -> tuple[tuple[Path, ...], list[tuple[str, str, str]]]:
    """Folders of test people, and what is missing.

    Args:
        which: "daily" (the subset), "all" that are rendered, "none", or a folder that holds some.
    Raises ``EvaluationError`` for a folder without any.
    """
    if which == "none":
        return (), []
    root = people_folder() if which in ("daily", "all") else Path(which)
    found = scenes_below(root)
    if which not in ("daily", "all"):
        if not found:
            raise EvaluationError(f"'{root}' holds no test people: no folder in it has a scene.json.")
        return found, []
    if which == "all":
        return found, [] if found else [("people", "no test people are rendered", _RENDER)]
    wanted = daily_names()
    chosen = tuple(f for f in found if f.name in wanted) if wanted else found[:5]
    absent = sorted(wanted - {f.name for f in chosen})
    missing = [("people", f"{len(absent)} of the daily test people are not rendered", _RENDER)] if absent else []
    if not chosen and not missing:
        missing = [("people", "no test people are rendered", _RENDER)]
    return chosen, missing


def people_room() -> Any:
    """The room that renders test people: ``render_people``, ``DAILY``. Raises ``EvaluationError`` without it."""
    try:
        room = importlib.import_module("gshead_backend.evaluation.people")
        assert room.render_people
        assert room.DAILY
    except (ImportError, AttributeError, AssertionError) as error:
        raise EvaluationError(
            "This gshead cannot render test people.", remedy="Use a complete installation."
        ) from error
    return room


def daily_names() -> set[str]:
    """Folder names of the daily subset; none when the room is not there."""
    try:
        return {str(getattr(person, "name", person)) for person in people_room().DAILY}
    except EvaluationError:
        return set()


def scenes_below(root: Path) -> tuple[Path, ...]:
    """The folder itself when it is a scene, else those in it that are."""
    if (root / "scene.json").is_file():
        return (root,)
    return tuple(sorted(p.parent for p in root.glob("*/scene.json"))) if root.is_dir() else ()


def find_photos(which: Path | None) -> tuple[tuple[Path, ...], list[tuple[str, str, str]]]:
    """Picture files of a folder (mattes beside them left out), or one file; the sample when None.

    Raises ``EvaluationError`` for a folder without any.
    """
    command = "gshead evaluate METHOD --photos FOLDER"
    if which is None:
        return ((SAMPLE,), []) if SAMPLE.is_file() else ((), [("photos", "no folder was given", command)])
    if which.is_file():
        return (which,), []
    found = tuple(
        p for p in sorted(which.glob("*"))
        if p.suffix.lower() in PHOTO_ENDINGS and p.is_file() and not p.stem.endswith("_matte")
    )  # fmt: skip
    if not found:
        raise EvaluationError(f"'{which}' holds no photos.")
    return found, []


def run(plan: Plan, date: str, progress: Progress = no_progress) -> Report:
    """Run a plan. What fails on one item is noted and the rest goes on; ``Cancelled`` ends it.

    Args:
        date: ISO text for the report.
    Raises ``UnsupportedError`` for an unknown method, and what ``head_for`` raises.
    """
    get_method(plan.method)
    head = head_for(plan.method, plan.head)
    report = Report(date, plan.device, _options(plan), missing=list(plan.missing))
    started = time.perf_counter()
    fits = (False, True) if plan.unfitted else (True,)
    ways: list[tuple[Quality, bool]] = [(quality, fitted) for quality in plan.qualities for fitted in fits]
    total = max(1, len(ways) * sum(map(len, (plan.people, plan.photos, plan.multiview, plan.videos))))
    done = 0

    def each(benchmark: str, paths: Sequence[Path], function: Callable[..., Any], candidate: Candidate) -> Line:
        nonlocal done
        line, sums = Line(benchmark, plan.method, candidate.label), Readings.empty()
        for path in paths:
            low = done / total

            def told(fraction: float, text: str, low: float = low, path: Path = path) -> None:
                progress(min(low + 0.5 * fraction / total, 0.999), f"{benchmark} {path.stem}: {text}")

            told(0.0, "fitting")
            try:
                result = function(path, candidate, told)
                item: Item = result[0] if isinstance(result, tuple) else result
                if isinstance(result, tuple):
                    sums.add(result[1])
                line.items.append(item)
            except (EvaluationError, PortraitError) as error:
                report.failures.append((f"{benchmark} {path.name}", str(error)))
            except OSError as error:
                report.failures.append((f"{benchmark} {path.name}", f"cannot be read: {error.strerror or error}"))
            done += 1
        if line.items:
            line.close(sums.metrics() if benchmark == "people" else None)
            report.lines.append(line)
        return line

    for quality, fitted in ways:
        candidate = Candidate(plan.method, quality, head, plan.device, plan.seed, fitted)
        each("people", plan.people, run_person, candidate)
        each("photos", plan.photos, run_photo, candidate)
        each("multiview", plan.multiview, run_multiview, candidate)
        each("video", plan.videos, run_video, candidate)
    for what, paths, option in (
        ("multiview", plan.multiview, "--multiview FOLDER"), ("video", plan.videos, "--video FILE"),
    ):  # fmt: skip
        if not paths:
            report.missing.append((what, "none was given", f"gshead evaluate {plan.method} {option}"))
    report.seconds = time.perf_counter() - started
    return report


def _options(plan: Plan) -> dict[str, Any]:
    return {
        "method": plan.method, "qualities": list(plan.qualities), "head": plan.head, "seed": plan.seed,
        "unfitted": plan.unfitted,
        **{k: [p.name for p in getattr(plan, k)] for k in ("people", "photos", "multiview", "videos")},
    }  # fmt: skip


__all__ = ["Plan", "find_people", "find_photos", "people_folder", "run", "scenes_below"]
