"""``gshead train data|heads|clips``: what networks train on, made of synthetic people."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from .console import Progress, emit

UNFINISHED = 75  # as EX_TEMPFAIL: call again to go on


def data(
    *, data: Path, samples: int = 4000, validation: int = 320, shots: int = 8, skip: int = 0, workers: int = 1,
    minutes: float | None = None, head: str = "", hair_meshes: str = "", faces: bool = False, expression: str = "",
    device: str = "cpu", source: str = "", json: bool = False,
) -> int:  # fmt: skip
    """Make training crops of synthetic people: rendered, found by the real detector, cut as photos are.

    Goes on where it was; more samples can be added later.

    Args:
        data: the folder to fill, about 0.7 MB a sample, with faces 0.2 MB.
        samples: crops for training, rounded up to 16.
        validation: crops of other people for validation.
        shots: photographs of each person, 1 to 8: fewer take longer and show more people.
        skip: people to leave out at the beginning of the training split, to add others to a folder.
        workers: processes.
        minutes: start nothing new after so long; exit code 75 when something is left, and the same command goes on.
        head: an installed head to draw people on; the default head when empty.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        faces: for the regressor alone: no labels and no matte, in two thirds of the time.
        expression: draw faces that do this alone, for example blink, which is rare otherwise; a wrong name is answered
            with those that there are.
        device: cpu or cuda, for rendering.
        source: "package.module:function" that makes a sample from a seed, instead of the synthetic people.
        json: print the result as one JSON object.
    """
    from ..training.crops import SYNTHETIC, prepare
    from ..training.synthetic.expression import KINDS
    from ..training.synthetic.sample import Drawing

    if samples < 1 or validation < 0 or workers < 1:
        raise ArgumentError("--samples and --workers must be 1 or more, --validation 0 or more.")
    if not 1 <= shots <= 8 or skip < 0:
        raise ArgumentError(f"--shots lies in 1..8 and --skip is 0 or more, not {shots} and {skip}.")
    if expression and expression not in KINDS:
        raise ArgumentError(f"There is no expression '{expression}'.", remedy=f"Choose one of: {', '.join(KINDS)}.")
    ours = {"--head": head, "--hair-meshes": hair_meshes, "--faces": faces, "--expression": expression}
    if source and (given := [name for name, value in ours.items() if value]):
        raise ArgumentError(f"--source draws its own samples: {', '.join(given)} cannot change them. Leave one out.")
    how = Drawing(device=device, head=head, hair_meshes=hair_meshes, maps=not faces, kind=expression)
    how = None if source else how

    def make(split: str, count: int, left: float | None, progress: Callable[[float, str], None]) -> Any:
        return prepare(
            data, split, count, workers=workers, source=source or SYNTHETIC, how=how,
            shots=shots if split == "train" else 8, skip=skip if split == "train" else 0, minutes=left,
            progress=progress,
        )  # fmt: skip

    return _fill(data, samples, validation, minutes, make, json)


def heads(
    *, data: Path, people: int = 400, validation: int = 32, skip: int = 0, workers: int = 1,
    minutes: float | None = None, hair_meshes: str = "", device: str = "cpu", json: bool = False,
) -> int:  # fmt: skip
    """Make what learned heads train on: a photograph of each synthetic person as the pipeline reads it, and eight true
    pictures from other sides and with other expressions.

    Goes on where it was; more people can be added later.

    Args:
        data: the folder to fill, about 4 MB a person.
        people: for training, rounded up to 4.
        validation: other people for validation.
        skip: people to leave out at the beginning of the training split, to add others to a folder.
        workers: processes.
        minutes: start nothing new after so long; exit code 75 when something is left, and the same command goes on.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        device: cpu or cuda, for rendering.
        json: print the result as one JSON object.
    """
    from ..training.crops import prepare
    from ..training.heads import CHUNK, make_head_chunk
    from ..training.synthetic.sample import Drawing

    if people < 1 or workers < 1 or validation < 0 or skip < 0:
        raise ArgumentError("--people and --workers must be 1 or more, --validation and --skip 0 or more.")
    how = Drawing(device=device, hair_meshes=hair_meshes)

    def make(split: str, count: int, left: float | None, progress: Callable[[float, str], None]) -> Any:
        return prepare(
            data, split, count, workers=workers, source="", how=how, shots=1, skip=skip if split == "train" else 0,
            minutes=left, make=make_head_chunk, chunk=CHUNK, progress=progress,
        )  # fmt: skip

    return _fill(data, people, validation, minutes, make, json)


def clips(
    *, data: Path, people: int = 400, validation: int = 16, frames: int = 6, size: int = 512, skip: int = 0,
    workers: int = 1, minutes: float | None = None, head: str = "", hair_meshes: str = "", device: str = "cpu",
    json: bool = False,
) -> int:  # fmt: skip
    """Make footage of synthetic people: what 'gshead dataset prepare' makes of videos, with heads known exactly.

    Goes on where it was; more people can be added later.

    Args:
        data: the folder to fill, about 0.2 MB a frame.
        people: for training.
        validation: other people for validation.
        frames: of each person, with other expressions and from other sides, 2 to 100.
        size: pixels of a side, 64 to 1024.
        skip: people to leave out at the beginning of the training split, to add others to a folder.
        workers: processes.
        minutes: start nothing new after so long; exit code 75 when something is left, and the same command goes on.
        head: an installed head to make people on; the default head when empty.
        hair_meshes: a folder of OBJ hair that half of the people with hair wear.
        device: cpu or cuda, for rendering.
        json: print the result as one JSON object.
    """
    from functools import partial

    from ..training.crops import prepare
    from ..training.footage import SHARDS
    from ..training.synthetic.clips import make_clip
    from ..training.synthetic.sample import Drawing

    if people < 1 or workers < 1 or validation < 0 or skip < 0:
        raise ArgumentError("--people and --workers must be 1 or more, --validation and --skip 0 or more.")
    if not 2 <= frames <= 100 or not 64 <= size <= 1024:
        raise ArgumentError(f"--frames lies in 2..100 and --size in 64..1024, not {frames} and {size}.")
    how = Drawing(size=size, device=device, head=head, hair_meshes=hair_meshes)

    def make(split: str, count: int, left: float | None, progress: Callable[[float, str], None]) -> Any:
        return prepare(
            data / SHARDS, split, count, workers=workers, source="", how=how, shots=1,
            skip=skip if split == "train" else 0, minutes=left, make=partial(make_clip, frames=frames), chunk=1,
            flat=True, progress=progress,
        )  # fmt: skip

    return _fill(data, people, validation, minutes, make, json)


def _fill(
    folder: Path, train: int, validation: int, minutes: float | None,
    make: Callable[[str, int, float | None, Callable[[float, str], None]], Any], json: bool,
) -> int:  # fmt: skip
    """Both splits, the smaller first; ``make`` is told the minutes that are left."""
    progress, began = Progress(), time.monotonic()
    parts: dict[str, Any] = {}
    try:
        for split, count, low, high in (("validation", validation, 0.0, 0.1), ("train", train, 0.1, 1.0)):
            if count:
                left = None if minutes is None else max(0.0, minutes - (time.monotonic() - began) / 60)
                parts[split] = make(split, count, left, progress.part(low, high))
    finally:
        progress.close()
    told = ", ".join(f"{k}: {v['kept']} made, {v['missed']} faces missed" for k, v in parts.items())
    emit({"folder": str(folder), **parts}, f"{folder}: {told}", as_json=json)
    return UNFINISHED if any(v["left"] for v in parts.values()) else 0
