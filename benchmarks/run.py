"""Measure gshead and write the result down. See README.md beside this file.

python -m benchmarks run                      # everything this machine can do
python -m benchmarks run --only frames socket --device cpu
python -m benchmarks run --append             # also add the table to RESULTS.md
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from measure import ROOT, Report, at_most, calibration
from publish import publish, table
from scenes import SIZES

PARTS = (
    "frames",
    "batches",
    "floors",
    "socket",
    "codecs",
    "delivery",
    "levels",
    "blender",
    "redraw",
    "interchange",
    "reconstruct",
    "pool",
    "gagavatar",
)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description="Measure gshead on this machine.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="which parts (default: all)")
    parser.add_argument(
        "--device", nargs="+", choices=("cpu", "cuda"), help="default: cpu, and cuda where there is one"
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), metavar="N", help="splat counts")
    parser.add_argument("--repeats", type=int, default=1, help="reconstructions a quality")
    parser.add_argument("--calls", type=int, help="at most so many timed calls a row: a trial that tells no speed")
    parser.add_argument("--frames", type=int, default=24, help="of the timeline in Blender (a shot has 240)")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "benchmarks" / "results.json", help="JSON file")
    parser.add_argument("--append", action="store_true", help="add the table to benchmarks/RESULTS.md")
    options = parser.parse_args(arguments)
    if options.calls:
        at_most(options.calls)
    given = sys.argv[1:] if arguments is None else arguments
    report = Report(command=shlex.join(["python", "-m", "benchmarks", "run", *_without_out(given)]))
    report.add(calibration("at the start"))
    for device in options.device or _devices():
        for part in options.only:
            _measure(part, report, device, options)
            report.save(options.out)
    report.add(calibration("at the end"))
    report.save(options.out)
    document = json.loads(options.out.read_text())
    text = table(document)
    options.out.with_suffix(".md").write_text(text)
    print(f"\n{text}\nwritten to {options.out}")
    if options.append:
        publish(document)


def _without_out(arguments: list[str]) -> list[str]:
    """A command without where its result went: that is of one machine."""
    at = arguments.index("--out") if "--out" in arguments else len(arguments)
    return [a for a in (*arguments[:at], *arguments[at + 2 :]) if a != "--append"]


def _devices() -> list[str]:
    import torch

    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def _measure(part: str, report: Report, device: str, options: argparse.Namespace) -> None:
    sizes = tuple(options.sizes)
    if part == "frames":
        from frames import measure_frames

        measure_frames(report, device, sizes)
    elif part == "batches":
        if device == "cuda" or options.device:  # on a CPU only when it is asked for
            from batches import measure_batches

            measure_batches(report, device, sizes)
    elif part == "floors" and device == "cpu":
        from floors import measure_floors

        measure_floors(report, sizes)
    elif part == "codecs" and device == "cpu":
        from floors import measure_codecs

        measure_codecs(report)
    elif part in ("floors", "codecs"):
        return
    elif part == "socket":
        from service import measure_socket

        measure_socket(report, device, sizes)
    elif part == "delivery":
        from delivery import measure_delivery

        measure_delivery(report, device, sizes)
    elif part == "levels":
        from delivery import measure_levels

        measure_levels(report, device)
    elif part == "blender":
        from blender import measure_blender

        measure_blender(report, device, sizes, options.frames)
    elif part == "gagavatar":
        if device == "cuda" or options.device:  # a minute on a CPU, so only when it is asked for
            from network import measure_gagavatar

            measure_gagavatar(report, device)
    elif part == "pool":
        if device == "cuda" or options.device:  # minutes on a CPU, so only when it is asked for
            from pool import measure_pool

            measure_pool(report, device)
    elif part == "redraw":
        from redraw import measure_redraw

        measure_redraw(report, device)
    elif part == "interchange":
        if device == "cpu":
            from interchange import measure_interchange

            measure_interchange(report)
    else:
        from service import measure_reconstruction

        measure_reconstruction(report, device, options.repeats)


if __name__ == "__main__":
    main()
