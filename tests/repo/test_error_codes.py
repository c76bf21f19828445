"""Every stable error code is provoked by a test: one that nothing raises is a promise without meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gshead_backend.errors import GsheadError, _all, from_code

ROOT = Path(__file__).parents[2]
OWN = Path(__file__).name
TESTS = {p: p.read_text("utf-8") for p in (ROOT / "tests").rglob("*.py") if p.name not in (OWN, "test_documents.py")}
CODES = {code: cls.__name__ for code, cls in _all(GsheadError).items() if cls.__module__.startswith("gshead_backend")}


def provoked_by(code: str, name: str) -> list[str]:
    """Tests that expect the class in ``pytest.raises``, or the code in what a user reads."""
    expected = re.compile(
        rf"pytest\.raises\(\s*(?:\([^)]*)?\b{name}\b|[\"'][^\"'\n]*{code}|issubclass\([^)]*\b{name}\b"
    )
    return [path.name for path, text in TESTS.items() if expected.search(text)]


@pytest.mark.parametrize("code", sorted(set(CODES) - {"GSH-E000"}))
def test_a_test_provokes_the_code(code: str) -> None:
    assert provoked_by(code, CODES[code]), f"no test expects {code} ({CODES[code]})"


def test_a_code_that_nobody_knows_becomes_the_base_class() -> None:
    error = from_code("GSH-E999", "said by a newer backend")
    assert type(error) is GsheadError
    assert error.code == "GSH-E000"
    assert "said by a newer backend" in str(error)


def test_codes_are_documented_and_the_documented_exist() -> None:
    documented = set(re.findall(r"^\| `(GSH-E\d{3})`", (ROOT / "docs" / "errors.md").read_text("utf-8"), re.MULTILINE))
    assert documented == set(CODES)
