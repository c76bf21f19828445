"""Training of the lids' network: shut eyes often enough, mirrored faces, crops of blinks, and that it learns."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import safetensors.numpy
from toy_crops import run, write_crops

from gshead_backend.cli import main
from gshead_backend.head.arkit import ARKIT_INDEX
from gshead_backend.portrait.nets.lids import BLINKS
from gshead_backend.training.config import Augment, TrainConfig
from gshead_backend.training.data import Crops
from gshead_backend.training.lids_task import BLINK, SHARES, LidsTask, lids_item
from gshead_backend.training.synthetic.expression import draw_expression

pytestmark = pytest.mark.usefixtures("one_thread")
UNCHANGED = msgspec.to_builtins(Augment.none())


def config(**changes: object) -> TrainConfig:
    return msgspec.convert(
        {"network": "lids", "shape": {"width": 8, "features": 16, "hidden": 16}, "batch": 8, "steps": 300, "lr": 5e-3,
         "ema": 0.9, "warmup": 4, "validate_every": 1000, "validation_samples": 24, "augment": UNCHANGED, **changes},
        TrainConfig,
    )  # fmt: skip


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fourth face has shut eyes, and face 1 winks."""
    folder = tmp_path_factory.mktemp("crops")
    write_crops(folder, 24)
    (file,) = (folder / "train").iterdir()
    arrays = safetensors.numpy.load_file(file)
    blinks = np.zeros((24, 2), np.float32)
    blinks[::4] = 1
    blinks[1, 0] = 1
    arrays["arkit"][:, list(BLINKS)] = blinks
    safetensors.numpy.save_file(arrays, file)
    return folder


def test_a_small_network_learns_the_eyes_of_drawn_faces_by_heart(crops: Path, tmp_path: Path) -> None:
    told = run(config(), crops, tmp_path).metrics
    assert told["recall"] == 1
    assert told["false"] < 0.1  # one that always said "shut" would have 1, one that never did no recall
    assert told["score"] > 0.9


def test_shut_eyes_come_as_often_as_said_however_rare_they_are(crops: Path) -> None:
    task, corpus = LidsTask(config()), Crops(crops, "train")
    task.look_at(corpus)
    assert [list(kind) for kind in task.kinds[1:]] == [[1], [0, 4, 8, 12, 16, 20]]
    task.kinds[2] = task.kinds[2][:1]
    rng = np.random.default_rng(0)
    drawn = [(task.item(corpus, 2, rng)["blink"] > BLINK).any() for _ in range(400)]
    assert abs(np.mean(drawn) - SHARES["shut"] - SHARES["wink"]) < 0.08


def test_without_shut_eyes_others_are_taken(crops: Path) -> None:
    task, corpus = LidsTask(config()), Crops(crops, "train")
    task.look_at(corpus)
    task.kinds[1:] = [task.kinds[1][:0]] * 2
    drawn = [task.item(corpus, 3, np.random.default_rng(seed))["blink"] for seed in range(30)]
    assert max(blink.max() for blink in drawn) == 0


def test_a_mirrored_face_has_its_eyes_and_their_truth_the_other_way_round(crops: Path) -> None:
    corpus, rng = Crops(crops, "train"), np.random.default_rng(0)
    plain = lids_item(corpus, 2, rng, Augment.none())
    mirrored = lids_item(corpus, 2, rng, msgspec.structs.replace(Augment.none(), flip=1.0))
    np.testing.assert_array_equal(mirrored["eyes"], plain["eyes"][::-1])
    np.testing.assert_array_equal(mirrored["blink"], plain["blink"][::-1])
    right, left = (ARKIT_INDEX[f"eyeBlink{side}"] for side in ("Right", "Left"))
    np.testing.assert_array_equal(plain["blink"], corpus[2]["arkit"][[right, left]])


def test_a_kind_of_expression_can_be_asked_for() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_expression(rng, "blink") for _ in range(40)]
    assert {e.name for e in drawn} == {"blink"}
    assert min(e.arkit[list(BLINKS)].max() for e in drawn) > 0.6


def test_an_expression_that_nobody_knows_is_answered_with_those_that_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "data", "--data", str(tmp_path / "crops"), "--expression"]
    assert main([*command, "blonk"]) == 2
    told = capsys.readouterr().err
    assert "'blonk'" in told
    assert "blink" in told
    assert not (tmp_path / "crops").exists()
    assert main([*command, "blink", "--source", "test_train:no_face"]) == 2
    assert "--expression cannot change" in capsys.readouterr().err
