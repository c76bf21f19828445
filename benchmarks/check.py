"""Has something become slower? Ratios between rows of one run, against those of a run that was kept.

Seconds of two machines, or of two moments on one, say little; how many times faster one thing is than another on the
same machine at the same time says whether the code has changed for the worse.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from measure import ROOT

# name: (rows of the numerator, rows of the denominator), each (group, name); a larger ratio is better.
RATIOS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "rasterize, 20k: times faster than vectorised torch": (
        ("raster cpu", "512², instead: vectorised torch, 20k splats"), ("raster cpu", "512², numba, 20k splats")),
    "rasterize, 65k: times faster than vectorised torch": (
        ("raster cpu", "512², instead: vectorised torch, 65k splats"), ("raster cpu", "512², numba, 65k splats")),
    "forward + backward, 20k: times faster than torch autograd": (
        ("raster cpu", "512², instead: torch autograd, forward + backward, 20k splats"),
        ("raster cpu", "512², numba, forward + backward, 20k splats")),
    "forward + backward, 65k: times faster than torch autograd": (
        ("raster cpu", "512², instead: torch autograd, forward + backward, 65k splats"),
        ("raster cpu", "512², numba, forward + backward, 65k splats")),
    "drive, 65k: times faster than torch": (
        ("drive cpu", "torch, 65k splats"), ("drive cpu", "numba (the server's), 65k splats")),
    "to a client, 20k: share of the rate of drive + rasterize alone": (
        ("socket", "512², stream, one wish ahead, in turns with it, 20k splats, cpu"),
        ("socket", "512², drive + rasterize alone, 20k splats, cpu")),
    "to a client, 65k: share of the rate of drive + rasterize alone": (
        ("socket", "512², stream, one wish ahead, in turns with it, 65k splats, cpu"),
        ("socket", "512², drive + rasterize alone, 65k splats, cpu")),
}  # fmt: skip
BASELINE = Path(__file__).with_name("baseline.json")
SLACK = 0.7
"""A ratio below this share of the kept one counts as a regression: runs on a busy machine differ by a fifth."""


def ratios(document: dict) -> dict[str, float]:
    """The ratios whose rows a result file holds."""
    rows = {(r["group"], r["name"]): r["value"] for r in document["rows"]}
    return {k: rows[a] / rows[b] for k, (a, b) in RATIOS.items() if a in rows and b in rows}


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when a ratio fell, 2 when nothing could be compared."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks check", description="Compare ratios with a kept run.")
    default = ROOT / "out" / "benchmarks" / "results.json"
    parser.add_argument("results", nargs="?", type=Path, default=default, help="JSON of a run (default: the last)")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="ratios to compare with")
    parser.add_argument("--keep", action="store_true", help="write this run's ratios as the new baseline")
    options = parser.parse_args(arguments)
    now = ratios(json.loads(options.results.read_text()))
    if options.keep:
        options.baseline.write_text(json.dumps({k: round(v, 3) for k, v in now.items()}, indent=1) + "\n")
        print(f"{len(now)} ratios kept in {options.baseline}")
        return 0 if now else 2
    kept = json.loads(options.baseline.read_text())
    shared = [k for k in kept if k in now]
    for name in shared:
        worse = now[name] < SLACK * kept[name]
        print(f"{'SLOWER' if worse else 'ok':7} {name}: {now[name]:.2f}, kept {kept[name]:.2f}")
    for name in kept.keys() - now.keys():
        print(f"{'?':7} {name}: this run did not measure it")
    if not shared:
        return 2
    return int(any(now[k] < SLACK * kept[k] for k in shared))
