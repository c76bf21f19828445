"""Training: configurations, data, resuming, mirrored truth, and that small networks learn at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy
import torch
from toy_crops import run, weights, write_crops

from gshead_backend.cli import main
from gshead_backend.errors import ArgumentError, FileFormatError
from gshead_backend.head.arkit import ARKIT_INDEX
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.portrait.nets import attention_mesh
from gshead_backend.training import crops as crops_module
from gshead_backend.training.augment import photographed
from gshead_backend.training.config import PRESETS, Augment, TrainConfig, load_config
from gshead_backend.training.crops import CHUNK, UNKNOWN, crop_sample, prepare
from gshead_backend.training.data import Crops, Stream, batches
from gshead_backend.training.parser_task import ParserTask, iou_by_class, parser_item
from gshead_backend.training.regressor_task import regressor_item, report
from gshead_backend.training.tasks import make_task

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = {
    "parser": {"w0": 8, "w1": 8, "w2": 8, "w3": 8, "w4": 8},
    "regressor": {"face": 8, "eye": 8, "hidden": 64, "region": 8},
    "lids": {"width": 8, "features": 16, "hidden": 16},
}


def tiny(network: str, **changes: Any) -> TrainConfig:
    values = {
        "network": network, "shape": TINY[network], "batch": 4, "steps": 6, "warmup": 4, "validate_every": 1000,
        "validation_samples": 8, "augment": msgspec.to_builtins(Augment.none()), **changes,
    }  # fmt: skip
    return msgspec.convert(values, TrainConfig)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    write_crops(folder, 8)
    return folder


def test_a_small_parser_learns_eight_faces(crops: Path, tmp_path: Path) -> None:
    config = tiny("parser", steps=50, lr=1e-2, ema=0.85, warmup=3, cells=0.15)
    outcome = run(config, crops, tmp_path)
    assert outcome.finished
    assert outcome.metrics["iou"]["skin"] > 0.75
    assert outcome.metrics["iou"]["hair"] > 0.7
    assert outcome.metrics["matte_mae"] < 0.15


def test_a_small_regressor_learns_eight_faces(crops: Path, tmp_path: Path) -> None:
    outcome = run(tiny("regressor", steps=90, lr=5e-3, ema=0.9, batch=8), crops, tmp_path)
    told = outcome.metrics
    assert told["arkit_active_mae"] < 0.4 * told["zero_active_mae"]
    assert told["arkit_active_corr"] > 0.8
    assert told["gaze_deg"] < 0.5 * told["zero_gaze_deg"]


@pytest.mark.parametrize("network", ["parser", "regressor", "lids"])
def test_pieces_give_what_one_run_gives(crops: Path, tmp_path: Path, network: str) -> None:
    config = tiny(network, augment={}, cells=0.5)
    run(config, crops, tmp_path / "whole")
    first = run(config, crops, tmp_path / "pieces", piece_steps=2)
    assert not first.finished
    assert first.step == 2
    assert run(config, crops, tmp_path / "pieces").finished
    whole, pieces = weights(tmp_path / "whole", network), weights(tmp_path / "pieces", network)
    for name, array in whole.items():
        np.testing.assert_allclose(pieces[name], array, atol=1e-4, err_msg=name)


def test_weights_without_state_are_a_warm_start(crops: Path, tmp_path: Path) -> None:
    config = tiny("regressor", steps=3)
    run(config, crops, tmp_path / "a")
    again = run(tiny("regressor", steps=1, lr=1e-6), crops, tmp_path / "b",
                resume=str(tmp_path / "a" / "regressor.safetensors"))  # fmt: skip
    assert again.step == 1
    name = "points.0.weight"
    np.testing.assert_allclose(weights(tmp_path / "b", "regressor")[name], weights(tmp_path / "a", "regressor")[name],
                               atol=1e-3)  # fmt: skip


def test_pieces_of_a_warm_start_go_on(crops: Path, tmp_path: Path) -> None:
    """The same command goes on, also one that names weights; other weights start anew."""
    config = tiny("regressor", steps=3)
    for name, seed in (("a", 0), ("b", 1)):
        run(tiny("regressor", steps=1, seed=seed), crops, tmp_path / name)
    first, second = (str(tmp_path / name / "regressor.safetensors") for name in "ab")
    steps = [run(config, crops, tmp_path / "out", resume=first, piece_steps=1).step for _ in range(3)]
    assert steps == [1, 2, 3]
    assert run(config, crops, tmp_path / "out", resume=second, piece_steps=1).step == 1


def test_another_configuration_does_not_go_on_in_the_same_folder(crops: Path, tmp_path: Path) -> None:
    run(tiny("regressor", steps=1), crops, tmp_path)
    with pytest.raises(ArgumentError, match="another configuration"):
        run(tiny("regressor", steps=2, seed=5), crops, tmp_path)
    (tmp_path / "state.pt").write_bytes(b"not a state")
    with pytest.raises(FileFormatError):
        run(tiny("regressor", steps=2), crops, tmp_path)


def test_time_can_drive_the_schedule(crops: Path, tmp_path: Path) -> None:
    outcome = run(tiny("regressor", steps=100_000, minutes=0.01), crops, tmp_path)
    assert outcome.finished
    assert 0 < outcome.step < 1000


def test_a_part_is_trained_alone_on_samples_that_are_kept(crops: Path, tmp_path: Path) -> None:
    run(tiny("regressor", steps=2), crops, tmp_path / "whole")
    whole = tmp_path / "whole" / "regressor.safetensors"
    config = tiny("regressor", steps=8, only="closer", copies=2, restyle=0.7, augment={})
    run(config, crops, tmp_path / "part", resume=str(whole))
    before, after = weights(tmp_path / "whole", "regressor"), weights(tmp_path / "part", "regressor")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("closer.") for name in changed)
    with pytest.raises(ArgumentError, match="nothing that the rest would come from"):
        run(config, crops, tmp_path / "new")
    with pytest.raises(ArgumentError, match="no part 'mouth'"):
        run(tiny("regressor", only="mouth"), crops, tmp_path / "none")


def test_of_every_sample_so_many_copies_are_kept(crops: Path) -> None:
    loaded, task = Crops(crops, "train"), make_task(tiny("regressor", copies=2, augment={}))
    seen = [task.item(loaded, 3, np.random.default_rng(k)) for k in range(12)]
    assert len({item["points"].tobytes() for item in seen}) == 2
    again = make_task(tiny("regressor", copies=2, augment={})).item(loaded, 3, np.random.default_rng(0))
    assert all(np.array_equal(again[key], seen[0][key]) for key in again)
    fresh = regressor_item(
        loaded, 3, np.random.default_rng((0, 3, 3, int(np.random.default_rng(0).integers(2)))), Augment()
    )
    np.testing.assert_allclose(again["face"], fresh["face"], rtol=1e-3, atol=1e-3)


def test_items_depend_on_the_seed_alone(crops: Path) -> None:
    loaded, task = Crops(crops, "train"), ParserTask(tiny("parser", augment={}))
    first = list(batches(Stream(loaded, task.item, 3), 2, 0, 6, 0, pin=False))
    later = next(iter(batches(Stream(loaded, task.item, 3), 2, 4, 5, 0, pin=False)))
    assert torch.equal(first[4]["crop"], later["crop"])
    other = next(iter(batches(Stream(loaded, task.item, 4), 2, 4, 5, 0, pin=False)))
    assert not torch.equal(first[4]["crop"], other["crop"])


class _Always(np.random.Generator):
    """A generator whose shares always come up, for one augmentation at a time."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))


def _only(**shares: float) -> Augment:
    return msgspec.structs.replace(Augment.none(), **shares)


def test_mirrored_parser_items_mirror_labels_and_maps(crops: Path) -> None:
    loaded = Crops(crops, "train")
    plain = parser_item(loaded, 0, _Always(), _only())
    mirrored = parser_item(loaded, 0, _Always(), _only(flip=1.0))
    np.testing.assert_array_equal(mirrored["labels"], plain["labels"][:, ::-1])
    np.testing.assert_allclose(mirrored["crop"][:4], plain["crop"][:4, :, ::-1])
    oval, flipped = plain["crop"][4], mirrored["crop"][4, :, ::-1]
    assert np.abs(oval - flipped).mean() < 0.01
    np.testing.assert_allclose(mirrored["crop"][7], -plain["crop"][7, :, ::-1], atol=0.02)


def test_mirrored_regressor_items_swap_sides(crops: Path) -> None:
    loaded = Crops(crops, "train")
    plain = regressor_item(loaded, 1, _Always(), _only())
    mirrored = regressor_item(loaded, 1, _Always(), _only(flip=1.0))
    left, right = ARKIT_INDEX["mouthSmileLeft"], ARKIT_INDEX["mouthSmileRight"]
    assert mirrored["arkit"][left] == plain["arkit"][right]
    assert mirrored["arkit"][ARKIT_INDEX["jawOpen"]] == plain["arkit"][ARKIT_INDEX["jawOpen"]]
    np.testing.assert_allclose(mirrored["gaze"][0], plain["gaze"][1] * [-1, 1])
    np.testing.assert_allclose(mirrored["head"][:2], plain["head"][:2] * [-1, 1])
    np.testing.assert_allclose(mirrored["light"][1], plain["light"][1])  # y
    np.testing.assert_allclose(mirrored["light"][3], -plain["light"][3])  # x
    np.testing.assert_allclose(mirrored["eyes"][0], plain["eyes"][1], atol=0.8)  # the left eye is shown mirrored


def test_a_cast_shadow_takes_one_share_of_the_light_on_one_side() -> None:
    grey = np.full((96, 96, 3), 200, np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(8):
        seen = photographed(grey, rng, _only(shade=1.0))[..., 1]
        full, left = (seen == 200).mean(), seen.min()
        assert 0.1 < full < 0.95
        assert 200 * 0.03 ** (1 / 2.2) < left < 200 * 0.75 ** (1 / 2.2)
        assert ((seen < left + 4) | (seen > 196)).mean() > 0.2
    np.testing.assert_array_equal(photographed(grey, rng, _only()), grey)


def test_a_pasted_background_changes_neither_person_nor_labels(crops: Path) -> None:
    loaded = Crops(crops, "train")
    plain, pasted = (parser_item(loaded, 2, _Always(), _only(paste=share)) for share in (0.0, 1.0))
    np.testing.assert_array_equal(plain["labels"], pasted["labels"])
    person = plain["labels"] > 0
    change = np.abs(plain["crop"][:3] - pasted["crop"][:3]).max(0)
    assert change[person].max() < 0.05
    assert (change[~person] > 0.1).mean() > 0.3


def test_intersection_over_union_counts_classes_that_occur() -> None:
    confusion = np.zeros((12, 12), int)
    confusion[0, 0], confusion[1, 1], confusion[1, 0] = 60, 30, 10
    told = iou_by_class(confusion)
    assert told == {"background": pytest.approx(60 / 70), "skin": pytest.approx(0.75)}


def test_the_report_shows_the_zero_predictor() -> None:
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((50, 52)) < 0.2, rng.random((50, 52)), 0)
    same = {"gaze": rng.normal(0, 0.2, (50, 2, 2)), "head": rng.normal(0, 0.2, (50, 3)), "light": np.ones((50, 9, 3))}
    told = report({"arkit": truth, **same, "true_arkit": truth, **{f"true_{k}": v for k, v in same.items()}})
    assert told["arkit_active_mae"] == 0
    assert told["arkit_active_corr"] == pytest.approx(1)
    assert told["blink_recall"] == 1
    assert told["zero_active_mae"] == pytest.approx(truth[truth > 0.1].mean(), abs=1e-3)
    assert told["gaze_deg"] < 0.01 < told["zero_gaze_deg"]


@pytest.mark.parametrize("preset", [n for n in PRESETS if not n.startswith("gagavatar")])  # its weights are parts
def test_presets_are_valid_and_fit_the_size_limit(preset: str) -> None:
    config = load_config(preset)
    count = sum(p.numel() for p in make_task(config).make_net().parameters())
    assert count * 2 < {"rar": 8e6, "regressor": 4.2e6}.get(config.network, 4e6)


@pytest.mark.parametrize("where", ["cpu", "gpu"])
def test_the_portrait_networks_are_small_together(where: str) -> None:
    nets = [make_task(load_config(f"{name}-{where}")).make_net() for name in ("parser", "regressor", "lids")]
    ours = sum(p.numel() * 2 for net in nets for p in net.parameters())
    assert ours + attention_mesh.FILE.stat().st_size < 8e6


def test_configurations_come_from_files_and_unknown_keys_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "parser-cpu"\nseed = 3\naugment = { paste = 0.5 }\n')
    config = load_config(str(file), "parser")
    assert (config.seed, config.augment.paste, config.shape) == (3, 0.5, PRESETS["parser-cpu"]["shape"])
    file.write_text('base = "parser-cpu"\nsede = 3\n')
    with pytest.raises(ArgumentError, match="sede"):
        load_config(str(file))
    file.write_text('base = "parser-cpu"\naugment = { paste = 2.0 }\n')
    with pytest.raises(ArgumentError, match="paste"):
        load_config(str(file))
    with pytest.raises(ArgumentError, match="not the regressor"):
        load_config("parser-cpu", "regressor")
    with pytest.raises(ArgumentError) as caught:
        load_config("parser-gpus")
    assert "parser-gpu'" in caught.value.remedy


def test_damaged_or_missing_crops_are_told(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no training crops"):
        Crops(tmp_path, "train")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "000000001.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(FileFormatError):
        Crops(tmp_path, "train")


def no_face(seed: int) -> Any:
    """A source of samples without a face."""

    class Blank:
        image = np.full((96, 96, 3), 128, np.uint8)
        landmarks = np.zeros((478, 2), np.float32)

    return Blank()


def test_preparation_counts_missed_faces_and_goes_on_where_it_was(tmp_path: Path) -> None:
    first = prepare(tmp_path, "train", 1, source="test_train:no_face")
    assert first == {"kept": 0, "missed": CHUNK, "found": 0, "left": 0}
    again = prepare(tmp_path, "train", 1, source="test_train:no_face")
    assert again == {"kept": 0, "missed": 0, "found": 1, "left": 0}
    assert prepare(tmp_path, "train", 3 * CHUNK, source="test_train:no_face", minutes=0)["left"] == 2
    assert crop_sample(no_face(0)) is None


def test_fewer_photographs_of_a_person_show_more_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    monkeypatch.setattr(
        crops_module, "make_chunk", lambda source, seeds, path, how: asked.append(list(seeds)) or (16, 0)
    )
    prepare(tmp_path, "train", 17, shots=2, skip=10)
    first = 8 * 2010
    assert asked == [
        [first + 8 * p + s for p in range(8) for s in range(2)],
        [first + 8 * p + s for p in range(8, 16) for s in range(2)],
    ]


def test_the_parser_refuses_crops_of_faces_alone(crops: Path, tmp_path: Path) -> None:
    whole = safetensors.numpy.load_file(next((crops / "train").iterdir()))
    face = {k: v for k, v in whole.items() if k not in ("image", "labels", "matte", "person", "marks")}
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        safetensors.numpy.save_file(face, tmp_path / split / "000016000.safetensors")
    assert run(tiny("regressor", steps=1), tmp_path, tmp_path / "regressor").finished
    with pytest.raises(ArgumentError, match="holds no 'labels'"):
        run(tiny("parser", steps=1), tmp_path, tmp_path / "parser")


def test_a_source_of_ones_own_is_not_told_how_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "data", "--data", str(tmp_path), "--source", "test_train:no_face", "--head", "ict", "--faces"]
    assert main(command) == 2
    assert "--head, --faces cannot change them" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_unknown_pixels_teach_nothing(crops: Path) -> None:
    task = ParserTask(tiny("parser"))
    net = task.make_net()
    item = parser_item(Crops(crops, "train"), 0, _Always(), _only())
    batch = {k: torch.from_numpy(v.copy())[None] for k, v in item.items()}
    batch["labels"][:, :128] = UNKNOWN
    loss, _ = task.loss(net, batch)
    batch["matte"][:, :128] = 77
    assert task.loss(net, batch)[0].item() == loss.item()
    batch["labels"][:, :128] = LABEL_INDEX["hat"]
    assert task.loss(net, batch)[0].item() != loss.item()


def test_the_command_trains_writes_a_card_and_goes_on(
    crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "tiny.json"
    config.write_text(json.dumps({**msgspec.to_builtins(tiny("regressor", steps=40)), "validate_every": 20}))
    command = ["train", "regressor", "--config", str(config), "--data", str(crops), "--out", str(tmp_path / "out")]
    assert main([*command, "--piece-minutes", "1e-6", "--device", "cpu", "--json"]) == 75
    assert not json.loads(capsys.readouterr().out)["finished"]
    assert main([*command, "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["finished"]
    assert told["step"] == 40
    card = (tmp_path / "out" / "regressor.md").read_text()
    for expected in ("Apache-2.0", "40 of 4 samples", "zero_active_mae", "gshead train regressor", "Limits"):
        assert expected in card
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert any("validation" in line for line in log)
