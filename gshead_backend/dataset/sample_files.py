"""``gshead dataset samples``: head samples and identity crops of every person, beside the footage they are made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from ..errors import ArgumentError
from ..files import write_atomic
from ..folders import make_private
from ..head.catalog import default_head
from ..process_pool import process_pool
from ..training.footage import SHARDS, Footage
from ..training.footage_shard import META, shard_files
from ..training.prepared import CROPS, HEADS
from .samples import crop_sample, head_sample, sources_of

RECIPE = 1
PORTRAITS = 4
"""Frames of a person that play the photograph, at most."""
FACES = 16
"""Frames of a person for the identity stage."""
Job = tuple[str, str, str, str]


def make_samples(
    folder: Path, *, portraits: int = PORTRAITS, workers: int = 1,
    progress: Callable[[float, str], None] = lambda fraction, text: None,
) -> dict[str, int]:  # fmt: skip
    """Make what ``gshead train rar`` and ``sega`` read of every person who lacks it; what no footage stands behind any
    more is removed.

    Returns:
        "people", of whom "made" now and "found" as they were, "removed"; "samples" and "crops" in all; "missed"
        portraits whose face the pipeline did not find.
    Raises:
        ArgumentError: no footage, or of another head than the default one. FileFormatError: a damaged shard.
        BackendDiedError: a process of ``workers`` ended.
    """
    if not shard_files(folder / SHARDS):
        _remove_stale(folder, {})
    footage = Footage(folder)
    head = default_head()
    if footage.head_sha256 != head.sha256:
        raise ArgumentError(
            f"The footage in '{folder}' was fitted with the head '{footage.head}'; the methods rar and sega work on "
            f"'{head.name}'.", remedy="Prepare it with the default head.",
        )  # fmt: skip
    jobs: list[Job] = []
    told = {
        "people": len(footage.people),
        "made": 0,
        "found": 0,
        "removed": 0,
        "samples": 0,
        "crops": 0,
        "missed": 0,
    }
    splits = {s.about.person: s.about.split for s in footage.shards}
    told["removed"] = _remove_stale(folder, splits)
    for person in footage.people:
        stamp = _stamp(footage, person, portraits)
        paths = [folder / kind / splits[person] / f"{person}.safetensors" for kind in (HEADS, CROPS)]
        known = [_made(path, stamp) for path in paths]
        if None in known:
            jobs.append((str(folder), person, splits[person], stamp))
        else:
            told["found"] += 1
            told["samples"] += known[0] or 0
            told["crops"] += known[1] or 0

    def count(result: tuple[int, int, int]) -> None:
        told["made"] += 1
        for key, value in zip(("samples", "crops", "missed"), result, strict=True):
            told[key] += value
        progress(told["made"] / len(jobs), f"{told['made']} of {len(jobs)} people")

    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            count(person_samples(job, portraits))
        return told
    again = "Run again, with fewer --workers: who is finished is kept."
    with process_pool(workers, "samples were made", remedy=again) as pool:
        running = {pool.submit(person_samples, job, portraits) for job in jobs}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                count(future.result())
    return told


def person_samples(job: Job, portraits: int) -> tuple[int, int, int]:
    """Write one person's files; the numbers of head samples, crops and missed portraits."""
    folder, person, split, stamp = job
    footage, head = Footage(folder), default_head()
    sources = sources_of(footage, person, portraits)
    made = [sample for i in sources if (sample := head_sample(footage, head, i)) is not None]
    mine = footage.frames_of(person)
    fronts = mine[footage.angles[mine] <= 60.0]
    at = np.unique(np.linspace(0, len(fronts) - 1, min(FACES, len(fronts))).round().astype(int))
    crops = [crop_sample(footage, head, int(i)) for i in fronts[at]] if len(fronts) else []
    for kind, samples in ((CROPS, crops), (HEADS, made)):
        make_private(Path(folder) / kind)
        arrays = {k: np.ascontiguousarray(np.stack([s[k] for s in samples])) for k in samples[0]} if samples else {}
        arrays = arrays or {"seed": np.zeros(0, np.int64)}
        path = Path(folder) / kind / split / f"{person}.safetensors"
        write_atomic(path, safetensors.numpy.save(arrays, {META: json.dumps([stamp, len(samples)])}))
    return len(made), len(crops), len(sources) - len(made)


def _remove_stale(folder: Path, splits: dict[str, str]) -> int:
    """Remove the samples of people who are not in the footage, and those of the other split: prepared with another
    ``--validation``, a person would be trained on and measured on at once."""
    count = 0
    for path in (p for kind in (HEADS, CROPS) for p in sorted((folder / kind).glob("*/*.safetensors"))):
        if splits.get(path.stem) != path.parent.name:
            path.unlink()
            count += 1
    return count


def _stamp(footage: Footage, person: str, portraits: int) -> str:
    """What a person's samples are made of."""
    shards = [(s.path.name, s.sha256) for s in footage.shards if s.about.person == person]
    return json.dumps([RECIPE, portraits, shards])


def _made(path: Path, stamp: str) -> int | None:
    """How many samples a file of this stamp holds; None where there is none."""
    try:
        with safetensors.safe_open(path, "np") as file:
            said, count = json.loads((file.metadata() or {})[META])
        return int(count) if said == stamp else None
    except (OSError, TypeError, ValueError, KeyError, safetensors.SafetensorError):
        return None
