"""Rows of one file are of one commit and one machine."""

from __future__ import annotations

import importlib.util
import json
import subprocess
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


def test_the_benchmark_of_blender_finds_what_runs_scripts_in_it() -> None:
    code = "import sys; sys.path.insert(0, 'benchmarks'); import blender; print(*blender.load_harness().VERSIONS)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()


def test_a_published_run_names_its_commands_and_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    results, document = tmp_path / "RESULTS.md", tmp_path / "rows.json"
    results.write_text("# Results\n\n## Kept\n\nwhat stood here\n")

    def publish(commit: str, value: float) -> str:
        document.write_text(json.dumps({
            "date": "2026-01-02 03:04 UTC", "commit": commit, "machine": {"cpu": "Some (TM) CPU", "cores": "2"},
            "commands": ["python -m benchmarks run --only frames"],
            "rows": [{"group": "drive cpu", "name": "numba", "value": value, "unit": "ms", "p90": None, "count": 1,
                      "note": ""}],
        }))  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "publish", str(document), "--to", str(results)],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return results.read_text()

    text = publish("aaa", 1.5)
    assert text.startswith(
        "# Results\n\n## Kept\n\nwhat stood here\n\n## Some (TM) CPU, 2026-01-02 03:04 UTC, commit aaa\n"
    )
    assert "    python -m benchmarks run --only frames\n" in text
    assert "| numba | 1.50 ms |" in text
    text = publish("aaa", 2.5)
    assert "1.50 ms" not in text
    assert "| numba | 2.50 ms |" in text
    text = publish("bbb", 3.5)
    assert "| numba | 2.50 ms |" in text
    assert "| numba | 3.50 ms |" in text
    assert "what stood here" in text
