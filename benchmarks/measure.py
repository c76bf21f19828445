"""Timing, and saying on what it was timed."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the gshead command does, before numpy is imported

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


@dataclass
class Row:
    """One measured line.

    Attributes:
        group: table it belongs to. name: what was done. value, unit: the median and its unit.
        p90, p99: the slow end, same unit. count: how many measurements. note: anything a reader must know.
    """

    group: str
    name: str
    value: float
    unit: str = "ms"
    p90: float | None = None
    count: int = 1
    note: str = ""
    p99: float | None = None


@dataclass
class Report:
    """Rows with when, what and where, and the command that measures them again."""

    rows: list[Row] = field(default_factory=list)
    command: str = ""

    def add(self, row: Row) -> None:
        self.rows.append(row)
        slow = f" (p90 {row.p90:.2f})" if row.p90 is not None else ""
        print(f"{row.group:12} {row.name:60} {row.value:10.2f} {row.unit}{slow}  n={row.count} {row.note}", flush=True)

    def save(self, path: Path) -> None:
        """Write JSON (atomically), adding to the rows of an earlier, interrupted run at the same path and commit."""
        path.parent.mkdir(parents=True, exist_ok=True)
        here, kept, commands = provenance(), list[dict[str, Any]](), [self.command]
        if path.exists():
            mine, earlier = {(r.group, r.name) for r in self.rows}, json.loads(path.read_text())
            if earlier["commit"] == here["commit"] and earlier["machine"]["cpu"] == here["machine"]["cpu"]:
                kept = [r for r in earlier["rows"] if (r["group"], r["name"]) not in mine]
                commands = [*earlier.get("commands", ()), *commands]
        document = {
            **here,
            "commands": [c for c in dict.fromkeys(commands) if c],
            "rows": [*kept, *(asdict(r) for r in self.rows)],
        }
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(document, indent=1) + "\n")
        os.replace(temporary, path)


_most = 10_000


def at_most(calls: int) -> None:
    """No row of this run takes more calls than that: to see that everything works, not to learn how fast it is."""
    global _most
    _most = calls


def timed(
    group: str, name: str, call: Callable[[], object], *, count: int = 200, seconds: float = 20.0,
    warm: int = 3, sync: Callable[[], object] | None = None, note: str = "",
) -> Row:  # fmt: skip
    """Median milliseconds of ``call`` after ``warm`` unmeasured calls.

    Stops after ``count`` calls (``at_most`` lowers that for a whole run), or after ``seconds`` once there are five.
    ``sync`` waits for the device and is timed.
    """
    wait, count = sync or (lambda: None), min(count, _most)
    for _ in range(min(warm, _most)):
        call()
    wait()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < count and (len(times) < 5 or time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        call()
        wait()
        times.append(1e3 * (time.perf_counter() - start))
    times.sort()
    p90, p99 = (times[round(share * (len(times) - 1))] for share in (0.9, 0.99))
    return Row(group, name, statistics.median(times), "ms", p90, len(times), note, p99)


def calibration(when: str) -> Row:
    """A fixed piece of arithmetic: milliseconds of machines, and of moments on one, can be set against it."""
    import numpy as np

    a = np.random.default_rng(0).random((1024, 1024), np.float32)
    name = f"multiplying two 1024² float32 matrices, one thread, {when}"
    return timed("calibration", name, lambda: a @ a, count=40)


def provenance() -> dict[str, Any]:
    """Date, commit and machine."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _git(),
        "machine": machine(),
    }


def machine() -> dict[str, str]:
    """CPU, cores, memory, GPU and the packages that matter."""
    import numpy

    out = {
        "cpu": _cpu_name(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": numpy.__version__,
    }
    try:
        import numba

        out["numba"] = f"{numba.__version__}, {numba.get_num_threads()} threads"
    except ImportError:
        out["numba"] = "none"
    try:
        import torch
    except ImportError:
        return out
    out["torch"] = f"{torch.__version__}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        out["gpu"] = f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
    return out


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git() -> str:
    def run(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = run("rev-parse", "--short", "HEAD")
        changed = run("status", "--porcelain", "--untracked-files=no", "--", "gshead_backend")
    except OSError:
        return "unknown"
    return f"{commit or 'unknown'}{' + changes' if changed else ''}"
