"""The budget of skipped tests: what is listed passes, anything else fails the run and says why."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from skip_budget import FILE, Allowed, excess, read

ROOT = Path(__file__).parents[2]
GPU = [Allowed("needs a CUDA device", "no GPU", 2)]
SKIPS = re.compile(r"(?:pytest\.skip\(\s*f?|reason=f?)\"((?:[^\"\\]|\\.)*)\"")


def test_listed_reasons_pass_and_others_are_named() -> None:
    assert excess([("a", "needs a CUDA device")] * 2, GPU, whole=True) == []
    (line,) = excess([("tests/x.py::test_y", "my laptop is slow")], GPU, whole=False)
    assert "tests/x.py::test_y was skipped for a reason that is not listed: my laptop is slow" in line


def test_counts_hold_for_whole_runs_only() -> None:
    three = [(f"t{i}", "needs a CUDA device") for i in range(3)]
    (line,) = excess(three, GPU, whole=True)
    assert "3 tests were skipped (no GPU), at most 2 may be" in line
    assert excess(three, GPU, whole=False) == []


def test_every_reason_in_the_tests_is_listed() -> None:
    """Reasons that this machine never meets are looked up in the source."""
    rows, seen = read(), 0
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name in ("test_skip_budget.py", "skip_budget.py"):
            continue
        text = path.read_text("utf-8")
        for reason in SKIPS.findall(text) if "skip" in text else ():
            plain = re.sub(r"\{[^}]*\}", "5.2", reason)
            seen += 1
            assert any(re.search(row.reason, plain) for row in rows), f"{path.relative_to(ROOT)}: {reason}"
    assert seen > 30


@pytest.mark.parametrize(("reason", "code"), [("needs a CUDA device", 0), ("it is late", 1)])
def test_a_run_fails_when_more_is_skipped(tmp_path: Path, reason: str, code: int) -> None:
    (tmp_path / "conftest.py").write_text(
        "from skip_budget import SkipBudget\n"
        "def pytest_configure(config): config.pluginmanager.register(SkipBudget(), 'skip-budget')\n"
    )
    (tmp_path / "test_it.py").write_text(
        f"import pytest\n@pytest.mark.skip(reason={reason!r})\ndef test_a(): pass\ndef test_b(): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path),
         str(tmp_path)], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert ("skip budget exceeded" in done.stdout) == bool(code)
    assert ("listed: it is late" in done.stdout) == bool(code)
    assert FILE.is_file()
