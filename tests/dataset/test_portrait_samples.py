"""``gshead dataset samples``: what rar and sega read of footage is where it should be, and says what nobody knows."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch
from footage_of_people import Shown

from gshead_backend import process_pool
from gshead_backend.cli import main
from gshead_backend.dataset import sample_files
from gshead_backend.dataset.prepare import Outcome
from gshead_backend.dataset.sample_files import make_samples
from gshead_backend.dataset.samples import sources_of, targets_of
from gshead_backend.errors import ArgumentError, BackendDiedError
from gshead_backend.evaluation.align import head_marks
from gshead_backend.head import HeadModel, PersonalHead
from gshead_backend.training.config import Augment, TrainConfig
from gshead_backend.training.crops import STORED, UNKNOWN
from gshead_backend.training.data import Crops, Stream, batches
from gshead_backend.training.footage import Footage
from gshead_backend.training.head_views import draw, nothing, people_of, scores
from gshead_backend.training.heads import VIEW, VIEWS
from gshead_backend.training.loop import train
from gshead_backend.training.prepared import material_of
from gshead_backend.training.rar_task import RarTask
from gshead_backend.training.sega.identity_task import identity_item

pytestmark = pytest.mark.usefixtures("one_thread")
Prepared = tuple[Path, Outcome]


@pytest.fixture(scope="module")
def sampled(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(prepared[0], tmp_path_factory.mktemp("sampled") / "set")
    told = make_samples(folder, portraits=1)
    assert {k: told[k] for k in ("people", "made", "samples", "crops", "missed")} == {
        "people": 1, "made": 1, "samples": 1, "crops": 8, "missed": 0,
    }  # fmt: skip
    return folder


def rar(**changes: Any) -> TrainConfig:
    values = {
        "network": "rar", "shape": {"width": 8, "dim": 16, "depth": 1, "heads": 2, "codes": 6}, "batch": 1, "steps": 2,
        "warmup": 1, "validate_every": 1000, "validation_samples": 2, "heads": {"views": 1, "pixels": 64}, **changes,
    }  # fmt: skip
    return msgspec.convert(values, TrainConfig)


def still(folder: Path) -> dict[str, torch.Tensor]:
    return next(iter(batches(Stream(Crops(folder, "train"), RarTask(rar()).still, 0), 1, 0, 1, 0, pin=False)))


def test_other_frames_are_seen_from_where_their_cameras_stand(sampled: Path, head: HeadModel) -> None:
    """The head that was fitted to the photograph, with their poses and cameras, lies on the faces of the other frames;
    and what ``uvfit`` makes of the photograph looks like them."""
    batch = still(sampled / "heads")
    person, footage = people_of(batch, head)[0], Footage(sampled)
    (source,) = sources_of(footage, footage.people[0], 1)
    assert len(person.targets) == VIEWS
    frames = targets_of(footage, source, np.random.default_rng(int(batch["seed"][0])))
    for target, index in zip(person.targets[1:], frames, strict=True):
        frame = footage[index]
        mine, theirs = (
            camera.project(head_marks(head, PersonalHead.create(head, *shape).vertices(pose))[0])[:, :2]
            for camera, shape, pose in (
                (target.camera, (batch["betas"][0].numpy(), batch["vertex_offsets"][0].numpy()), target.pose),
                (frame.camera.resized(VIEW, VIEW), (frame.betas, frame.vertex_offsets), frame.pose),
            )
        )
        face = np.linalg.norm(theirs[10] - theirs[152])
        assert np.linalg.norm(mine - theirs, axis=1).mean() < 0.025 * face
    found = [scores(draw(person, target, nothing(person)), target) for target in person.targets]
    assert min(iou for _, iou in found) > 0.72
    assert min(psnr for psnr, _ in found) > 16
    angles = [np.degrees(np.arctan2(*t.camera.position[[0, 2]])) for t in person.targets]
    assert max(angles) - min(angles) > 25


def test_what_footage_does_not_tell_counts_nothing(sampled: Path, head: HeadModel) -> None:
    batch = still(sampled / "heads")
    assert float(batch["lit"]) == 0
    assert batch["light"].abs().max() == 0
    assert set(batch["group"].unique().tolist()) == {0, 4}
    target = people_of(batch, head)[0].targets[1]
    beyond = target.labels == UNKNOWN
    assert beyond.any()  # the crop is wider than the clip
    assert target.weight[beyond].max() == 0
    assert target.weight[target.matte > 0.9].min() > 0
    task = RarTask(rar(augment=msgspec.to_builtins(Augment.none())))
    stream = Stream(Crops(sampled / "heads", "train"), task.item, 0)
    item = next(iter(batches(stream, 1, 0, 1, 0, pin=False)))
    _, parts = task.loss(task.make_net(), item)
    assert parts["light"] == 0
    _, parts = task.loss(task.make_net(), {**item, "lit": torch.ones(1)})
    assert parts["light"] > 0


def test_identity_crops_show_the_person(sampled: Path, shown: list[Shown]) -> None:
    crops = Crops(sampled / "crops", "train")
    assert crops[0]["image"].shape == (STORED, STORED, 3)
    item = identity_item(crops[0], np.random.default_rng(0), Augment.none())
    assert item["image"].shape[0] == 3
    assert 0.25 < (item["weight"] > 0.5).mean() < 0.95
    assert (item["weight"] > 1).any()  # eyes, brows and mouth were told apart


def test_samples_are_kept_and_go_with_their_footage(sampled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sampled, tmp_path / "set")
    assert make_samples(folder, portraits=1)["found"] == 1
    (folder / "heads" / "train" / "somebody.safetensors").write_bytes(b"")
    assert make_samples(folder, portraits=1)["removed"] == 1
    (shard,) = (folder / "footage").iterdir()
    shard.unlink()
    with pytest.raises(ArgumentError, match="no prepared footage"):
        make_samples(folder, portraits=1)
    assert not list(folder.rglob("*.safetensors"))


def test_synthetic_footage_keeps_its_samples(
    sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """``gshead train clips`` names its shards by numbers; who a sample belongs to is told by what is in them."""
    folder = shutil.copytree(sampled, tmp_path / "set")
    (shard,) = (folder / "footage").iterdir()
    shard.rename(shard.with_name("train-000016000.safetensors"))
    monkeypatch.setattr(sample_files, "person_samples", lambda job, portraits: (1, 8, 0))  # takes half a minute
    assert make_samples(folder, portraits=1)["removed"] == 0
    assert len(list((folder / "heads" / "train").iterdir())) == 1


def test_a_process_that_ends_is_said(sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(sampled, tmp_path / "set")
    shutil.rmtree(folder / "heads")
    (shard,) = (folder / "footage").iterdir()
    with safetensors.safe_open(shard, "np") as file:
        said = {**json.loads(file.metadata()["gshead"]), "person": "somebody else"}
    arrays = safetensors.numpy.load_file(shard)
    safetensors.numpy.save_file(arrays, shard.with_name("other.safetensors"), {"gshead": json.dumps(said)})
    monkeypatch.setattr(process_pool, "_begin", os.abort)  # as if there was no memory
    with pytest.raises(BackendDiedError, match="Run again"):
        make_samples(folder, portraits=1, workers=2)


def test_nobody_is_trained_on_and_measured_on(sampled: Path, tmp_path: Path) -> None:
    """Prepared again with another ``--validation``, a person changes sides; no sample stays behind."""
    folder = shutil.copytree(sampled, tmp_path / "set")
    for kind in ("heads", "crops"):
        (folder / kind / "validation").mkdir()
        for path in (folder / kind / "train").iterdir():
            shutil.copy(path, folder / kind / "validation")  # as they lay there before
    assert make_samples(folder, portraits=1)["removed"] == 2
    assert {p.parent.name for kind in ("heads", "crops") for p in (folder / kind).glob("*/*")} == {"train"}


def test_a_training_finds_its_part_of_the_folder(prepared: Prepared, sampled: Path) -> None:
    assert material_of(sampled, "rar") == sampled / "heads"
    assert material_of(sampled, "sega_decoders") == sampled / "heads"
    assert material_of(sampled, "sega_identity") == sampled / "crops"
    with pytest.raises(ArgumentError, match="no samples"):
        material_of(prepared[0], "rar")
    with pytest.raises(ArgumentError, match="truth"):
        material_of(sampled, "parser")


def test_footage_is_mixed_in_by_its_share(sampled: Path) -> None:
    heads, crops = Crops(sampled / "heads", "train"), Crops(sampled / "crops", "train")
    assert len(crops.mixed(heads, 0.5)) == 2 * len(crops)
    assert len(crops.mixed(heads, 0.2)) == len(crops) + 2
    assert len(crops.mixed(heads, 0.0)) == len(crops)
    assert len(crops.mixed(heads, 1.0)) == len(heads)
    assert crops.mixed(heads, 0.5).column("seed").min() >= 2**48


def test_the_command_trains_and_its_card_says_on_what(sampled: Path, tmp_path: Path) -> None:
    config = tmp_path / "tiny.json"
    config.write_bytes(msgspec.json.encode(rar()))
    out = tmp_path / "out"
    command = ["train", "rar", "--config", str(config), "--data", str(sampled), "--out", str(out)]
    assert main([*command, "--footage", str(sampled), "--threads", "1"]) == 0
    card = (out / "rar.md").read_text()
    assert "1 samples of the trainer's own footage" in card
    assert "synthetic people only" not in card
    assert "seeds 0" not in card
    assert main([*command, "--footage", str(tmp_path), "--resume", "never"]) == 2


def test_a_mixed_training_counts_both(sampled: Path, tmp_path: Path) -> None:
    """A synthetic chunk beside the footage, made of the same sample under a synthetic seed."""
    import safetensors.numpy

    (path,) = (sampled / "heads" / "train").iterdir()
    arrays = safetensors.numpy.load_file(path)
    arrays["seed"] = np.array([16_000], np.int64)
    arrays = {k: v for k, v in arrays.items() if k not in ("lit", "group")}
    (tmp_path / "synthetic" / "train").mkdir(parents=True)
    safetensors.numpy.save_file(arrays, tmp_path / "synthetic" / "train" / "0.safetensors")
    config = rar(footage=0.5, batch=2)
    outcome = train(
        RarTask(config), config, tmp_path / "synthetic", tmp_path / "out", footage=sampled / "heads", piece_steps=1
    )
    assert (outcome.seeds, outcome.footage) == ((1, 16_000, 16_000), 1)
    assert "light_relative" in outcome.metrics  # of --data alone, whose light is known
    assert arrays["color"].shape[1:] == (VIEWS, VIEW, VIEW, 3)
