"""Tests run side by side; those marked ``alone`` overlap with nobody, and are not overtaken for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONFTEST = """
import json, os, time
import pytest
from side_by_side import plugins

def pytest_configure(config):
    config.addinivalue_line("markers", "alone: ")
    for plugin in plugins(config):
        config.pluginmanager.register(plugin)

@pytest.fixture(autouse=True)
def stay(request):
    began = time.monotonic()
    time.sleep(0.1)
    yield
    with open(os.environ["SEEN"], "a") as file:
        alone = request.node.get_closest_marker("alone") is not None
        file.write(json.dumps([alone, began, time.monotonic()]) + "\\n")
"""
MANY = "import pytest\n@pytest.mark.parametrize('n', range(12))\ndef test_it(n): pass\n"
SOME = "import pytest\npytestmark = pytest.mark.alone\n@pytest.mark.parametrize('n', range(3))\ndef test_it(n): pass\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows runs tests one after the other")
def test_who_is_alone_overlaps_with_nobody(tmp_path: Path) -> None:
    for name, text in {"conftest": CONFTEST, "test_a": MANY, "test_b": MANY, "test_c": SOME}.items():
        (tmp_path / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "3", "--dist", "loadfile", "-c", os.devnull,
         "--rootdir", str(tmp_path), "-p", "no:cacheprovider", str(tmp_path)], capture_output=True, text=True,
        timeout=120, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS), "SEEN": str(tmp_path / "seen"),
             "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    assert sum(alone for alone, *_ in seen) == 3
    overlaps = [(a, b) for a, b in combinations(seen, 2) if a[1] < b[2] and b[1] < a[2]]
    assert overlaps, "the others ran side by side"
    assert not any(a[0] or b[0] for a, b in overlaps)
    last = max(end for _, _, end in seen)
    assert max(end for alone, _, end in seen if alone) < last - 0.3, "it did not wait until the others were through"
