"""``gshead dataset``: a user's own footage becomes training material."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..errors import ArgumentError
from .console import Progress, bytes_text, emit, parse_actions, warn


def main(args: Sequence[str]) -> int:
    return parse_actions({"prepare": prepare, "samples": samples, "list": list_, "sheet": sheet}, "dataset", args)


def prepare(
    sources: tyro.conf.Positional[list[Path]], /, out: Annotated[Path, tyro.conf.arg(aliases=["-o"])], *,
    size: int = 512, fps: float = 5.0, every: int = 0, every_shot: bool = False, head: str = "default",
    licence: str = "", validation: float = 0.1, workers: int = 1, json: bool = False,
) -> int:  # fmt: skip
    """Track the faces in your own videos or multi-view folders and cut them out, for 'gshead train'.

    Called again, it goes on where it was, and adds what is new. Use footage only with the consent of who is seen.

    Args:
        sources: videos or folders of pictures that show one face, or multi-view folders with a scene.json.
        out: the folder to fill, about 0.1 MB a frame; it is closed to other users.
        size: pixels of a side of the cut-out heads.
        fps: frames taken of each second of a clip.
        every: take one of so many frames instead.
        every_shot: keep every shot of a clip, each as a person of its own; otherwise the longest one only.
        head: an imported head's name, or a head file, for the fit.
        licence: what may be done with the footage, kept in every file; a multi-view folder's own when empty.
        validation: share of the sources that no training sees.
        workers: sources that are worked on at the same time.
        json: print the result as one JSON object.
    """
    from ..dataset.clip_source import told
    from ..dataset.manifest import facts_of
    from ..dataset.prepare import prepare as run
    from ..dataset.settings import Counts, Settings
    from . import exit_code

    if not 1 <= workers <= 256:
        raise ArgumentError(f"--workers lies in 1..256, not {workers}.")
    settings = Settings(size, fps, every, every_shot, head, licence, validation)
    progress = Progress()
    try:
        outcome = run(sources, out, settings, workers=workers, progress=progress)
    finally:
        progress.close()
    for path in outcome.again:
        warn(f"'{path}' has the content of another source and is left out")
    for path, error in outcome.failed.items():
        warn(f"'{path}' is left out: {error}")
    both = {**outcome.made, **outcome.found}
    records = {str(p): both[str(p)] for p in sources if str(p) in both}
    lines = [
        f"{path}: {r.frames} frames of {len(r.people)} {'person' if len(r.people) == 1 else 'people'} ({r.split}); "
        f"{told(Counts(r.looked, r.dropped))}"
        for path, r in records.items()
    ]
    result: dict[str, Any] = {
        "folder": str(out), "made": {p: facts_of(r) for p, r in outcome.made.items()},
        "found": {p: facts_of(r) for p, r in outcome.found.items()}, "again": outcome.again,
        "failed": {p: {"code": e.code, "message": e.message, "remedy": e.remedy} for p, e in outcome.failed.items()},
    }  # fmt: skip
    total = f"{out}: {sum(r.frames for r in records.values())} frames of {len(records)} sources"
    missed = f", {len(outcome.failed)} sources cannot be used" if outcome.failed else ""
    emit(result, "\n".join([*lines, total + missed]), as_json=json)
    return exit_code(next(iter(outcome.failed.values()))) if outcome.failed else 0


def samples(
    folder: tyro.conf.Positional[Path], /, *, portraits: int = 4, workers: int = 1, json: bool = False
) -> int:  # fmt: skip
    """Make what 'gshead train rar' and 'sega' read of prepared footage: portraits as the pipeline reads them, beside
    other frames of the same person.

    Goes on where it was, and removes the samples of people whose footage is gone.

    Args:
        folder: made by 'gshead dataset prepare'; it grows by about 4 MB a portrait.
        portraits: frames of each person that play the photograph, at most.
        workers: processes.
        json: print the result as one JSON object.
    """
    if not 1 <= portraits <= 100 or not 1 <= workers <= 256:
        raise ArgumentError("--portraits lies in 1..100 and --workers in 1..256.")
    from ..dataset.sample_files import make_samples

    progress = Progress()
    try:
        told = make_samples(folder, portraits=portraits, workers=workers, progress=progress)
    finally:
        progress.close()
    text = (
        f"{folder}: {told['samples']} portraits and {told['crops']} crops of {told['people']} people "
        f"({told['made']} made now, {told['missed']} portraits whose face was not found)"
    )
    emit({"folder": str(folder), **told}, text, as_json=json)
    return 0


def list_(folder: tyro.conf.Positional[Path], /, *, json: bool = False) -> int:
    """Say what a prepared folder holds, and check that every file of it is whole.

    Args:
        folder: made by 'gshead dataset prepare'.
        json: print the result as one JSON object.
    """
    from ..dataset.settings import REASONS
    from ..dataset.shelf import inventory

    found = inventory(folder)
    people = found.people
    lines = [
        f"{p['person']}  {p['split']:<10}  {p['kind']:<9}  {p['frames']:>6} frames  {p['seconds']:>7.1f} s  "
        f"{p['turned']:>3.0f}° {bytes_text(p['bytes']):>9}  {p['licence']}"
        for p in people
    ]
    dropped: Counter[str] = Counter()
    for record in found.manifest.sources.values():
        dropped.update(record.dropped)
    total = sum(p["frames"] for p in people)
    lines.append(f"{len(people)} people, {total} frames, {bytes_text(sum(p['bytes'] for p in people))}")
    lines += [f"dropped: {n} {REASONS.get(reason, reason)}" for reason, n in sorted(dropped.items())]
    emit({"folder": str(folder), "people": people, "frames": total, "dropped": dict(dropped)}, "\n".join(lines),
         as_json=json)  # fmt: skip
    return 0


def sheet(
    folder: tyro.conf.Positional[Path], /, *, out: Path = Path("sheet.jpg"), people: int = 12, frames: int = 6,
    cell: int = 256, json: bool = False,
) -> int:  # fmt: skip
    """Draw some frames of every person with the fitted head's landmarks on them: does the tracking hold?

    Args:
        folder: made by 'gshead dataset prepare'.
        out: the JPEG to write. It shows faces.
        people: at most so many.
        frames: of each.
        cell: pixels of a frame.
        json: print the result as one JSON object.
    """
    if not (1 <= people <= 100 and 1 <= frames <= 50 and 32 <= cell <= 1024):
        raise ArgumentError("--people lies in 1..100, --frames in 1..50 and --cell in 32..1024.")
    from ..dataset.sheet import make_sheet
    from ..files import write_atomic

    data, shown = make_sheet(folder, people=people, frames=frames, cell=cell)
    write_atomic(out, data)
    emit({"file": str(out), "people": shown}, f"{out}: {shown} people", as_json=json)
    return 0
