"""``gshead train average``: one network from several weight files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gshead_backend.cli import main
from gshead_backend.portrait.nets.weights import Header, read_weights, save_weights


def write(path: Path, value: float, step: int = 10, **changed: Any) -> str:
    fields: dict[str, Any] = {"network": "regressor", "version": 3, "shape": {"face": 4}, "labels": ["a"], "step": step,
              "scale": {"light": [value, 1.0]}, "config": "what made it"} | changed  # fmt: skip
    save_weights(path, Header(**fields), {"w": np.full((2, 3), value, np.float32), "b": np.array([1.0, value])})
    return str(path)


def test_arrays_and_scales_are_the_weighted_mean(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.safetensors", 0.0), write(tmp_path / "b.safetensors", 1.0, step=30)]
    out = tmp_path / "c.safetensors"
    assert main(["train", "average", *files, "--out", str(out), "--shares", "1", "3"]) == 0
    header, arrays = read_weights(out)
    np.testing.assert_allclose(arrays["w"], 0.75)
    np.testing.assert_allclose(arrays["b"], [1, 0.75])
    assert header.scale == {"light": [0.75, 1.0]}
    assert (header.step, header.config, header.network) == (30, "", "regressor")
    assert main(["train", "average", *files, "--out", str(out)]) == 0
    np.testing.assert_allclose(read_weights(out)[1]["w"], 0.5)


@pytest.mark.parametrize(
    ("changed", "shares", "what"),
    [
        ({"network": "parser"}, (), "another network"),
        ({"shape": {"face": 8}}, (), "another shape"),
        ({"scale": {}}, (), "do not scale the same outputs"),
        ({}, ("1", "2", "3"), "need 2 shares"),
        ({}, ("1", "0"), "above 0"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], shares: tuple[str, ...], what: str
) -> None:
    files = [write(tmp_path / "a.safetensors", 0.0), write(tmp_path / "b.safetensors", 1.0, **changed)]
    out = tmp_path / "c.safetensors"
    assert main(["train", "average", *files, "--out", str(out), *(("--shares", *shares) if shares else ())]) == 2
    assert what in capsys.readouterr().err
    assert not out.exists()


def test_one_file_is_no_average(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "average", write(tmp_path / "a.safetensors", 0.0), "--out", str(tmp_path / "c")]) == 2
    assert "two or more" in capsys.readouterr().err
