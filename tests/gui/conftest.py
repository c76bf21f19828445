"""Blender's own window under a virtual screen, where both exist; a machine without them skips by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

VARIABLE = "GSHEAD_BLENDER_GUI"
OLDEST = (4, 5)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gui)


@pytest.fixture(scope="session")
def blender_gui() -> str:
    """The Blender whose window is tested: only the one that ``GSHEAD_BLENDER_GUI`` names."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        pytest.skip(f"SKIPPED: tests of Blender's window run when {VARIABLE}=/path/to/blender names one")
    found = shutil.which(named)
    if found is None:
        pytest.fail(f"{VARIABLE}={named} is not a program that can be run")
    if shutil.which("Xvfb") is None:
        pytest.skip("SKIPPED: Xvfb, the virtual screen, is not installed")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    version = re.search(r"Blender (\d+)\.(\d+)", said)
    if version is None or tuple(map(int, version.groups())) < OLDEST:
        pytest.skip(f"SKIPPED: {found} is {said.splitlines()[:1]}, older than Blender {OLDEST[0]}.{OLDEST[1]}")
    return found
