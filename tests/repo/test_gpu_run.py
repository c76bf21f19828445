"""``benchmarks/gpu_run.sh``, as far as it can be run without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_run.sh"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no bash of its own")
def test_programs_of_carried_wheels_are_found(tmp_path: Path) -> None:
    """pip puts them into the folder ``bin`` of its target; torch builds kernels with the ``ninja`` on the path."""
    python, ninja = tmp_path / "python", tmp_path / "site" / "bin" / "ninja"
    ninja.parent.mkdir(parents=True)
    for file, text in ((python, "#!/bin/sh\ncommand -v ninja\n"), (ninja, "#!/bin/sh\n")):
        file.write_text(text)
        file.chmod(0o755)
    places = {"PYTHON": python, "SITE": tmp_path / "site", "OUT": tmp_path / "out", "STATE": tmp_path / "state"}
    done = subprocess.run(
        ["bash", str(SCRIPT), "kernels"], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, **{name: str(place) for name, place in places.items()}},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(ninja) in done.stdout.splitlines()


@pytest.fixture
def small_and_on_the_cpu(tmp_path: Path) -> Path:
    """A Python for which the only CUDA device is the processor, and 300 splats are many."""
    python = tmp_path / "python"
    python.write_text(f"""#!/usr/bin/env bash
given=() sizes=(--sizes 300) calls=(--calls 1)
for word; do
    case $word in
        cuda) word=cpu ;;
        20000 | 65000 | 150000) word=300 ;;
        --sizes) sizes=() ;;
    esac
    given+=("$word")
done
[[ $1 == benchmarks/run.py ]] || sizes=() calls=()
exec '{sys.executable}' "${{given[@]}}" "${{sizes[@]}}" "${{calls[@]}}"
""")
    python.chmod(0o755)
    return python


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no bash of its own")
def test_steps_measure_are_not_repeated_and_end_in_results(small_and_on_the_cpu: Path, tmp_path: Path) -> None:
    out, results = tmp_path / "out", tmp_path / "RESULTS.md"
    results.write_text("# Results\n\n## Kept\n\nwhat stood here\n")
    places = {"PYTHON": small_and_on_the_cpu, "SITE": tmp_path / "site", "OUT": out, "STATE": tmp_path / "state",
              "RESULTS": results, "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", "")}  # fmt: skip

    def run(*steps: str) -> str:
        done = subprocess.run(
            ["bash", str(SCRIPT), *steps], capture_output=True, text=True, check=False, timeout=500,
            env={**os.environ, **{name: str(place) for name, place in places.items() if str(place)}},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "frames: done in" in run("frames", "results")
    assert "frames: done before" in run("frames", "results")
    rows = json.loads((out / "gpu.json").read_text())["rows"]
    assert {"drive cpu", "raster cpu", "frame cpu"} <= {row["group"] for row in rows}
    text = results.read_text()
    assert "what stood here" in text
    assert text.count("### Whole frame, CPU") == 1  # published twice, there once
    assert "    python -m benchmarks run --only frames --device cpu --sizes 300 --calls 1" in text
    assert (out / "RESULTS.md").read_text() == text
