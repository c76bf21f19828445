"""``gshead synthetic``: seeded synthetic people, for training and for looking at."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ArgumentError
from .console import Progress, emit, parse_actions

if TYPE_CHECKING:
    from ..training.synthetic.sample import Drawing

Split = Literal["test", "validation", "train"]


def main(args: Sequence[str]) -> int:
    return parse_actions({"sheet": sheet, "balance": balance, "make": make, "time": time}, "synthetic", args)


def sheet(
    *, out: Path = Path("synthetic.jpg"), seed: int = 2000, count: int = 64, size: int = 512, cell: int = 192,
    layers: str = "image", workers: int = 1, device: str = "cpu", head: str = "", hair_meshes: str = "",
    json: bool = False,
) -> int:  # fmt: skip
    """Make a contact sheet: one photograph each of some people.

    Args:
        out: the JPEG to write.
        seed: the first person.
        count: people.
        size: pixels of a photograph. cell: pixels of it on the sheet.
        layers: what to show of each, separated by commas: image, labels, matte, albedo, landmarks.
        workers: processes.
        device: cpu or cuda.
        head: an installed head; the default head when empty.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        json: print the result as one JSON object.
    """
    from ..training.synthetic.sheet import LAYERS, make_sheet, save_jpeg

    wanted = tuple(layers.split(","))
    if unknown := [name for name in wanted if name not in LAYERS]:
        raise ArgumentError(f"There is no layer '{unknown[0]}'.", remedy=f"Use some of: {', '.join(LAYERS)}.")
    how = _drawing(seed, count, size, workers, device, head, hair_meshes)
    picture = make_sheet(seed, count, how, layers=wanted, cell_size=cell, workers=workers)
    save_jpeg(out, picture)
    emit({"file": str(out), "people": count}, f"{out}: {count} people", as_json=json)
    return 0


def balance(
    *, out: Path | None = None, seed: int = 2000, count: int = 200, size: int = 512, workers: int = 1,
    device: str = "cpu", head: str = "", hair_meshes: str = "", json: bool = False,
) -> int:  # fmt: skip
    """Say who is in the synthetic people, and how many of their faces the portrait detector finds.

    Args:
        out: a Markdown file; printed when absent.
        seed: the first person.
        count: people, one photograph each.
        size: pixels of a photograph.
        workers: processes.
        device: cpu or cuda.
        head: an installed head; the default head when empty.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        json: print the result as one JSON object.
    """
    from ..files import write_atomic
    from ..training.synthetic.balance import found_share, report, survey
    from ..training.synthetic.sheet import one_shot_each

    how = _drawing(seed, count, size, workers, device, head, hair_meshes)
    progress = Progress()
    try:
        seen = survey(one_shot_each(seed, count), how, workers=workers, progress=progress)
    finally:
        progress.close()
    text = report(seen)
    if out is not None:
        write_atomic(out, text.encode())
    result = {
        "photographs": len(seen), "found": found_share(seen), "missed": [s.seed for s in seen if not s.found],
        "report": text,
    }  # fmt: skip
    emit(result, text if out is None else f"{out}: {len(seen)} photographs", as_json=json)
    return 0


def make(
    *, out: Path, seed: int = 0, count: int = 64, split: Split = "train", size: int = 512, workers: int = 1,
    device: str = "cpu", head: str = "", hair_meshes: str = "", json: bool = False,
) -> int:  # fmt: skip
    """Write photographs and their truth as shards; goes on where it was.

    Args:
        out: the folder to fill, about 0.3 MB a photograph.
        seed: the first photograph of the split; eight belong to one person.
        count: photographs.
        split: test, validation or train; they share no person.
        size: pixels of a photograph.
        workers: processes.
        device: cpu or cuda.
        head: an installed head; the default head when empty.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        json: print the result as one JSON object.
    """
    from ..training.synthetic.sample import FIRST_PERSON, SHOTS
    from ..training.synthetic.shards import make as make_shards

    how = _drawing(seed, count, size, workers, device, head, hair_meshes)
    progress = Progress()
    first = FIRST_PERSON[split] * SHOTS + seed
    later = [p * SHOTS for p in FIRST_PERSON.values() if p * SHOTS > first]
    if later and first + count > min(later):
        raise ArgumentError(f"Split '{split}' ends after {min(later) - FIRST_PERSON[split] * SHOTS} photographs.")
    try:
        result = make_shards(out, first, count, how, workers=workers, progress=progress)
    finally:
        progress.close()
    text = f"{out}: {result['made']} made, {result['found']} were there, {result['samples_per_second']:.2f} a second"
    emit({"folder": str(out), **result}, text, as_json=json)
    return 0


def time(
    *, seed: int = 2000, count: int = 3, size: int = 512, workers: int = 1, device: str = "cpu", head: str = "",
    hair_meshes: str = "", json: bool = False,
) -> int:  # fmt: skip
    """Measure: seconds to make a person, seconds a photograph, and photographs a second with several processes.

    Args:
        seed: the first person.
        count: people, eight photographs each.
        size: pixels of a photograph.
        workers: processes for the last figure.
        device: cpu or cuda.
        head: an installed head; the default head when empty.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        json: print the result as one JSON object.
    """
    import numpy as np

    from ..head import load_head
    from ..training.synthetic.hair_meshes import hair_mesh_files
    from ..training.synthetic.people import make_person
    from ..training.synthetic.photograph import photograph
    from ..training.synthetic.sample import SHOTS
    from ..training.synthetic.workers import each_sample

    how = _drawing(seed, count, size, workers, device, head, hair_meshes)
    meshes = hair_mesh_files(hair_meshes) if hair_meshes else ()
    model = load_head(head or "default")
    photograph(make_person(seed, model, hair_meshes=meshes), 0, size, device=device)  # compiles, reads, fills caches
    people, shots = [], []
    for person_seed in range(seed, seed + count):
        start = clock.perf_counter()
        person = make_person(person_seed, model, hair_meshes=meshes)
        people.append(clock.perf_counter() - start)
        for shot in range(4):
            start = clock.perf_counter()
            photograph(person, shot, size, device=device)
            shots.append(clock.perf_counter() - start)
    result = {"person_seconds": float(np.median(people)), "shot_seconds": float(np.median(shots)), "size": size}
    text = f"a person {result['person_seconds']:.2f} s, a photograph {result['shot_seconds']:.2f} s at {size}²"
    if workers > 1:
        seeds = range(seed * SHOTS, (seed + count) * SHOTS)
        start = clock.perf_counter()
        made = sum(1 for _ in each_sample(seeds, how, workers=workers))
        result["samples_per_second"] = made / (clock.perf_counter() - start)
        text += f"; {result['samples_per_second']:.2f} photographs a second with {workers} processes, start included"
    emit(result, text, as_json=json)
    return 0


def _drawing(seed: int, count: int, size: int, workers: int, device: str, head: str, hair_meshes: str) -> Drawing:
    if seed < 0 or count < 1 or workers < 1:
        raise ArgumentError("--seed must be 0 or more, --count and --workers 1 or more.")
    if not 32 <= size <= 4096:
        raise ArgumentError(f"--size must be 32 to 4096 pixels, got {size}.")
    from ..training.synthetic.sample import Drawing

    return Drawing(size, device, head, hair_meshes)
