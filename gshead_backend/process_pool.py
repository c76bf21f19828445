"""Processes of one core each, for work that falls into many parts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from .errors import BackendDiedError
from .parallel import end_with_parent

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


@contextlib.contextmanager
def process_pool(count: int, doing: str, *, remedy: str) -> Iterator[ProcessPoolExecutor]:
    """``count`` processes of one thread each. They end with this one; what waits at the block's end is not begun.

    Args:
        doing: "samples were made": for the message when a process ends.

    Raises:
        BackendDiedError: a process ended in the middle of its work.
    """
    saved = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)  # inherited by the processes, before they import numpy; they start when needed
    # fork and the threads of numba do not go together
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise BackendDiedError(
            f"A process ended while {doing}; perhaps there was too little memory.", remedy=remedy
        ) from error
    finally:
        # Not without waiting, nor as a context manager, which calls it again: then all that waits is done after all.
        pool.shutdown(cancel_futures=True)
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin() -> None:
    import cv2  # here: this module goes into the extension, OpenCV does not

    end_with_parent()
    cv2.setNumThreads(1)
