"""Is our network the public one? ``python -m gshead_backend.methods.gagavatar.parity FILE.npz`` says so.

The file holds a set's number and what the public network computed from it; weights and inputs are made anew from the
number (``recipe``). Every tensor is printed beside its tolerance. Exit code 0: all are within it; 1: some are not, and
the first of them names the fault; 3: the file is no such file.
"""

from __future__ import annotations

import json
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from ...errors import ArgumentError, FileFormatError, GsheadError
from .compare import LIKE_GSPLAT, STRICT, Index, Row, compare, cut_of, parse_cut
from .config import RELEASED, Config, config_of

MAX_BYTES = 64_000_000


@dataclass(frozen=True)
class Golden:
    """A file of goldens: the set's number, the network's sizes, the arrays as ``name|kind``, and how they were cut."""

    number: int
    config: Config
    arrays: dict[str, np.ndarray]
    cuts: dict[str, Index]

    def kinds(self, name: str) -> list[str]:
        return [k.rpartition("|")[2] for k in self.arrays if k.rpartition("|")[0] == name]


def read_golden(path: Path) -> Golden:
    """Read a file of goldens; nothing of it is run. Raises ``FileFormatError``."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileFormatError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB.")
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        meta = json.loads(str(arrays.pop("meta")))
        number, sizes = meta["S"], meta.get("config", {})
        cuts = {str(name): parse_cut(str(text)) for name, text in meta["slices"].items()}
        if not isinstance(number, int) or number < 0:
            raise FileFormatError(f"{path} has a description that is not understood.")
        config = config_of(sizes)
    except GsheadError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"{path} is not a file of goldens: {type(error).__name__}: {error}.") from error
    return Golden(number, config, arrays, cuts)


def check(
    golden: Golden, *, raster: str = "auto", device: str = "cpu", say: Callable[[str], None] = lambda text: None
) -> Iterator[Row]:
    """Every comparison the file allows, in the order of the stages.

    Args:
        raster: see ``raster.rasterize_features``; other than "exact" is judged by what gsplat's limits allow.
        device: torch device.
        say: called with what is being done.
    Raises:
        FileFormatError: the file names a tensor that is unknown, or holds one of another shape.
    """
    from . import layout, stages
    from .fast import true_float32
    from .network import Network

    config, number = golden.config, golden.number
    exact = raster == "exact" or (raster == "auto" and not device.startswith("cuda"))
    limits = STRICT if exact else LIKE_GSPLAT
    shapes = layout.released_shapes() if config == RELEASED else layout.used_shapes(config)
    say(f"set {number}: {len(shapes)} weights")
    weights = stages.Weights(shapes, number, config)
    left = {key for key in golden.arrays if not key.startswith("dbg.")}
    for name, probe in weights.probes.items():
        for kind in golden.kinds(f"w.{name}"):
            key = f"w.{name}|{kind}"
            left.discard(key)
            if golden.arrays[key].shape != probe.shape:
                raise FileFormatError(f"'{key}' has shape {golden.arrays[key].shape}; ours has {probe.shape}.")
            yield compare(f"w.{name}", kind, golden.arrays[key], probe)
    network = Network.with_weights(weights.used, config).to(device)
    weights.used.clear()
    with true_float32():
        for name, value in stages.stages(network, number, raster):
            for kind in golden.kinds(name):
                key = f"{name}|{kind}"
                left.discard(key)
                stored = golden.arrays[key]
                found = cut_of(value, kind, stored, golden.cuts.get(name, (Ellipsis,)))
                if kind == "head64":  # the first values may be constant; the whole tensor's spread is their scale
                    yield _first_values(name, stored, found, golden.arrays.get(f"{name}|stats"), limits)
                else:
                    yield compare(name, kind, stored, found, limits)
    if left:
        raise FileFormatError(f"The file holds tensors that the network has not: {', '.join(sorted(left)[:5])}.")


def _first_values(name: str, golden: np.ndarray, found: np.ndarray, stats: Any, limits: str) -> Row:
    row = compare(name, "slice", golden, found, limits)
    spread = float(stats[1]) if stats is not None and stats[1] > 0 else 1.0
    scale = 1.0 if row.measure == "absolute" and name.startswith("in.") else spread
    worst = float(np.abs(found.astype(np.float64) - golden).max()) / scale
    return Row(f"{name}|head64", "worst", worst, row.worst_limit, worst, row.worst_limit)


def main(args: list[str] | None = None) -> int:
    """The command; returns its exit code."""

    def parity(file: tyro.conf.Positional[Path], /, *, raster: str = "auto", device: str = "cpu") -> int:
        """Compare our GAGAvatar with numbers of the public one.

        Args:
            file: goldens (.npz).
            raster: auto, exact (the public rasterizer's limits, on the CPU), cpu, gsplat or reference.
            device: torch device, such as cpu or cuda:0.
        """
        return run(file, raster, device)

    try:
        return tyro.cli(parity, prog="gagavatar.parity", args=args)
    except ArgumentError as error:
        print(error, file=sys.stderr)
        return 2
    except GsheadError as error:
        print(error, file=sys.stderr)
        return 3


def run(file: Path, raster: str, device: str) -> int:
    """Compare, print a table; 0 when everything is within its tolerance."""
    began, count, bad = time.monotonic(), 0, []
    print(f"{'tensor':40} {'measure':>9} {'error':>9} {'limit':>8} {'worst':>9} {'limit':>8}", flush=True)
    for row in check(read_golden(file), raster=raster, device=device, say=lambda text: print(text, file=sys.stderr)):
        count += 1
        worst = f"{row.worst:9.1e} {row.worst_limit:8.0e}" if np.isfinite(row.worst_limit) else f"{'':18}"
        verdict = "" if row.good else "  EXCEEDED"
        print(f"{row.name:40} {row.measure:>9} {row.error:9.1e} {row.limit:8.0e} {worst}{verdict}", flush=True)
        if not row.good:
            bad.append(row.name)
    took = time.monotonic() - began
    if bad:
        print(f"{len(bad)} of {count} comparisons exceed their tolerance; the first is {bad[0]} ({took:.0f} s).")
    else:
        print(f"All {count} comparisons are within their tolerance ({took:.0f} s).")
    return 1 if bad or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
