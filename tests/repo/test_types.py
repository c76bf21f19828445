"""The package's types agree with each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(1200)
def test_pyright_finds_nothing(root: Path) -> None:
    """Minutes on one core: beside other tests, not before them."""
    checker = Path(sys.executable).with_name("basedpyright")
    done = subprocess.run([checker, "--pythonpath", sys.executable], cwd=root, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout
