"""Training gagavatar: losses against plain arithmetic, every part learns, pieces add up, four people are learned."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import numba
import numpy as np
import pytest
import safetensors.torch
import torch
from tiny_footage import SHAPE, install_head, tiny_config, write_people
from torch.utils.data import default_collate

from gshead_backend.cli import main
from gshead_backend.errors import ArgumentError, FileFormatError
from gshead_backend.head import HeadModel
from gshead_backend.methods.gagavatar.lifting import opencv_camera
from gshead_backend.methods.gagavatar.network import Network
from gshead_backend.methods.gagavatar.parts import INDEX, PART_BYTES, read_parts
from gshead_backend.methods.gagavatar.person import UNITS, point_count
from gshead_backend.training.config import PRESETS, ReenactTraining, TrainConfig, load_config
from gshead_backend.training.gagavatar import ablations as ablations_module
from gshead_backend.training.gagavatar.forward import paint
from gshead_backend.training.gagavatar.losses import boxed, lifting_loss, nearest_lifted, picture_l1
from gshead_backend.training.gagavatar.pairs import Pairs, face_box
from gshead_backend.training.gagavatar.start import config_from, fresh_network
from gshead_backend.training.gagavatar.task import GagavatarTask
from gshead_backend.training.loop import Outcome, train


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_head: HeadModel) -> Path:
    folder = tmp_path_factory.mktemp("home")
    install_head(folder, tiny_head)
    return folder


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory, tiny_head: HeadModel) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_people(folder, tiny_head, range(4))
    return folder


@pytest.fixture(autouse=True)
def with_the_head(home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(home))
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    numba.set_num_threads(before[1])


def run(config: TrainConfig, data: Path, out: Path, **options: Any) -> Outcome:
    return train(GagavatarTask(config), config, data, out, **options)


def task_of(footage: Path, **changes: Any) -> tuple[GagavatarTask, Pairs]:
    task, pairs = GagavatarTask(tiny_config(**changes)), Pairs(footage, "train")
    task.look_at(pairs)
    return task, pairs


def batch_of(task: GagavatarTask, pairs: Pairs, numbers: range = range(2)) -> dict[str, torch.Tensor]:
    return default_collate([task.item(pairs, i, np.random.default_rng(i)) for i in numbers])


def test_pairs_are_two_windows_of_one_person(footage: Path, tiny_head: HeadModel) -> None:
    """The driving vertices lie on the painted head of both windows, through the cameras that the network is given."""
    task, pairs = task_of(footage)
    config = task.sizes
    assert (config.image, config.size, config.points) == (28, 32, point_count(tiny_head))
    item = task.item(pairs, 5, np.random.default_rng(1))
    assert item["image"].shape == (3, 28, 28)
    assert item["target"].shape == (3, 32, 32)
    places = opencv_camera(item["camera"], 32).project(item["points"].astype(float))[:, :2]
    shown = item["target"].max(0)
    x, y = np.clip(places, 0, 31.99).astype(int).T
    assert (shown[y, x] > 10).mean() > 0.95
    assert (shown > 10).mean() < 0.6
    left, top, right, bottom = item["box"]
    assert 0 <= left < right <= 32
    assert 0 <= top < bottom <= 32
    assert item["near"].shape[1] == 3
    assert np.abs(item["points"]).max() < 0.2 * UNITS
    again = task.item(pairs, 5, np.random.default_rng(1))
    assert all(np.array_equal(again[k], v) for k, v in item.items())


def test_a_face_box_is_a_tenth_larger_and_inside() -> None:
    marks = np.array([[10.0, 20.0], [30.0, 60.0]])
    assert face_box(marks, 100).tolist() == [9, 18, 31, 62]
    assert face_box(marks + 60, 100).tolist() == [69, 78, 91, 100]


def test_losses_are_those_of_plain_loops() -> None:
    rng = np.random.default_rng(0)
    picture, target, known = rng.random((3, 6, 7)), rng.random((3, 6, 7)), rng.random((6, 7)) > 0.4
    total, count = 0.0, 0
    for y in range(6):
        for x in range(7):
            if known[y, x]:
                total += sum(abs(picture[c, y, x] - target[c, y, x]) for c in range(3)) / 3
                count += 1
    p, t, k = (torch.from_numpy(a.astype(np.float32)) for a in (picture, target, known))
    assert float(picture_l1(p, t, k)) == pytest.approx(total / count, rel=1e-5)
    assert torch.equal(boxed(p, torch.tensor([2, 1, 5, 4])), p[:, 1:4, 2:5])

    vertices, lifted = rng.normal(size=(40, 3)), rng.normal(size=(90, 3))
    nearest, distances = [], []
    for v in vertices:
        each = [sum((v[c] - q[c]) ** 2 for c in range(3)) for q in lifted]
        nearest.append(int(np.argmin(each)))
        distances.append(min(each))
    v, q = (torch.from_numpy(a.astype(np.float32)) for a in (vertices, lifted))
    assert nearest_lifted(v, q).tolist() == nearest
    q.requires_grad_()
    loss = lifting_loss(v, q)
    assert loss.item() == pytest.approx(float(np.mean(distances)), rel=1e-5)
    loss.backward()
    wanted = np.zeros((90, 3))
    for i, j in enumerate(nearest):
        wanted[j] += 2 * (lifted[j] - vertices[i]) / len(vertices)
    assert q.grad is not None
    np.testing.assert_allclose(q.grad.numpy(), wanted, atol=1e-5)


def test_the_sum_of_the_losses_is_the_papers(footage: Path) -> None:
    task, pairs = task_of(footage, perceptual=0.0, reenact={"noise": False})
    batch, net = batch_of(task, pairs, range(1)), fresh_network(task.sizes)
    (painted,) = paint(net, batch)
    target = batch["target"][0].float() / 255
    left, top, right, bottom = batch["box"][0].tolist()
    wanted = 0.0
    for p in (painted.raw, painted.picture):
        difference = (p - target).abs()
        wanted += 0.5 * difference.mean().item() + 0.5 * difference[:, top:bottom, left:right].mean().item()
    wanted += 10 * torch.cdist(batch["near"][0], painted.lifted).min(1).values.square().mean().item()
    total, parts = task.loss(net, batch)
    assert total.item() == pytest.approx(wanted, rel=1e-4)
    assert set(parts) == {"full", "face", "lifting"}
    more, parts = task_of(footage, reenact={"noise": False})[0].loss(net, batch)
    assert more.item() == pytest.approx(total.item() + parts["perceptual"], rel=1e-5)
    assert 0 < parts["perceptual"] < 0.1


def test_every_part_of_the_network_learns(footage: Path) -> None:
    """A gradient reaches every trained entry; a backbone that is frozen gets none and stays as it was given."""
    task, pairs = task_of(footage)
    net = task.make_net()
    loss, _ = task.loss(net, batch_of(task, pairs))
    loss.backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not float(p.grad.abs().max()) > 0]
    assert still == []


def test_a_backbone_from_a_file_is_frozen_or_trained(footage: Path, tmp_path: Path) -> None:
    task, _ = task_of(footage)
    torch.manual_seed(7)
    vit = fresh_network(task.sizes).base_model.dino_model.state_dict()
    file = tmp_path / "vit.safetensors"
    safetensors.torch.save_file({**vit, "mask_token": torch.zeros(1, 32)}, file)
    for freeze in (True, False):
        config = tiny_config(steps=2, reenact={"backbone": str(file), "freeze": freeze})
        run(config, footage, tmp_path / f"out-{freeze}")
        weights, _, _ = read_parts(tmp_path / f"out-{freeze}" / "parts")
        moved = [float((weights[f"base_model.dino_model.{k}"] - v).abs().max()) for k, v in vit.items()]
        assert (max(moved) < 1e-3) == freeze
    file.write_bytes(safetensors.torch.save({"pos_embed": torch.zeros(1, 5, 32)}))
    with pytest.raises(FileFormatError, match="DINOv2"):
        run(config, footage, tmp_path / "none")


def test_pieces_are_one_run_bit_by_bit(footage: Path, tmp_path: Path) -> None:
    config = tiny_config(steps=4)
    run(config, footage, tmp_path / "whole")
    assert not run(config, footage, tmp_path / "pieces", piece_steps=1).finished
    assert run(config, footage, tmp_path / "pieces").finished
    states = [torch.load(tmp_path / n / "state.pt", weights_only=True) for n in ("whole", "pieces")]
    for part in ("net", "averaged"):
        for name, value in states[0][part].items():
            assert torch.equal(value, states[1][part][name]), (part, name)
    (whole, index, _), (_, other, _) = (read_parts(tmp_path / n / "parts") for n in ("whole", "pieces"))
    assert index.sha256 == other.sha256
    assert index.step == 4
    warm = run(tiny_config(steps=1, lr=1e-9), footage, tmp_path / "warm", resume=str(tmp_path / "whole" / "parts"))
    assert warm.step == 1
    again, _, _ = read_parts(tmp_path / "warm" / "parts")
    for name, value in whole.items():
        torch.testing.assert_close(again[name], value, atol=1e-3, rtol=1e-3, msg=name)
    with pytest.raises(ArgumentError, match="other sizes"):
        run(tiny_config(shape={**SHAPE, "style": 8}), footage, tmp_path / "x", resume=str(tmp_path / "warm" / "parts"))


def test_ablations_leave_out_what_they_say(footage: Path) -> None:
    task, pairs = task_of(footage)
    batch, net = batch_of(task, pairs, range(1)), fresh_network(task.sizes)
    whole, raw, plane = (paint(net, batch, ablate=a)[0] for a in ("", "renderer", "plane"))
    assert torch.equal(raw.picture, raw.raw)
    assert torch.equal(raw.raw, whole.raw)
    assert not torch.equal(whole.picture, whole.raw)
    assert len(whole.lifted) == 2 * len(plane.lifted) == 2 * task.sizes.plane**2
    assert not torch.equal(plane.raw, whole.raw)
    for ablate, parts in (("lifting", {"full", "face", "perceptual"}), ("renderer", {"full", "face", "perceptual", "lifting"})):  # noqa: E501  # fmt: skip
        assert set(task_of(footage, ablate=ablate)[0].loss(net, batch)[1]) == parts
    with pytest.raises(ArgumentError, match="static"):
        GagavatarTask(tiny_config(ablate="static"))


def test_the_ablation_table_has_every_variant(footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({**msgspec.to_builtins(tiny_config(steps=1, validation_samples=2))}))
    code = main(["train", "gagavatar", "--stage", "ablations", "--data", str(footage), "--config", str(file), "--out",
                 str(tmp_path / "out"), "--device", "cpu"])  # fmt: skip
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(ablations_module.VARIANTS)
    _, index, _ = read_parts(tmp_path / "out" / "ablations" / "one-lifted-plane" / "parts")
    assert index.ablate == "plane"


def test_sizes_that_do_not_go_together_are_refused(footage: Path) -> None:
    for shape, said in (({"image": 30}, "patch"), ({"sizes": 3}, "'sizes'"), ({"size": 48}, "power of two"), ({"points": 9}, "'points'")):  # noqa: E501  # fmt: skip
        with pytest.raises(ArgumentError, match=said):
            config_from({**SHAPE, **shape}, 300)
    with pytest.raises(ArgumentError, match="footage"):
        _ = GagavatarTask(tiny_config()).sizes


def test_presets_are_the_released_sizes_and_a_small_network() -> None:
    large, small = load_config("gagavatar-gpu"), load_config("gagavatar-cpu")
    assert dataclasses.asdict(config_from(large.shape, 5023)) == dataclasses.asdict(config_from({}, 5023))
    assert (large.batch, large.steps, large.lr, large.perceptual) == (8, 200_000, 1e-4, 0.01)
    assert large.reenact == ReenactTraining(face=1.0, lifting=10.0, momentum=0.0)
    assert sum(p.numel() for p in Network(config_from(small.shape, 5023)).parameters()) < 8e6
    assert all(PRESETS[n]["reenact"] == {} for n in ("gagavatar-gpu", "gagavatar-cpu"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_small_network_learns_four_people(footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The loss falls, picture and raster come closer to what was seen, lifted points come to the head."""
    config = tiny_config(steps=70, batch=4, lr=4e-3, warmup=5, ema=0.9, validation_samples=16, reenact={"noise": False})
    task, pairs = task_of(footage, reenact={"noise": False})
    torch.manual_seed(config.seed)
    batch, untrained = batch_of(task, pairs, range(0, 16, 2)), task.make_net()
    first = task.measure(untrained, [batch], torch.device("cpu"))
    loss = task.loss(untrained, batch)[0].item()
    outcome = run(config, footage, tmp_path)
    weights, index, sizes = read_parts(tmp_path / "parts")
    trained = Network.with_weights(weights, sizes)
    last, after = task.measure(trained, [batch], torch.device("cpu")), task.loss(trained, batch)[0].item()
    with capsys.disabled():
        print(f"\nfour people, {outcome.seconds:.0f} s: loss {loss:.3f} -> {after:.3f}; {first} -> {last}")
    assert outcome.finished
    assert index.step == 70
    assert after < 0.3 * loss
    assert last["psnr"] > first["psnr"] + 10
    assert last["psnr_raw"] > first["psnr_raw"] + 4
    assert last["psnr_face"] > first["psnr_face"] + 2
    assert last["lifted_mm"] < 0.4 * first["lifted_mm"]
    assert all(p.stat().st_size <= PART_BYTES for p in (tmp_path / "parts").iterdir())
    assert (tmp_path / "parts" / INDEX).exists()
