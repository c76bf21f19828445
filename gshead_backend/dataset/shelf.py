"""A person's shards on disk: written one after the other, found again after an interruption."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileFormatError
from ..training.footage import SHARDS, Footage
from ..training.footage_shard import MAX_BYTES, About, CodedFrame, Shard, shard_files, write_shard
from .manifest import Manifest, PersonRecord, ShardRecord, read_manifest
from .plan import PersonPlan

MARGIN = 400_000
"""Bytes for a shard's header and the person's shape, beside the shape's own arrays."""


def write_person(
    folder: Path, about: About, plan: PersonPlan, progress: Callable[[int], None] = lambda frames: None
) -> PersonRecord:  # fmt: skip
    """Write a person's shards where they are not there yet; the same person gives the same files.

    Args:
        progress: called with the number of frames that are done.
    """
    whole = list(_whole(folder, about))
    _remove_beyond(folder, about.person, len(whole))
    done = sum(s.count for s in whole)
    records = [ShardRecord(s.path.name, s.count, s.path.stat().st_size) for s in whole]
    room = MAX_BYTES - MARGIN - plan.betas.nbytes - plan.vertex_offsets.size * 2
    waiting: list[CodedFrame] = []
    used = 0

    def flush() -> None:
        path = _path(folder, about.person, len(records))
        write_shard(path, about, plan.betas, plan.vertex_offsets, waiting)
        records.append(ShardRecord(path.name, len(waiting), path.stat().st_size))

    for frame in plan.frames(done):
        if waiting and used + frame.size > room:
            flush()
            waiting, used = [], 0
        waiting.append(frame)
        used += frame.size
        done += 1
        progress(done)
    if waiting:
        flush()
    return PersonRecord(about.person, sum(r.frames for r in records), records)


def forget(folder: Path, source: str, settings: str | None = None) -> int:
    """Remove a source's shards, those of other settings only when ``settings`` is given. Returns how many."""
    count = 0
    for path in shard_files(folder / SHARDS):
        with contextlib.suppress(FileFormatError):
            about = Shard(path).about
            if about.source == source and about.settings != settings:
                path.unlink()
                count += 1
    return count


def _whole(folder: Path, about: About) -> Iterator[Shard]:
    """The shards that are there from the first on, as long as they are whole and of this very preparation."""
    number = 0
    while (path := _path(folder, about.person, number)).exists():
        try:
            shard = Shard(path)
            shard.verify()
        except FileFormatError:
            return
        if shard.about != about:
            return
        yield shard
        number += 1


def _remove_beyond(folder: Path, person: str, first: int) -> None:
    """Remove a person's shards from number ``first`` on, and what an interrupted writing left."""
    for path in (folder / SHARDS).glob(f".{person}-*"):
        path.unlink()
    number = first
    while (path := _path(folder, person, number)).exists():
        path.unlink()
        number += 1


def _path(folder: Path, person: str, number: int) -> Path:
    return folder / SHARDS / f"{person}-{number:04d}.safetensors"


@dataclass(frozen=True)
class Inventory:
    """What a folder holds. people: facts of each person, in the order of their hashes."""

    manifest: Manifest
    people: list[dict[str, Any]]


def inventory(folder: Path) -> Inventory:
    """Read every shard and check it.

    Raises ``ArgumentError`` where there are none, ``FileFormatError`` that names the first damaged one.
    """
    people: dict[str, dict[str, Any]] = {}
    footage = Footage(folder)
    for shard in footage.shards:
        shard.verify()
        about, time = shard.about, shard.arrays["time"]
        facts = people.setdefault(
            about.person,
            {"person": about.person, "split": about.split, "kind": about.kind, "licence": about.licence, "frames": 0,
             "bytes": 0, "size": about.size, "files": []},
        )  # fmt: skip
        facts["frames"] += shard.count
        facts["bytes"] += shard.path.stat().st_size
        facts["files"].append(shard.path.name)
        facts["first"] = min(float(time.min()), facts.get("first", np.inf))
        facts["last"] = max(float(time.max()), facts.get("last", -np.inf))
    for person, facts in people.items():
        facts["seconds"] = round(facts.pop("last") - facts.pop("first"), 3)
        facts["turned"] = round(float(footage.angles[footage.frames_of(person)].max()), 1)
    return Inventory(read_manifest(folder), list(people.values()))
