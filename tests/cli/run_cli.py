"""The command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAKE = ROOT / "samples" / "take_demo.json"


def gshead(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with the warnings that Python would hide turned into errors of ours."""
    return subprocess.run(
        [sys.executable, "-m", "gshead_backend.cli", *map(str, arguments)], capture_output=True, text=True,
        timeout=240, check=False, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
