"""Many samples at once: a pool of processes, whole persons to each, in an order that the pool does not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from ...process_pool import process_pool
from .sample import SHOTS, USUAL, Drawing, Sample, draw

T = TypeVar("T")
_AHEAD = 2
"""Persons in work or finished per process; more would only fill memory."""


def each_sample(
    seeds: Sequence[int], how: Drawing = USUAL, *, workers: int = 1, then: Callable[[Sample], T] | None = None
) -> Iterator[T | Sample]:
    """The samples of ``seeds`` in that order, or what ``then`` (a module-level function) makes of each in its process.

    Neighbouring seeds of one person are made by one process, which makes the person once. The result does not depend
    on ``workers``.
    """
    persons = [list(group) for _, group in groupby(seeds, lambda seed: seed // SHOTS)]
    work = partial(_draw_person, how=how, then=then)
    if workers <= 1:
        for person in persons:
            yield from work(person)
        return
    again = "Run again, with fewer --workers."
    with process_pool(min(workers, len(persons) or 1), "people were drawn", remedy=again) as pool:
        waiting: list[Future[list[Any]]] = []
        for person in persons:
            waiting.append(pool.submit(work, person))
            if len(waiting) >= _AHEAD * workers:
                yield from waiting.pop(0).result()
        while waiting:
            yield from waiting.pop(0).result()


def _draw_person(seeds: Sequence[int], *, how: Drawing, then: Callable[[Sample], Any] | None) -> list[Any]:
    samples = (draw(seed, how) for seed in seeds)
    return [sample if then is None else then(sample) for sample in samples]
