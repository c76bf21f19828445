"""``rar``: without weights, on another head, the same cost of driving for all sizes, and relighting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from synthetic_portrait import Portrait, arkit_pose, make_portrait

from gshead_backend.avatar.drive import pose_features
from gshead_backend.avatar.light import irradiance, lamp
from gshead_backend.avatar.shading import relit
from gshead_backend.cli import main
from gshead_backend.errors import FileFormatError, MissingWeightsError, UnsupportedError
from gshead_backend.head import HeadModel, default_head
from gshead_backend.methods import ReconstructOptions, get_method
from gshead_backend.methods.common.observe import observe_portrait
from gshead_backend.methods.gagavatar.config import Config
from gshead_backend.methods.gagavatar.vit import VisionTransformer
from gshead_backend.methods.rar.backbone import load_backbone
from gshead_backend.methods.rar.build import NAME, SIZES, make_net
from gshead_backend.methods.rar.drive_net import linearised
from gshead_backend.methods.rar.net import VERSION, RarNet
from gshead_backend.methods.rar.pipeline import predict
from gshead_backend.portrait.nets.weights import Header, save_weights
from gshead_backend.portrait.types import no_progress

TINY = {"width": 8, "dim": 16, "depth": 1, "heads": 2, "codes": 6}
DRAFT = ReconstructOptions(quality="draft", splats=4000)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def portrait(head: HeadModel) -> Portrait:
    return make_portrait(head, arkit_pose(head, mouthSmile=0.4))


@pytest.fixture
def weights(head: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RarNet:
    """A small network that pushes the hidden head outward, installed as if it had been trained."""
    torch.manual_seed(0)
    net = make_net(head, TINY)
    assert net.static.bias is not None
    with torch.no_grad():
        net.static.bias[2] = -1.5
    header = Header(NAME, VERSION, dict(TINY), [], 7, 0, "c" * 64)
    save_weights(tmp_path / "rar.safetensors", header, {k: v.numpy() for k, v in net.state_dict().items()})
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(tmp_path))
    return net


def test_without_weights_the_head_is_uvfits_and_says_so(
    portrait: Portrait, head: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(tmp_path))
    avatar = get_method("rar")(portrait.fit, head, DRAFT, no_progress)
    plain = get_method("uvfit")(portrait.fit, head, DRAFT, no_progress)
    assert avatar.method == "uvfit"
    assert "rar" in avatar.provenance["fallback"]
    assert "gshead train rar" in caplog.text
    np.testing.assert_array_equal(avatar.offset, plain.offset)


def test_the_network_shapes_the_head_and_tells_the_light(weights: RarNet, portrait: Portrait, head: HeadModel) -> None:
    avatar = get_method("rar")(portrait.fit, head, DRAFT, no_progress)
    plain = get_method("uvfit")(portrait.fit, head, DRAFT, no_progress)
    assert avatar.method == "rar"
    assert len(avatar) == len(plain)
    moved = np.linalg.norm(avatar.offset - plain.offset, axis=1)
    assert np.quantile(moved, 0.9) == pytest.approx(0.015, abs=0.003)
    assert np.quantile(moved, 0.05) < 1e-6  # eyes, teeth and the middle of the face stay where the fit put them
    assert np.asarray(avatar.provenance["light"]).shape == (9, 3)
    assert avatar.provenance["weights"]["step"] == 7
    again = get_method("rar")(portrait.fit, head, DRAFT, no_progress)
    np.testing.assert_array_equal(avatar.color, again.color)


def test_another_head_is_refused_by_name(weights: RarNet, portrait: Portrait, tiny_head: HeadModel) -> None:
    with pytest.raises(UnsupportedError, match=tiny_head.name):
        get_method("rar")(portrait.fit, tiny_head, DRAFT, no_progress)


def test_eyes_mouth_and_expression_are_driven_apart(head: HeadModel) -> None:
    torch.manual_seed(0)
    net = make_net(head, TINY)
    third = TINY["codes"] // 3

    def codes(**channels: float) -> np.ndarray:
        x = torch.from_numpy(pose_features(arkit_pose(head, **channels)))
        return net.drive(x[None])[0].detach().abs().numpy().reshape(3, third).max(1)

    np.testing.assert_allclose(codes(), 0, atol=1e-6)
    for moving, channels in enumerate(({"eyeBlink": 1.0}, {"jawOpen": 1.0}, {"browDown": 1.0})):
        got = codes(**channels)
        assert got[moving] > 1e-3
        assert np.delete(got, moving).max() < 1e-6
    lids = net.groups[:, 0] > 0.5
    lips = net.groups[:, third] > 0.5
    assert lids.any()
    assert lips.any()
    assert not (lids & lips).any()


def test_the_linear_form_is_exact_where_the_network_is_linear(head: HeadModel) -> None:
    torch.manual_seed(0)
    net = make_net(head, TINY).drive
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name.startswith("bent") and name.endswith("2.weight"):
                value.zero_()
    gain, error = linearised(net, head)
    assert error < 0.05
    x = pose_features(arkit_pose(head, jawOpen=0.6, mouthSmile=0.5))
    np.testing.assert_allclose(gain @ x, net(torch.from_numpy(x)[None])[0].detach().numpy(), atol=0.02)


def test_what_is_driven_has_the_same_size_for_every_network(portrait: Portrait, head: HeadModel) -> None:
    seen = observe_portrait(portrait.fit, head)
    shapes = set()
    for shape in (SIZES["S"], SIZES["B"]):
        edits, _ = predict(make_net(head, shape).eval(), seen, head)
        assert edits.basis is not None
        assert edits.gain is not None
        shapes.add((edits.static.shape, edits.basis.shape, edits.gain.shape))
    assert len(shapes) == 1


def test_a_lamp_from_the_left_brightens_the_left_cheek(
    weights: RarNet, portrait: Portrait, head: HeadModel, tmp_path: Path
) -> None:
    avatar = get_method("rar")(portrait.fit, head, DRAFT, no_progress)
    avatar = replace(avatar, provenance={**avatar.provenance, "light": lamp(0, 0, soft=1).tolist()})
    surface = observe_portrait(portrait.fit, head, 32).lattice.surface
    x = surface.vertices[surface.faces[avatar.triangle]].mean(1)
    cheek = (surface.part[avatar.triangle] == 0) & (x[:, 2] > 0.02) & (np.abs(x[:, 0]) > 0.03)
    left, right = cheek & (x[:, 0] > 0), cheek & (x[:, 0] < 0)
    for yaw, bright, dark in ((70, left, right), (-70, right, left)):
        lit = relit(avatar, lamp(yaw, 10, soft=0.2, power=1.2))
        assert lit.color[bright].mean() > 1.15 * lit.color[dark].mean()
    same = relit(avatar, lamp(0, 0, soft=1))  # the light that the photo is said to have had
    np.testing.assert_allclose(same.color, avatar.color, atol=2e-3)
    normals = np.array([[0, 0, 1.0], [0, 0, -1.0]])
    front, behind = irradiance(lamp(0, 0, soft=0), normals)[:, 0]
    assert front > 10 * behind


def test_relight_on_the_command_line(weights: RarNet, portrait: Portrait, head: HeadModel, tmp_path: Path) -> None:
    from gshead_backend.avatar import load_avatar, save_avatar

    save_avatar(get_method("rar")(portrait.fit, head, DRAFT, no_progress), tmp_path / "a.gshead")
    assert main(["relight", str(tmp_path / "a.gshead"), "-o", str(tmp_path / "b.gshead"), "--yaw", "60"]) == 0
    assert np.abs(load_avatar(tmp_path / "b.gshead").color - load_avatar(tmp_path / "a.gshead").color).max() > 0.02
    assert main(["relight", str(tmp_path / "a.gshead"), "-o", str(tmp_path / "b.gshead"), "--strength", "3"]) == 2


def test_an_outside_backbone_is_read_and_asked_for_by_its_hash(
    portrait: Portrait, head: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    vit = VisionTransformer(Config(image=12 * 14, patch=14, width=64, depth=2, heads=1))
    file = tmp_path / "vit.safetensors"
    safetensors.torch.save_file(vit.state_dict(), file)
    backbone = load_backbone(file)
    assert backbone.tokens(torch.zeros(2, 6, 128, 128)).shape == (2, 256, 64)
    elsewhere = load_backbone(file).tokens(torch.zeros(2, 6, 128, 128, device="meta"))  # a device that is not the CPU
    assert (elsewhere.shape, elsewhere.device.type) == ((2, 256, 64), "meta")
    shape = {**TINY, "tokens": 64}
    net = make_net(head, shape)
    header = Header(NAME, VERSION, shape, [], 1, 0, "c" * 64, backbone=backbone.sha256)
    save_weights(tmp_path / "rar.safetensors", header, {k: v.numpy() for k, v in net.state_dict().items()})
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(tmp_path))
    with pytest.raises(MissingWeightsError, match=backbone.sha256[:16]):
        get_method("rar")(portrait.fit, head, DRAFT, no_progress)
    monkeypatch.setenv("GSHEAD_BACKBONE", str(file))
    assert get_method("rar")(portrait.fit, head, DRAFT, no_progress).method == "rar"
    safetensors.torch.save_file({"pos_embed": torch.zeros(1, 5, 8)}, file)
    with pytest.raises(FileFormatError, match="DINOv2"):
        get_method("rar")(portrait.fit, head, DRAFT, no_progress)
