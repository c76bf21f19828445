"""``benchmarks/gpu_run.sh``, as far as it can be run without a GPU."""

from __future__ import annotations

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
