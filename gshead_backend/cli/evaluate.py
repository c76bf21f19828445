"""``gshead evaluate``: how good a method is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import tyro

from ..errors import ArgumentError, EvaluationError
from ..files import check_writable
from .console import Progress, emit, parse_actions, warn
from .evaluate_blind import blind
from .evaluate_stages import networks, portraits, tracking

CLIPS = ("14-young-fair", "02-suit-dark-hair")


def main(args: Sequence[str]) -> int:
    # ``gshead evaluate uvfit`` is short for ``gshead evaluate run uvfit``
    words = list(args)
    if words and not words[0].startswith("-") and words[0] not in ACTIONS:
        words.insert(0, "run")
    return parse_actions(ACTIONS, "evaluate", words)


def run(
    method: tyro.conf.Positional[str], /, *, quality: tuple[Literal["draft", "standard", "high"], ...] = ("standard",),
    people: str = "daily", photos: str = "", multiview: tuple[Path, ...] = (), video: tuple[Path, ...] = (),
    unfitted: bool = False, out: Path = Path("out/evaluate"), head: str = "default", device: str = "auto",
    seed: int = 0, date: str = "", json: bool = False,
) -> int:  # fmt: skip
    """Measure a method on what there is, and write report.json, report.html and a line of history.jsonl.

    Args:
        method: a reconstruction method, e.g. uvfit.
        quality: one or more of draft, standard, high.
        people: test people: daily, all, none, or a folder of multi-view folders with truth.
        photos: a folder of portraits or one file; the sample portrait when empty, none for none.
        multiview: multi-view folders (docs/evaluation.md).
        video: videos of one person.
        unfitted: each quality also without the fit to the photo, and without a method's tuning on it.
        out: the folder for the report.
        head: an imported head's name, or a head file.
        device: auto, cpu, cuda or cuda:N.
        seed: the same seed and device give the same numbers.
        date: what the report says as its date; now when empty.
        json: print the report as one JSON object.
    """
    if not quality:
        raise ArgumentError("--quality needs one or more of draft, standard, high.")
    check_writable(out / "report.json")
    from ..evaluation.compare import table_of_line
    from ..evaluation.runner import Plan, find_people, find_photos
    from ..evaluation.runner import run as evaluate
    from ..server.devices import resolve_device

    folders, missing = find_people(people)
    files, more = ((), []) if photos == "none" else find_photos(Path(photos) if photos else None)
    plan = Plan(
        method, tuple(dict.fromkeys(quality)), folders, files, multiview, video, head, resolve_device(device), seed,
        unfitted, (*missing, *more),
    )  # fmt: skip
    progress = Progress()
    try:
        report = evaluate(plan, date or datetime.now(UTC).isoformat(timespec="seconds"), progress)
    finally:
        progress.close()
    for what, error in report.failures:
        warn(f"{what}: {error}")
    if not report.lines:
        raise EvaluationError("Nothing could be measured.", remedy="; ".join(f"{w}: {c}" for w, _, c in report.missing))
    written = report.write(out)
    progress(1.0, "Written")
    document = report.document()
    told = [table_of_line(line) for line in document["lines"]]
    told += [f"not measured: {what} ({why}): {command}" for what, why, command in report.missing]
    told.append(f"{written['html']}: {document['seconds']:.0f} s")
    emit({**document, "files": {k: str(v) for k, v in written.items()}}, "\n".join(told), as_json=json)
    return 0


def people(
    *, out: Path | None = None, which: Literal["daily", "all"] = "daily", frames: tuple[str, ...] = (),
    views: tuple[int, ...] = (), blender: Path | None = None, json: bool = False,
) -> int:  # fmt: skip
    """Render the test people with Blender's Cycles. Goes on where it was interrupted; a person takes some 15 minutes.

    Args:
        out: the folder; $GSHEAD_TEST_PEOPLE or the user's cache when not given.
        which: daily (five people) or all (twenty; five of them need ICT-FaceKit, see docs/evaluation.md).
        frames: only these, such as neutral smile closed-eyes; all seven when not given.
        views: only these of the twelve, 0 = the front, which plays the portrait; all when not given.
        blender: a Blender, or a Python with the bpy wheel; $GSHEAD_BLENDER or that of bootstrap.py when not given.
        json: print the result as one JSON object.
    """
    from ..evaluation.people import CAST, DAILY, render_people
    from ..evaluation.runner import people_folder, scenes_below

    folder = out or people_folder()
    names = DAILY if which == "daily" else tuple(role.name for role in CAST)
    progress = Progress()
    try:
        render_people(
            folder, people=names, frames=frames or None, views=views or None, python=blender, progress=progress
        )
    finally:
        progress.close()
    made = scenes_below(folder)
    emit({"folder": str(folder), "people": [p.name for p in made]}, f"{folder}: {len(made)} people", as_json=json)
    return 0


def compare(
    before: tyro.conf.Positional[Path], after: tyro.conf.Positional[Path], /, *, json: bool = False,
) -> int:  # fmt: skip
    """Compare two reports, line by line: before, after, better or worse.

    Args:
        before: report.json of the earlier run, or its folder.
        after: the later one.
        json: print the changes as one JSON object.
    """
    from dataclasses import asdict

    from ..evaluation.compare import compare as changes_of
    from ..evaluation.compare import table, unpaired
    from ..evaluation.report import read_report

    a, b = read_report(before), read_report(after)
    changes, alone = changes_of(a, b), unpaired(a, b)
    for text in alone:
        warn(text)
    count = {v: sum(c.verdict == v for c in changes) for v in ("better", "worse", "same")}
    text = table(changes) + f"\n{count['better']} better, {count['worse']} worse, {count['same']} the same"
    emit({"changes": [asdict(c) for c in changes], "unpaired": alone, **count}, text.strip(), as_json=json)
    return 0


def clips(
    *, out: Path | None = None, which: tuple[str, ...] = CLIPS, blender: Path | None = None, json: bool = False,
) -> int:  # fmt: skip
    """Render clips of test people who talk, blink and turn, with Blender's Cycles; a clip takes some ten minutes.

    Args:
        out: the folder; $GSHEAD_TEST_CLIPS or the user's cache when not given.
        which: names of test people.
        blender: a Blender, or a Python with the bpy wheel; $GSHEAD_BLENDER or that of bootstrap.py when not given.
        json: print the result as one JSON object.
    """
    from ..evaluation.people import render_clip
    from ..evaluation.runner import clips_folder

    folder, progress = out or clips_folder(), Progress()
    try:
        made = [render_clip(folder, name, python=blender, progress=progress) for name in which]
    finally:
        progress.close()
    emit({"folder": str(folder), "clips": [p.name for p in made]}, f"{folder}: {len(made)} clips", as_json=json)
    return 0


ACTIONS = {"run": run, "people": people, "clips": clips, "tracking": tracking,
           "portraits": portraits, "networks": networks, "compare": compare, "blind": blind}  # fmt: skip
