"""Which GPUs of this machine this process may use, told without importing torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

_PATIENCE = 30.0


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` may name, one entry a GPU; empty without any.

    Numbers as the driver's own tool lists them. Where the variable is set, its entries: numbers, or names of GPUs or
    of parts of one (``GPU-…``, ``MIG-…``), up to the first that is none, as CUDA reads it.

    Args:
        environment: for the driver's tool, this process's own by default.
    """
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        found: list[str] = []
        for entry in (part.strip() for part in allowed.split(",")):
            if not (entry.isdigit() or entry.startswith(("GPU-", "MIG-"))):
                break
            found.append(entry)
        return found
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run(
            [tool, "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True, timeout=_PATIENCE,
            check=False, env=None if environment is None else dict(environment),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):  # a driver that does not answer drives nothing
        return []
    return [number for number in listed.stdout.split() if number.isdigit()]
