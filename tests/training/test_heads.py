"""Learned heads: true pictures stand where the fitted head is, mirrored people get mirrored answers, pieces add up."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "methods"))

from synthetic_portrait import Portrait, arkit_pose, camera_at, make_portrait  # pyright: ignore[reportMissingImports]

from gshead_backend.avatar.drive import drive
from gshead_backend.head import HeadModel, PersonalHead, default_head
from gshead_backend.methods.common.observe import observe_portrait
from gshead_backend.methods.gagavatar.config import Config
from gshead_backend.methods.gagavatar.vit import VisionTransformer
from gshead_backend.methods.rar.build import make_net
from gshead_backend.methods.rar.net import RarNet
from gshead_backend.portrait.nets.mirror import LIGHT_SIGNS
from gshead_backend.raster import rasterize
from gshead_backend.training import rar_scaling
from gshead_backend.training.config import Augment, TrainConfig, load_config
from gshead_backend.training.data import Crops, Stream, batches
from gshead_backend.training.head_views import draw, nothing, people_of, picture_loss, scores
from gshead_backend.training.heads import (
    BEHIND,
    GROUPS,
    OTHER_EXPRESSIONS,
    SIDES,
    VIEW,
    VIEWS,
    Truth,
    arrays,
    face_similarity,
    head_sample,
    make_head_chunk,
    moved_camera,
)
from gshead_backend.training.loop import train
from gshead_backend.training.rar_task import RarTask
from gshead_backend.training.synthetic.sample import Drawing

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE = {"width": 8, "dim": 16, "depth": 1, "heads": 2, "codes": 6}


class _UvMaps:
    """What ``arrays`` asks of a person."""

    def uv_maps(self, size: int) -> dict[str, np.ndarray]:
        return {"color": np.full((size, size, 3), 0.3, np.float32), "label": np.ones((size, size), np.uint8)}


def painted_sample(portrait: Portrait, seed: int) -> dict[str, np.ndarray]:
    """A painted head in the form of a stored person."""
    head, fit = portrait.truth.head, portrait.fit
    vertices = portrait.truth.personal.vertices(fit.pose)
    yaws = [0.0, *(float(np.mean(s)) for s in SIDES + BEHIND), *np.linspace(-30, 30, OTHER_EXPRESSIONS)]
    other = arkit_pose(head, jawOpen=0.5)
    poses = [fit.pose] * (VIEWS - OTHER_EXPRESSIONS) + [other] * OTHER_EXPRESSIONS
    cameras = [camera_at(head, vertices, yaw, 1.0, VIEW) for yaw in yaws]
    seen = [rasterize(drive(portrait.truth, p), c) for p, c in zip(poses, cameras, strict=True)]
    alpha = np.stack([np.clip(s.alpha, 0, 1) for s in seen])
    color = np.stack([np.asarray(s.color) for s in seen]) / np.maximum(alpha, 1e-3)[..., None]
    bytes_of = lambda a: (np.clip(a, 0, 1) * 255 + 0.5).astype(np.uint8)  # noqa: E731
    truth = Truth(cameras, poses, bytes_of(color), bytes_of(alpha), (alpha > 0.5).astype(np.uint8), bytes_of(color),
                  np.eye(9, 3, dtype=np.float32))  # fmt: skip
    return arrays(seed, observe_portrait(fit, head), truth, _UvMaps())  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def folder(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("heads")
    made = [painted_sample(make_portrait(head, arkit_pose(head, mouthSmile=0.2 * k), seed=k), k) for k in range(2)]
    (out / "train").mkdir()
    stacked = {key: np.ascontiguousarray(np.stack([item[key] for item in made])) for key in made[0]}
    safetensors.numpy.save_file(stacked, out / "train" / "0.safetensors")
    return out


def tiny(**changes: Any) -> TrainConfig:
    values = {
        "network": "rar", "shape": SHAPE, "batch": 2, "steps": 4, "warmup": 1, "validate_every": 1000,
        "validation_samples": 2, "heads": {"views": 1, "pixels": 64, "structure": 0.1}, **changes,
    }  # fmt: skip
    return msgspec.convert(values, TrainConfig)


def first_batch(folder: Path, task: RarTask, *, still: bool = False) -> dict[str, torch.Tensor]:
    stream = Stream(Crops(folder, "train"), task.still if still else task.item, 0)
    return next(iter(batches(stream, 2, 0, 1, 0, pin=False)))


def test_a_true_picture_is_seen_from_where_the_fitted_head_stands(head: HeadModel) -> None:
    portrait = make_portrait(head, arkit_pose(head), seed=3)
    true = portrait.truth.personal
    scale, angle = 1.13, 0.2
    R = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    moved = scale * true.rest @ R.T + [0.01, -0.02, 0.03]
    offsets = (moved - PersonalHead.create(head, portrait.fit.betas).rest).astype(np.float32)
    found = face_similarity(true, replace(portrait.fit, vertex_offsets=offsets), head)
    assert found is not None
    assert found[0] == pytest.approx(scale, rel=1e-4)
    camera = camera_at(head, true.rest, 40.0)
    np.testing.assert_allclose(
        moved_camera(camera, found).project(moved)[:, :2], camera.project(true.rest)[:, :2], atol=0.05
    )


def test_uvfits_splats_come_back_from_the_file(folder: Path, head: HeadModel) -> None:
    task = RarTask(tiny())
    person = people_of(first_batch(folder, task, still=True), head)[0]
    psnr, iou = scores(draw(person, person.targets[0], nothing(person)), person.targets[0])
    assert psnr > 17
    assert iou > 0.85


def test_the_mirror_image_gets_the_mirrored_answer(folder: Path) -> None:
    task = RarTask(tiny())
    torch.manual_seed(0)
    net = cast(RarNet, task.make_net())
    torch.nn.init.normal_(net.static.weight, std=0.3)
    batch = first_batch(folder, task, still=True)
    plain = task.ask(net, {**batch, "flip": torch.tensor([False, False])})
    inputs = [batch[k] for k in ("channels", "picture", "facts")]
    turned = dict(zip(("channels", "picture", "facts"), task._turned(inputs), strict=True))
    back = task.ask(net, {**batch, **turned, "flip": torch.tensor([True, True])})
    sign = torch.tensor([-1.0] + [1.0] * 9)
    expected = (plain.static[:, task.mirror] * sign).detach()
    change = (back.static.detach() - expected)[..., :3].abs().mean()
    assert change < 0.35 * expected[..., :3].abs().mean()  # texels whose mirror image lies between others differ
    assert change < 0.5 * (plain.static.detach() - expected)[..., :3].abs().mean()
    signs = torch.from_numpy(LIGHT_SIGNS)[:, None]
    np.testing.assert_allclose(back.light.detach(), (plain.light * signs).detach(), atol=0.02)


def test_pieces_give_what_one_run_gives(folder: Path, tmp_path: Path) -> None:
    config = tiny()
    train(RarTask(config), config, folder, tmp_path / "whole")
    first = train(RarTask(config), config, folder, tmp_path / "pieces", piece_steps=2)
    assert not first.finished
    assert train(RarTask(config), config, folder, tmp_path / "pieces").finished
    whole, pieces = (safetensors.numpy.load_file(tmp_path / k / "rar.safetensors") for k in ("whole", "pieces"))
    for name, array in whole.items():
        np.testing.assert_allclose(pieces[name], array, atol=1e-3, err_msg=name)


def test_the_loss_falls_on_two_heads(folder: Path) -> None:
    config = tiny(augment=msgspec.to_builtins(Augment.none()))
    task = RarTask(config)
    torch.manual_seed(0)
    net = task.make_net()
    batch = first_batch(folder, task)
    rate = torch.optim.Adam(net.parameters(), 3e-3)
    told = []
    for _ in range(12):
        rate.zero_grad()
        loss, parts = task.loss(net, batch)
        loss.backward()
        rate.step()
        told.append(parts["picture"])
    assert told[-1] < 0.85 * told[0]


def test_sizes_are_trained_equally_long_and_cost_the_same_to_drive(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"small": SHAPE, "large": {**SHAPE, "dim": 32, "depth": 2}}
    monkeypatch.setattr(rar_scaling, "SIZES", sizes)
    monkeypatch.setattr(rar_scaling, "_FRAMES", 3)
    rows = rar_scaling.scaling(tiny(steps=50, minutes=1e-6), folder, tmp_path)
    small, large = rows["small"], rows["large"]
    assert small.steps == large.steps == 1
    assert small.parameters < large.parameters
    assert large.parameters == sum(p.numel() for p in make_net(default_head(), sizes["large"]).parameters())
    assert small.splats == large.splats > 100
    assert min(small.drive_ms, large.drive_ms) > 0
    text = rar_scaling.table(rows)
    assert "| large |" in text
    assert "+0.0" in text or "-0.0" in text  # one step changes little beside uvfit
    again = rar_scaling.scaling(tiny(steps=50, minutes=1e-6), folder, tmp_path)
    assert again["large"].steps == 1, "what is finished is not trained on"


def test_sizes_on_a_backbone_and_on_footage_of_one_camera_are_compared(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    vit = VisionTransformer(Config(image=12 * 14, patch=14, width=64, depth=1, heads=1))
    safetensors.torch.save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    stored = safetensors.numpy.load_file(folder / "train" / "0.safetensors")
    groups = np.zeros((len(stored["seed"]), VIEWS), np.uint8)
    groups[:, 1:] = GROUPS.index("expression")
    (tmp_path / "set" / "train").mkdir(parents=True)
    safetensors.numpy.save_file({**stored, "group": groups}, tmp_path / "set" / "train" / "0.safetensors")
    monkeypatch.setattr(rar_scaling, "SIZES", {"small": SHAPE})
    monkeypatch.setattr(rar_scaling, "_FRAMES", 1)
    heads = {"views": 1, "pixels": 64, "backbone": str(tmp_path / "vit.safetensors")}
    rows = rar_scaling.scaling(tiny(steps=1, heads=heads), tmp_path / "set", tmp_path / "out")
    assert rows["small"].drive_ms > 0
    assert "| – |" in rar_scaling.table(rows)  # the sides


def test_a_configuration_without_heads_keeps_its_name() -> None:
    """The hash names what a state and a card belong to: those of the portrait networks must not change."""
    config = load_config("parser-cpu")
    kept = {k: v for k, v in msgspec.to_builtins(config).items() if v is None}
    assert kept == {"heads": None, "reenact": None}
    assert load_config("rar-cpu").sha256() != load_config("rar-cpu-fine").sha256()


@pytest.mark.slow
def test_four_people_are_learned_by_heart(tmp_path: Path) -> None:
    """Synthetic people through the real pipeline; a minute of training must beat ``uvfit`` on them from the sides."""
    seeds = [8 * person for person in (2_001, 2_005, 2_011, 2_012)]
    kept, _ = make_head_chunk("", seeds, str(tmp_path / "train" / "0.safetensors"))
    assert kept >= 3
    config = msgspec.convert(
        {"network": "rar", "shape": {"width": 16, "dim": 48, "depth": 1, "heads": 4, "codes": 6}, "batch": 2,
         "steps": 150, "lr": 4e-3, "warmup": 10, "ema": 0.95, "validate_every": 10_000, "validation_samples": 4,
         "heads": {"views": 2, "pixels": 96, "structure": 0.05}}, TrainConfig,
    )  # fmt: skip
    told = train(RarTask(config), config, tmp_path, tmp_path / "out").metrics
    assert told["psnr_sides"] > told["uvfit_psnr_sides"] + 0.5
    assert told["iou_sides"] > told["uvfit_iou_sides"]


def test_pictures_that_agree_cost_nothing(folder: Path, head: HeadModel) -> None:
    task = RarTask(tiny())
    person = people_of(first_batch(folder, task, still=True), head)[0]
    target = person.targets[1]
    seen = draw(person, target, nothing(person))
    same = replace(target, color=seen.color / seen.alpha.clamp(min=1e-4)[..., None], matte=seen.alpha)
    assert float(picture_loss(seen, same, 0.5)) < 1e-3 < float(picture_loss(seen, target, 0.5))


def test_autocast_moves_no_splat(folder: Path, head: HeadModel) -> None:
    """Networks may compute in half precision, what they are judged by may not."""
    task = RarTask(tiny())
    person = people_of(first_batch(folder, task, still=True), head)[0]
    target, asked = person.targets[0], nothing(person)
    plain = draw(person, target, asked)
    with torch.autocast("cpu", torch.bfloat16):
        seen = draw(person, target, asked.bfloat16())
        loss = picture_loss(seen, target, 0.5)
    assert torch.equal(seen.color, plain.color)
    assert float(loss) == float(picture_loss(plain, target, 0.5))


def test_the_same_seed_gives_the_same_person() -> None:
    a, b = (head_sample(8 * 2_011, Drawing()) for _ in range(2))
    assert a is not None
    assert b is not None
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)
