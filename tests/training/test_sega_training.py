"""Training method sega: every stage learns a little, goes on where it was, and says what it lacks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from toy_crops import run, weights, write_crops

from gshead_backend.errors import ArgumentError, MissingWeightsError
from gshead_backend.methods.sega.identity import load_identity
from gshead_backend.portrait.assets import missing_assets
from gshead_backend.portrait.nets.weights import weights_folder
from gshead_backend.training.config import PRESETS, Augment, TrainConfig, load_config
from gshead_backend.training.data import Crops
from gshead_backend.training.heads import make_head_chunk
from gshead_backend.training.sega import ablations as ablations_module
from gshead_backend.training.sega.decoders_task import DecodersTask
from gshead_backend.training.sega.identity_task import CLOSE, identity_item
from gshead_backend.training.sega.motion_task import Movements
from gshead_backend.training.synthetic.sample import Drawing
from gshead_backend.training.tasks import make_task

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPES = {
    "sega_identity": {"w0": 8, "w1": 16, "w2": 16, "dim": 8, "codes": 16},
    "sega_motion": {"size": 64, "w0": 8, "w1": 8, "w2": 16, "latent": 8},
}


def tiny(network: str, **changes: Any) -> TrainConfig:
    values = {
        "network": network, "shape": SHAPES[network], "batch": 2, "steps": 6, "warmup": 2, "validate_every": 1000,
        "validation_samples": 4, "augment": msgspec.to_builtins(Augment.none()), "decay": 0.0, **changes,
    }  # fmt: skip
    return msgspec.convert(values, TrainConfig)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    write_crops(folder, 4)
    return folder


@pytest.mark.parametrize("network", SHAPES)
def test_pieces_give_what_one_run_gives(crops: Path, tmp_path: Path, network: str) -> None:
    config = tiny(network)
    run(config, crops, tmp_path / "whole")
    assert not run(config, crops, tmp_path / "pieces", piece_steps=2).finished
    assert run(config, crops, tmp_path / "pieces").finished
    whole, pieces = weights(tmp_path / "whole", network), weights(tmp_path / "pieces", network)
    for name, array in whole.items():
        np.testing.assert_allclose(pieces[name], array, atol=2e-3, rtol=2e-3, err_msg=name)


def test_a_small_identity_network_learns_four_heads(crops: Path, tmp_path: Path) -> None:
    config = tiny("sega_identity", steps=60, lr=6e-3, ema=0.85, batch=4)
    first = run(config, crops, tmp_path, piece_steps=4).metrics
    outcome = run(config, crops, tmp_path)
    assert outcome.metrics["psnr"] > first["psnr"] + 2.5
    net = load_identity(tmp_path / "sega_identity.safetensors")
    assert net.codebook.codes.abs().max() > 0


def test_a_small_motion_network_learns_to_move(tmp_path: Path) -> None:
    config = tiny("sega_motion", steps=120, lr=3e-3, ema=0.85, batch=8, validation_samples=16)
    told = run(config, tmp_path, tmp_path).metrics
    assert told["score"] > 0.1
    assert told["mean_mm"] < told["moved_mm"]


def test_identity_items_are_the_person_on_grey(crops: Path) -> None:
    sample = Crops(crops, "train")[0]
    item = identity_item(sample, np.random.default_rng(0), Augment.none())
    assert item["image"].shape == (3, 256, 256)
    matte = sample["matte"][16:-16, 16:-16]
    assert np.abs(item["image"][:, matte == 0]).max() < 1e-6
    inside = matte == 255
    np.testing.assert_allclose(
        item["image"][:, inside].T, sample["image"][16:-16, 16:-16][inside] / 127.5 - 1, atol=1e-5
    )
    assert item["weight"].max() == CLOSE
    flipped = identity_item(sample, np.random.default_rng(0), msgspec.structs.replace(Augment.none(), flip=1.0))
    np.testing.assert_allclose(flipped["image"], item["image"][:, :, ::-1])


def test_movements_depend_on_their_number_alone() -> None:
    a, b = Movements("train").draw(700), Movements("train", 1000).draw(700)
    np.testing.assert_array_equal(a[1].to_vector(), b[1].to_vector())
    np.testing.assert_array_equal(a[0].betas, b[0].betas)
    other = Movements("validation").draw(700)
    assert np.abs(other[0].betas - a[0].betas).max() > 0.1


def test_every_preset_of_sega_is_small_and_ablations_are_checked(tmp_path: Path) -> None:
    total = 0
    for name in [n for n in PRESETS if n.startswith("sega-") and n.endswith("-cpu")]:
        total += sum(p.numel() for p in make_task(load_config(name)).make_net().parameters())
    assert 2 * total < 10e6
    file = tmp_path / "mine.toml"
    file.write_text('base = "sega-decoders-cpu"\nablate = "static"\nperceptual = 0\n')
    assert isinstance(make_task(load_config(str(file))), DecodersTask)
    file.write_text('base = "sega-decoders-cpu"\nablate = "both"\n')
    with pytest.raises(ArgumentError, match="ablate"):
        load_config(str(file))


def test_ablations_leave_out_what_they_say() -> None:
    config = load_config("sega-decoders-cpu")
    tasks = {k: DecodersTask(msgspec.structs.replace(config, **v)) for k, v in ablations_module.VARIANTS.items()}
    assert tasks["all static"].flags == ("all_static",)
    assert tasks["all dynamic"].crop.shape == (tasks["sega"].lattice.size,) * 2
    assert tasks["sega"].crop.shape != tasks["all dynamic"].crop.shape
    assert tasks["no perceptual term"].config.perceptual == 0 < tasks["sega"].config.perceptual
    assert len({t.config.sha256() for t in tasks.values()}) == len(tasks)
    row = {k: (20.0 + i, 0.9) for i, k in enumerate(("source", "far side", "side", "expression"))}
    text = ablations_module.table({"sega": row})
    assert text.splitlines()[-1] == "| sega | 20.00 / 0.900 | 21.00 / 0.900 | 22.00 / 0.900 | 23.00 / 0.900 |"


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_assets()), reason="the portrait networks are not installed (gshead assets fetch)")
def test_all_stages_learn_four_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From pictures to decoders that improve on the splats that they correct."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("parser", "regressor"):
        os.link(weights_folder() / f"{name}.safetensors", folder / f"{name}.safetensors")
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(folder))
    data = tmp_path / "heads"
    (data / "train").mkdir(parents=True)
    seeds = [8 * 2000 + 8 * k for k in range(4)]
    kept, _ = make_head_chunk("", seeds, str(data / "train" / "000016000.safetensors"), Drawing())
    assert kept >= 3
    values = {"network": "sega_decoders", "shape": {"inputs": 21, "facts": 33, "dim": 8, "latent": 8, "code": 16}}
    config = msgspec.convert(
        {**values, "batch": 1, "steps": 60, "lr": 2e-3, "warmup": 5, "ema": 0.9, "validation_samples": 4, "decay": 0.0,
         "perceptual": 0.05, "identity": 0.1, "validate_every": 1000}, TrainConfig,
    )  # fmt: skip
    with pytest.raises(MissingWeightsError, match="sega_motion"):
        run(config, data, tmp_path / "out")
    write_crops(tmp_path / "crops", 4)
    motion = tiny("sega_motion", shape={**SHAPES["sega_motion"], "size": 128})
    for stage in (tiny("sega_identity"), motion):
        run(stage, tmp_path / "crops", tmp_path / stage.network)
        shutil.copy(tmp_path / stage.network / f"{stage.network}.safetensors", folder)
    outcome = run(config, data, tmp_path / "out")
    psnr, iou = outcome.metrics["psnr"], outcome.metrics["iou"]
    assert outcome.metrics["score"] > 0.2
    assert psnr["sega far side"] > psnr["untrained far side"]
    assert iou.keys() == psnr.keys()
    monkeypatch.setattr(ablations_module, "VARIANTS", {"sega": {}})
    short = msgspec.structs.replace(config, steps=1, validation_samples=2)
    rows = ablations_module.ablations(short, data, tmp_path / "ablations")
    assert rows.keys() == {"untrained", "no tuning", "sega"}
    assert rows["sega"]["source"][0] > rows["no tuning"]["source"][0]
