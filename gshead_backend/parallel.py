"""What every numba kernel of the project shares."""

from __future__ import annotations

import threading

NUMBA_LOCK = threading.Lock()
"""Hold it around calls of ``parallel=True`` kernels: numba's portable threading layer breaks when two threads enter."""
