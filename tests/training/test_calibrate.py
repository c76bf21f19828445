"""``gshead train calibrate``: readings as strong as what is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from toy_crops import run, weights, write_crops

from gshead_backend.cli import main
from gshead_backend.head.arkit import ARKIT_INDEX
from gshead_backend.portrait.nets.weights import weights_folder
from gshead_backend.training.calibrate import MOST, gains
from gshead_backend.training.config import Augment, TrainConfig

pytestmark = pytest.mark.usefixtures("one_thread")


def test_what_is_read_too_faintly_is_made_stronger_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 1, (400, 52)) * (rng.random((400, 52)) < 0.3)
    read = 0.7 * true
    names = {name: ARKIT_INDEX[name] for name in ("jawOpen", "mouthPucker", "tongueOut", "eyeBlinkLeft", "cheekPuff")}
    read[:, names["jawOpen"]] /= 0.5
    read[:, names["mouthPucker"]] *= 0.1
    read[:, names["tongueOut"]] = rng.uniform(0, 0.1, 400)
    read[:, names["cheekPuff"]] = 0.0
    read[:, names["eyeBlinkLeft"]] /= 0.7
    gain = gains(read.astype(np.float32), true.astype(np.float32))
    assert gain[names["jawOpen"]] == 1  # never weaker
    assert gain[names["mouthPucker"]] == MOST
    assert gain[names["tongueOut"]] == gain[names["cheekPuff"]] == 1  # says nothing
    left, right = names["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]
    assert gain[left] == gain[right] == pytest.approx(1 / 0.85, rel=0.03)
    assert gain[ARKIT_INDEX["browInnerUp"]] == pytest.approx(1 / 0.7, rel=1e-5)


def test_the_command_scales_the_readings_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_crops(tmp_path / "crops", 8)
    shutil.copytree(tmp_path / "crops" / "train", tmp_path / "crops" / "validation")  # what it learned by heart
    config = msgspec.convert(
        {"network": "regressor", "shape": {"face": 8, "eye": 8, "hidden": 64, "region": 8},
         "batch": 8, "steps": 25, "lr": 3e-3,
         "ema": 0.8, "warmup": 3, "validation_samples": 8, "augment": msgspec.to_builtins(Augment.none())}, TrainConfig,
    )  # fmt: skip
    run(config, tmp_path / "crops", tmp_path)
    file, out = tmp_path / "regressor.safetensors", tmp_path / "out" / "regressor.safetensors"
    out.parent.mkdir()
    command = ["train", "calibrate", str(file), "--data", str(tmp_path / "crops"), "--out", str(out), "--json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] == 8
    old, new = weights(tmp_path, "regressor"), weights(out.parent, "regressor")
    moved = {name for name in old if not np.array_equal(old[name], new[name])}
    assert moved == {"out.weight", "out.bias", "direct.weight", "closer.out.weight", "closer.out.bias"}
    gain = new["out.bias"][:52] / old["out.bias"][:52]
    assert gain.max() > 1.05
    for name in moved:
        np.testing.assert_array_equal(new[name][52:], old[name][52:])
    assert main([*command[:2], str(out), *command[3:]]) == 0  # what is written reads as was told
    assert json.loads(capsys.readouterr().out)["before"]["arkit_mae"] == pytest.approx(
        told["after"]["arkit_mae"], abs=2e-3
    )


def test_another_network_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_crops(tmp_path, 8, "validation")
    parser = weights_folder() / "parser.safetensors"
    command = ["train", "calibrate", str(parser), "--data", str(tmp_path), "--out", str(tmp_path / "out.safetensors")]
    assert main(command) == 2
    assert "holds a parser" in capsys.readouterr().err
