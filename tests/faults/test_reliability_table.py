"""docs/reliability.md promises nothing without a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "reliability.md").read_text("utf-8").splitlines()
ROWS = [line for line in LINES if line.startswith("| ") and not line.startswith("| fault")]


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """No process is started here."""


def test_every_row_names_tests_that_exist() -> None:
    assert len(ROWS) > 55
    for row in ROWS:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 6, row
        assert all(cells), row
        last, named = "", re.findall(r"`([^`]+)`", cells[5])
        assert named, row
        for name in named:
            path, _, function = name.partition("::")
            last = last if path == "…" else path
            file = ROOT / last
            assert file.is_file(), name
            assert not function or re.search(rf"^def {function}\(", file.read_text("utf-8"), re.MULTILINE), name
            assert function or "\ndef test_" in file.read_text("utf-8"), name
