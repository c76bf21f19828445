"""What every numba kernel of the project shares."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import threading
from typing import Any

import numpy as np

# Read when OpenMP is loaded: by numba after this, by torch perhaps before, so the gshead command sets it as well.
# Waiting threads otherwise spin; on a busy machine that made a 2 ms kernel take 50 ms (15 ms when they sleep), and it
# gains next to nothing on an idle machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h

NUMBA_LOCK = threading.Lock()
"""Hold it around calls of ``parallel=True`` kernels: numba's portable threading layer breaks when two threads enter."""


def kernel_array(array: Any, dtype: Any = np.float32) -> np.ndarray:
    """The array as kernels are compiled for it: contiguous, aligned, writable; copied only when it is not.

    numba compiles a kernel anew, for seconds, when an array is read-only or strided (as those from files and messages).
    """
    return np.require(array, dtype, ("C", "A", "W"))


def keep_freed_memory(size: int = 256 << 20) -> bool:
    """Let this process keep up to ``size`` bytes of freed memory for the next frame; False where that cannot be said.

    glibc hands every large array back to the system and gets it anew, page by page: a tenth of a frame's time.
    """
    try:
        libc = ctypes.CDLL(None)
        return bool(libc.mallopt(_MMAP_THRESHOLD, size) and libc.mallopt(_TRIM_THRESHOLD, size))
    except (OSError, AttributeError, TypeError):  # another libc, or Windows
        return False


def end_with_parent() -> None:
    """Let this process of a pool end when the one that started it is gone: killed parents leave none behind."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
