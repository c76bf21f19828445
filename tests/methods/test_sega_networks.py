"""The networks of method sega: codebook, VAE, decoders, and distilling them into an avatar's residual."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gshead_backend.avatar.drive import pose_features
from gshead_backend.errors import MissingWeightsError
from gshead_backend.head.catalog import default_head
from gshead_backend.head.pose import HeadPose
from gshead_backend.head.skinning import PersonalHead
from gshead_backend.methods.common.lattice import Lattice, lattice_of
from gshead_backend.methods.sega.decoders_net import MapDecoder
from gshead_backend.methods.sega.distil import UNIT, distil
from gshead_backend.methods.sega.identity import load_identity
from gshead_backend.methods.sega.identity_net import Codebook, IdentityNet
from gshead_backend.methods.sega.motion import UNIT as CENTIMETRE
from gshead_backend.methods.sega.motion import displacement_map, load_motion, moved_map, still
from gshead_backend.methods.sega.motion_net import MotionNet, divergence
from gshead_backend.training.synthetic.expression import draw_expression, pose_of

SMALL = {"w0": 8, "w1": 16, "w2": 16, "dim": 8, "codes": 16}


@pytest.fixture(scope="module")
def lattice() -> Lattice:
    return lattice_of(default_head(), 64)


def poses(count: int, seed: int = 0) -> list[HeadPose]:
    rng = np.random.default_rng(seed)
    return [pose_of(default_head(), draw_expression(rng)) for _ in range(count)]


def test_codes_are_told_apart_under_autocast_too() -> None:
    """Networks are trained in bfloat16 on a GPU and used in single precision: both must mean the same code."""
    torch.manual_seed(0)
    book, rows = Codebook(512, 32).eval(), torch.randn(2000, 32)
    plain = book.nearest(rows)
    with torch.autocast("cpu", torch.bfloat16):
        assert (rows @ book.codes.T).dtype == torch.bfloat16
        assert torch.equal(book.nearest(rows), plain)


def test_gradients_pass_the_codebook_straight_through() -> None:
    book = Codebook(16, 4).eval()
    z = torch.randn(2, 4, 3, 5, requires_grad=True)
    told = book(z)
    assert told.index.shape == (2, 3, 5)
    torch.testing.assert_close(told.latents[0, :, 1, 2], book.codes[told.index[0, 1, 2]])
    pull = torch.randn_like(z)
    (gradient,) = torch.autograd.grad((told.latents * pull).sum(), z, retain_graph=True)
    torch.testing.assert_close(gradient, pull)
    (gradient,) = torch.autograd.grad(told.commitment, z)
    torch.testing.assert_close(gradient, 2 * (z - told.latents).detach() / z.numel())


def test_the_codebook_takes_the_nearest_code() -> None:
    book = Codebook(32, 4).eval()
    rows = torch.randn(50, 4)
    torch.testing.assert_close(book.nearest(rows), torch.cdist(rows, book.codes).argmin(1))


def test_dead_codes_start_again_where_outputs_are() -> None:
    torch.manual_seed(0)
    book = Codebook(8, 2).train()
    clusters = torch.tensor([[5.0, 0], [-5, 0], [0, 5], [0, -5]])
    for _ in range(200):
        rows = clusters[torch.randint(4, (64,))] + 0.05 * torch.randn(64, 2)
        book(rows.reshape(1, 8, 8, 2).permute(0, 3, 1, 2))
    book.codes[3], book.sums[3], book.counts[3] = torch.tensor([100.0, 100.0]), torch.tensor([0.0, 0]), 0.0
    rows = clusters[torch.randint(4, (64,))] + 0.05 * torch.randn(64, 2)
    book(rows.reshape(1, 8, 8, 2).permute(0, 3, 1, 2))
    away = torch.cdist(book.codes, clusters).min(1).values
    assert away.max() < 0.5
    assert not torch.isnan(book.codes).any()
    before = book.codes.clone()
    book.eval().forward(torch.randn(1, 2, 4, 4))
    torch.testing.assert_close(book.codes, before)


def test_the_identity_network_keeps_its_shapes() -> None:
    net = IdentityNet(**SMALL).train()
    image = torch.rand(2, 3, 256, 256) * 2 - 1
    shown, between = net(image)
    assert shown.shape == image.shape
    assert between.latents.shape == (2, 8, 32, 32)
    (shown.mean() + between.commitment).backward()
    stem = dict(net.named_parameters())["stem.0.conv.weight"]
    assert stem.grad is not None
    assert stem.grad.abs().max() > 0


def test_motion_network_shapes_and_divergence(lattice: Lattice) -> None:
    net = MotionNet(size=64, w0=8, w1=8, w2=8, latent=8)
    head = default_head()
    person = PersonalHead.create(head, np.zeros(head.identity_count, np.float32))
    neutral = person.vertices(HeadPose.neutral(head.expression_count))
    maps = np.stack([moved_map(lattice, person.vertices(p), neutral) for p in poses(3)])
    told, mean, spread = net(torch.from_numpy(maps))
    assert told.shape == maps.shape == (3, 3, 64, 64)
    assert mean.shape == spread.shape == (3, 8)
    net.eval()
    torch.testing.assert_close(net(torch.from_numpy(maps))[0], net(torch.from_numpy(maps))[0])
    assert divergence(torch.zeros(2, 8), torch.zeros(2, 8)) == 0
    sample = torch.distributions.Normal(torch.tensor(0.7), torch.tensor(0.5))
    other = torch.distributions.kl_divergence(sample, torch.distributions.Normal(0.0, 1.0))
    told = divergence(torch.full((1, 1), 0.7), torch.full((1, 1), 2 * np.log(0.5)))
    torch.testing.assert_close(told, other)


def test_skinning_the_displaced_surface_gives_the_posed_head(lattice: Lattice) -> None:
    """What the VAE's target means: rest + D, skinned, is the head under the expression."""
    head = default_head()
    person = PersonalHead.create(head, np.random.default_rng(0).standard_normal(head.identity_count))
    pose = poses(1, 3)[0]
    jaw_only = replace(HeadPose.neutral(head.expression_count), jaw_pose=pose.jaw_pose, eye_pose=pose.eye_pose)
    displaced = PersonalHead(head, person.betas, person.shaped(pose), person.joints, person.gain)
    np.testing.assert_allclose(displaced.vertices(jaw_only), person.vertices(pose), atol=1e-6)
    told = displacement_map(lattice, person, pose)
    at = lattice.at(person.shaped(pose) - person.rest)
    np.testing.assert_allclose(told[:, lattice.row, lattice.column].T * CENTIMETRE, at, atol=1e-6)
    assert np.abs(told).max() > 0.1


def test_turning_the_head_is_no_expression() -> None:
    head = default_head()
    pose = poses(1, 5)[0]
    turned = HeadPose(pose.expression, np.array([0.1, 0.4, 0]), np.array([0, 0.2, 0]), pose.jaw_pose, pose.eye_pose,
                      np.array([0.1, 0, 0]))  # fmt: skip
    person = PersonalHead.create(head, np.zeros(head.identity_count, np.float32))
    np.testing.assert_allclose(person.vertices(still(turned)), person.vertices(still(pose)), atol=1e-6)


def test_decoders_start_by_changing_nothing_and_hear_the_code() -> None:
    torch.manual_seed(0)
    net = MapDecoder(5, 10, 12, (8, 8, 16))
    maps, code = torch.randn(2, 5, 32, 48), torch.randn(2, 12)
    told = net(maps, code)
    assert told.shape == (2, 10, 32, 48)
    assert told.abs().max() == 0
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    assert (net(maps, code) - net(maps, code + 1)).abs().max() > 1e-4


def linear_changes(features: np.ndarray, rank: int, points: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((points, 10, rank)) * UNIT[:, None]
    return np.einsum("mck,pk->pmc", basis, features @ rng.standard_normal((features.shape[1], rank)))


def test_changes_that_are_linear_in_the_pose_are_distilled_exactly() -> None:
    features = np.stack([pose_features(p) for p in poses(200)])
    origin = features[7]
    changes = linear_changes(features - origin, 6, 40)
    told = distil(features, changes, origin, rank=16, enough=1 - 1e-9)
    assert told.basis.shape == (40, 10, 6)
    assert told.share() > 0.999
    np.testing.assert_allclose(told(features) / UNIT, changes / UNIT, atol=0.02 * np.abs(changes / UNIT).max())
    assert np.abs(told(origin[None]) / UNIT).max() < 1e-3


def test_the_distilled_error_is_what_the_report_says() -> None:
    features = np.stack([pose_features(p) for p in poses(150)])
    origin = np.zeros(features.shape[1])
    changes = linear_changes(features, 20, 30) + 2 * UNIT * np.sin(40 * features[:, :1, None])
    told = distil(features, changes, origin, rank=6, enough=1.0)
    error = np.sqrt(np.mean(((told(features) - changes) / UNIT) ** 2))
    assert told.rank_error > 0
    assert told.linear_error > 0.3
    assert error == pytest.approx(np.hypot(told.linear_error, told.rank_error), rel=0.05)
    assert distil(features, changes, origin, rank=30, enough=1.0).rank_error < 0.2 * told.rank_error
    assert told.basis.shape[2] == 6


def test_faint_changes_and_faint_directions_are_left_out() -> None:
    features = np.stack([pose_features(p) for p in poses(150)])
    origin = features[0]
    changes = linear_changes(features - origin, 5, 40)
    changes[:, :25] *= 1e-4
    told = distil(features, changes, origin, rank=50)
    assert (np.abs(told.basis).max((1, 2)) == 0).sum() == 25
    assert told.basis.shape[2] <= 5
    assert told.share() > 0.97


def test_no_change_is_no_error() -> None:
    told = distil(np.random.default_rng(0).random((10, 5)), np.zeros((10, 4, 10)), np.zeros(5))
    assert told.share() == 1
    assert np.abs(told(np.ones((1, 5)))).max() == 0
    assert told.scattered(np.array([1, 3, 4, 6]), 9).shape[:2] == (9, 10)


def test_missing_weights_are_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(tmp_path))
    for load, name in ((load_identity, "sega_identity"), (load_motion, "sega_motion")):
        with pytest.raises(MissingWeightsError) as caught:
            load()
        assert name in str(caught.value)
        assert f"gshead train sega --stage {name[5:]}" in caught.value.remedy
