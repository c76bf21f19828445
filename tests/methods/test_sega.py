"""Method sega from a portrait to an avatar, with small networks of random weights: what holds for any weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_portrait import Portrait, arkit_pose, make_portrait
from torch import nn

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes
from gshead_backend.avatar.types import REGIONS, Avatar
from gshead_backend.errors import Cancelled, UnsupportedError
from gshead_backend.head import HeadModel, default_head
from gshead_backend.methods import ReconstructOptions, get_method
from gshead_backend.methods.common.edits import dynamic_of
from gshead_backend.methods.common.observe import Observation, base_avatar, observe_portrait
from gshead_backend.methods.sega import decoders as decoders_module
from gshead_backend.methods.sega import identity, motion
from gshead_backend.methods.sega.decoders_net import DecodersNet, Told
from gshead_backend.methods.sega.exact import drive_exactly
from gshead_backend.methods.sega.facial import facial_crop
from gshead_backend.methods.sega.identity_net import IdentityNet
from gshead_backend.methods.sega.motion_net import MotionNet
from gshead_backend.methods.sega.pipeline import distilled, edits_of, sample_poses
from gshead_backend.methods.sega.prior import Prior
from gshead_backend.portrait.nets.weights import Header, save_weights
from gshead_backend.portrait.types import no_progress

IDENTITY = {"w0": 8, "w1": 16, "w2": 16, "dim": 8, "codes": 16}
MOTION = {"size": 128, "w0": 8, "w1": 8, "w2": 16, "latent": 8}
DECODERS = {"inputs": 21, "facts": 33, "dim": 8, "latent": 8, "code": 16, "w0": 8, "w1": 8, "w2": 16, "w3": 16,
            "d0": 8, "d1": 8, "d2": 16}  # fmt: skip
DRAFT = ReconstructOptions(quality="draft", splats=14_000, fit_steps=0)


def write(folder: Path, name: str, net: nn.Module, shape: dict[str, int], flags: tuple[str, ...] = ()) -> None:
    arrays = {k: v.numpy() for k, v in net.state_dict().items()}
    save_weights(folder / f"{name}.safetensors", Header(name, 1, shape, list(flags)), arrays)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Install networks; ``loud`` decoders say something, the others nothing."""

    def install(*, loud: float = 0.0, flags: tuple[str, ...] = ()) -> Path:
        torch.manual_seed(1)
        write(tmp_path, identity.NAME, IdentityNet(**IDENTITY), IDENTITY)
        write(tmp_path, motion.NAME, MotionNet(**MOTION), MOTION)
        net = DecodersNet(**DECODERS)
        for part in (net.fixed, net.moving):
            nn.init.normal_(part.out.weight, std=loud)
            for told in (m for m in part.modules() if isinstance(m, Told)):
                nn.init.normal_(told.film.weight, std=10 * loud)
                nn.init.normal_(told.second.weight, std=loud)
        write(tmp_path, decoders_module.NAME, net, DECODERS, flags)
        monkeypatch.setenv("GSHEAD_WEIGHTS", str(tmp_path))
        return tmp_path

    return install


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def portrait(head: HeadModel) -> Portrait:
    return make_portrait(head, arkit_pose(head, mouthSmile=0.6, jawOpen=0.22))


@pytest.fixture(scope="module")
def seen(portrait: Portrait, head: HeadModel) -> Observation:
    return observe_portrait(portrait.fit, head)


def differs(a: Avatar, b: Avatar) -> float:
    return max(float(np.abs(getattr(a, k) - getattr(b, k)).max()) for k in ("offset", "color", "log_scale"))


def test_decoders_that_say_nothing_leave_uvfits_avatar(
    weights: Callable[..., Path], portrait: Portrait, head: HeadModel
) -> None:
    weights()
    avatar = get_method("sega")(portrait.fit, head, DRAFT, no_progress)
    untrained = get_method("uvfit")(portrait.fit, head, DRAFT, no_progress)
    assert avatar.method == "sega"
    assert differs(avatar, untrained) < 1e-6
    assert avatar.dynamic is None
    assert avatar.provenance["sega"]["tuning_steps"] == 0


def test_decoders_that_speak_change_the_head_and_move_it(
    weights: Callable[..., Path], portrait: Portrait, head: HeadModel
) -> None:
    weights(loud=0.1)
    avatar = get_method("sega")(portrait.fit, head, DRAFT, no_progress)
    untrained = get_method("uvfit")(portrait.fit, head, DRAFT, no_progress)
    assert differs(avatar, untrained) > 1e-3
    assert avatar.dynamic is not None
    assert avatar.dynamic.bias.size <= 64
    region = np.unique(avatar.head.region[avatar.head.faces[avatar.triangle[avatar.dynamic.index]]])
    assert "scalp" not in {avatar.head.region_names[r] for r in region} or len(avatar.dynamic.index) < len(avatar) / 2
    still = replace(avatar, dynamic=None)
    pose = portrait.fit.pose
    np.testing.assert_allclose(drive(avatar, pose).means, drive(still, pose).means, atol=1e-6)
    other = arkit_pose(head, jawOpen=0.8, browDown=1.0)
    assert np.abs(drive(avatar, other).colors - drive(still, other).colors).max() > 1e-3
    inside = np.isin(avatar.region, [REGIONS.index(name) for name in ("eye", "mouth", "teeth")])
    np.testing.assert_array_equal(avatar.color[inside], untrained.color[inside])
    again = avatar_from_bytes(avatar_to_bytes(avatar))
    np.testing.assert_allclose(drive(again, other).means, drive(avatar, other).means, atol=2e-4)


def test_the_residual_is_as_near_to_the_decoder_as_its_report_says(
    weights: Callable[..., Path], seen: Observation, head: HeadModel
) -> None:
    weights(loud=0.1)
    prior, origin = Prior.of(seen), seen.built.scene.fit.pose
    told, report = distilled(prior, origin)
    assert told is not None
    assert 0 < report["error"]["color"] < report["change"]["color"]
    assert 0.3 < report["kept"] <= 1
    edits, _ = edits_of(prior)
    lattice = seen.lattice
    avatar = base_avatar(seen)
    n = len(lattice)
    assert edits.basis is not None
    assert edits.basis.shape[:2] == (n, 10)
    own = lattice.lookup(lattice.triangle, lattice.bary)
    moving = replace(avatar, dynamic=dynamic_of(avatar, edits.at(own)))
    change, error = 0.0, 0.0
    for pose in sample_poses(head, 4, 2):
        exact, linear, still = drive_exactly(avatar, prior, own, pose), drive(moving, pose), drive(avatar, pose)
        change += np.abs(exact.colors - still.colors)[:n].mean()
        error += np.abs(exact.colors - linear.colors)[:n].mean()
    assert change > 1e-4
    assert error < 0.9 * change
    at_photo = drive_exactly(avatar, prior, own, origin)
    np.testing.assert_allclose(at_photo.means, drive(avatar, origin).means, atol=1e-6)


def test_tuning_makes_the_photo_likelier_and_leaves_the_shipped_weights_alone(
    weights: Callable[..., Path], seen: Observation
) -> None:
    weights(loud=0.02)
    prior = Prior.of(seen)
    before = [p.clone() for p in prior.net.parameters()]
    losses = []
    tuned = prior.tuned(base_avatar(seen), 6, no_progress, losses.append)
    assert losses[-1] < losses[0]
    assert all(torch.equal(a, b) for a, b in zip(before, prior.net.parameters(), strict=True))
    assert not any(p.requires_grad for p in tuned.net.parameters())
    again = prior.tuned(base_avatar(seen), 6, no_progress)
    for a, b in zip(tuned.net.parameters(), again.net.parameters(), strict=True):
        torch.testing.assert_close(a, b)

    def stop(fraction: float, text: str) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        prior.tuned(base_avatar(seen), 2, stop)


def test_what_is_all_static_has_no_residual_and_what_is_all_dynamic_has_one_everywhere(
    weights: Callable[..., Path], seen: Observation
) -> None:
    weights(loud=0.1, flags=("all_static",))
    edits, notes = edits_of(Prior.of(seen))
    assert edits.basis is None
    assert notes["sega"]["rank"] == 0
    assert facial_crop(seen.lattice, everything=True).shape == (128, 128)
    assert 0.1 < (facial_crop(seen.lattice).mask > 0.5).sum() / seen.lattice.covered.sum() < 0.4


def test_without_weights_it_is_uvfit_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portrait: Portrait, head: HeadModel
) -> None:
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(tmp_path))
    avatar = get_method("sega")(portrait.fit, head, DRAFT, no_progress)
    assert avatar.method == "uvfit"
    assert "sega has no weights here" in avatar.provenance["fallback"]


def test_another_head_is_refused(weights: Callable[..., Path], portrait: Portrait, head: HeadModel) -> None:
    weights()
    other = replace(head, name="other")
    with pytest.raises(UnsupportedError, match="another one"):
        get_method("sega")(portrait.fit, other, DRAFT, no_progress)
