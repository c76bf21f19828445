"""What ``--pool`` names, and the workers of a pool on this machine."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from ..errors import ArgumentError, MissingAssetError
from ..gpus import visible_gpus
from ..protocol.launcher import clean_environment
from .processes import WorkerSetup
from .workers import Worker

log = logging.getLogger("gshead.server")
LARGEST = 256
_THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class PoolSpec:
    """``kind`` of a pool; ``address`` of a Ray cluster's head, ``auto`` or ``local``; ``count`` of workers, 0: see
    ``parse_pool``."""

    kind: Literal["local", "ray"]
    address: str = ""
    count: int = 0


def parse_pool(text: str, workers: int = 0) -> PoolSpec | None:
    """``""`` to None; ``local``, ``local:N``, ``ray://HOST:PORT``, ``ray://auto``, ``ray://local`` to what they mean.

    Args:
        workers: how many; 0 for one a GPU, and without GPUs one a machine.

    Raises:
        ArgumentError: something else. MissingAssetError: Ray is not installed.
    """
    if not 0 <= workers <= LARGEST:
        raise ArgumentError(f"A pool has 1 to {LARGEST} workers, not {workers}.")
    if not text:
        return None
    if match := re.fullmatch(r"local(?::(\d{1,4}))?", text):
        count = int(match[1]) if match[1] else workers
        if match[1] and not 1 <= count <= LARGEST:
            raise ArgumentError(f"A pool has 1 to {LARGEST} workers, not {count}.")
        return PoolSpec("local", "", count)
    if match := re.fullmatch(r"ray://(local|auto|[A-Za-z0-9.\-]{1,253}:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5})", text):
        if importlib.util.find_spec("ray") is None:
            raise MissingAssetError(
                "Ray is not installed here, so there is no pool on a Ray cluster.",
                remedy='Run: pip install "gshead-backend[ray]". Without Ray, --pool local:N uses this machine.',
            )
        return PoolSpec("ray", match[1], workers)
    raise ArgumentError(
        f"'{text}' names no pool.", remedy="Use local:N, ray://HOST:PORT, ray://auto or ray://local."
    )  # fmt: skip


class Crew(Protocol):
    """Where a pool's workers come from."""

    trouble: str

    def recruit(self) -> list[Worker]:
        """Workers that were not there at the last call; never waits."""
        ...

    def again(self) -> None:
        """Tries once more after ``trouble``; never waits."""
        ...

    def close(self) -> None:
        """The workers are needed no more."""
        ...


class LocalCrew:
    """Processes of this machine: one GPU each, in turns when there are more of them, or the CPU's cores shared out."""

    trouble = ""

    def __init__(self, spec: PoolSpec, setup: WorkerSetup) -> None:
        gpus = visible_gpus(clean_environment()) if setup.device == "auto" else []
        count = spec.count or len(gpus) or 1
        if gpus and count > len(gpus):
            log.warning("%d workers share %d GPUs: some may run out of its memory", count, len(gpus))
        self._new = [
            Worker(f"pool-{i + 1}", setup, environment=_environment(i, count, gpus, setup.device)) for i in range(count)
        ]

    def recruit(self) -> list[Worker]:
        new, self._new = self._new, []
        return new

    def again(self) -> None:
        pass

    def close(self) -> None:
        pass


def crew_of(spec: PoolSpec | None, setup: WorkerSetup) -> Crew | None:
    """The workers of a pool, None without one."""
    if spec is None:
        return None
    if spec.kind == "local":
        return LocalCrew(spec, setup)
    from .ray_crew import RayCrew

    return RayCrew(spec, setup)


def _environment(index: int, count: int, gpus: list[str], device: str) -> dict[str, str]:
    if gpus:
        return {"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]}
    if device not in ("auto", "cpu"):
        return {}
    threads = str(max(1, len(_cores()) // count))  # else every one of them would start as many as there are cores
    return {name: threads for name in _THREADS if name not in os.environ}


def _cores() -> set[int]:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return affinity(0) if affinity is not None else set(range(os.cpu_count() or 1))
