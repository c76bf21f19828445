"""A result file as Markdown, and its place in RESULTS.md.

python -m benchmarks publish out/benchmarks/results.json
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
TITLES = {
    "calibration": "How fast this machine was",
    "drive cpu": "Drive: pose to splats, CPU", "raster cpu": "Rasterize, CPU", "frame cpu": "Whole frame, CPU",
    "drive cuda": "Drive: pose to splats, CUDA", "raster cuda": "Rasterize, CUDA", "frame cuda": "Whole frame, CUDA",
    "pixels cuda": "Packing and read-back, CUDA", "pixels cpu": "Packing and copying, CPU",
    "socket": "Over the socket", "delivery": "Freshness, memory, start", "levels": "Levels of detail",
    "floor cpu": "Floors and resolutions, CPU", "codecs": "Packing for a network",
    "blender": "Inside Blender", "redraw": "Python in Blender's redraws",
    "interchange": "Interchange: files and their sizes",
    "reconstruct": "Reconstruct", "pool": "Many portraits over a pool of workers",
    "gagavatar": "GAGAvatar, float32, random weights", "memory": "Memory",
}  # fmt: skip


def publish(document: dict, results: Path = RESULTS) -> None:
    """Add a result file's tables to ``results``; the same machine's section of the same commit gives way to them."""
    text = table(document)
    machine, commit = (re.escape(part) for part in _where(document))
    same = re.compile(rf"## {machine}, .*, commit {commit}\n")
    sections = re.split(r"(?m)^(?=## )", results.read_text() if results.exists() else "# Results\n")
    kept = "".join(s for s in sections if not same.match(s)).rstrip()
    temporary = results.with_suffix(".tmp")
    temporary.write_text(f"{kept}\n\n{text}")
    os.replace(temporary, results)


def _where(document: dict) -> tuple[str, str]:
    machine = document["machine"]
    return machine.get("gpu", machine["cpu"]), document["commit"]


def table(document: dict) -> str:
    """Markdown of one result file."""
    name, commit = _where(document)
    lines = [f"## {name}, {document['date']}, commit {commit}", ""]
    lines += [", ".join(f"{k} {v}" for k, v in document["machine"].items()) + ".", ""]
    lines += [*(f"    {command}" for command in document.get("commands", ())), ""]
    for group in dict.fromkeys(r["group"] for r in document["rows"]):
        lines += [
            f"### {TITLES.get(group, group)}",
            "",
            "| what | median | p90 | p99 | n | |",
            "|---|---:|---:|---:|---:|---|",
        ]
        for r in (r for r in document["rows"] if r["group"] == group):
            slow = ("" if r.get(p) is None else f"{r[p]:.2f}" for p in ("p90", "p99"))
            cells = (r["name"], f"{r['value']:.2f} {r['unit']}", *slow, str(r["count"]), r["note"])
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Publish a file of ``python -m benchmarks run``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks publish", description="Add a run to RESULTS.md.")
    parser.add_argument("results", type=Path, help="JSON of a run")
    parser.add_argument("--to", type=Path, default=RESULTS, help="Markdown file to add it to")
    options = parser.parse_args(arguments)
    publish(json.loads(options.results.read_text()), options.to)
    print(f"added to {options.to}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
