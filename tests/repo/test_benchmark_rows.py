"""Rows of one file are of one commit and one machine."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_measure", ROOT / "benchmarks" / "measure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_an_interrupted_run_goes_on_and_another_commit_starts_anew(
    measure: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.json"

    def save(commit: str, name: str, value: float) -> dict[str, float]:
        monkeypatch.setattr(measure, "_git", lambda: commit)
        report = measure.Report()
        report.add(measure.Row("drive", name, value))
        report.save(path)
        return {row["name"]: row["value"] for row in json.loads(path.read_text())["rows"]}

    assert save("aaa", "20k", 1.0) == {"20k": 1.0}
    assert save("aaa", "65k", 2.0) == {"20k": 1.0, "65k": 2.0}
    assert save("aaa", "20k", 3.0) == {"65k": 2.0, "20k": 3.0}
    assert save("bbb", "65k", 4.0) == {"65k": 4.0}
