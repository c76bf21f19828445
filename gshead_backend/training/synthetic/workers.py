"""Many samples at once: a pool of processes, whole persons to each, in an order that the pool does not change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from typing import Any, TypeVar

import cv2

from ...parallel import end_with_parent
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
    saved = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)  # inherited by the processes, before they import numpy
    try:
        context = get_context("spawn")  # fork and threads of numba do not go together
        with ProcessPoolExecutor(min(workers, len(persons) or 1), mp_context=context, initializer=_calm) as pool:
            waiting: list[Future[list[Any]]] = []
            rest = iter(persons)
            try:
                for person in rest:
                    waiting.append(pool.submit(work, person))
                    if len(waiting) >= _AHEAD * workers:
                        yield from waiting.pop(0).result()
                while waiting:
                    yield from waiting.pop(0).result()
            finally:
                for future in waiting:
                    future.cancel()
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def _calm() -> None:
    end_with_parent()
    cv2.setNumThreads(1)


def _draw_person(seeds: Sequence[int], *, how: Drawing, then: Callable[[Sample], Any] | None) -> list[Any]:
    samples = (draw(seed, how) for seed in seeds)
    return [sample if then is None else then(sample) for sample in samples]
