"""One network, several people, any camera: pictures in frames, by pose or by mesh, exact or fast."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small import config_for, with_portrait

from gshead_backend.avatar.device_torch import HostDevice
from gshead_backend.avatar.types import Avatar
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.errors import ArgumentError
from gshead_backend.head import HeadPose
from gshead_backend.methods.gagavatar.fast import FastUpsampler
from gshead_backend.methods.gagavatar.layout import used_shapes
from gshead_backend.methods.gagavatar.lifting import opencv_camera
from gshead_backend.methods.gagavatar.network import Network
from gshead_backend.methods.gagavatar.painter import Painter
from gshead_backend.methods.gagavatar.person import UNITS, local_points
from gshead_backend.methods.gagavatar.stages import Weights
from gshead_backend.methods.gagavatar.window import covered

sys.path.insert(0, str(Path(__file__).parents[2]))
from tiny_avatar import make_tiny_avatar

VIEW = orbit_camera(20, 5, size=(96, 72), distance=1.0)


@pytest.fixture(scope="module")
def network(tiny_head) -> Network:
    config = config_for(tiny_head)
    return Network.with_weights(Weights(used_shapes(config), 4, config).used, config)


@pytest.fixture(scope="module")
def avatar(tiny_head) -> Avatar:
    return with_portrait(make_tiny_avatar(tiny_head))


@pytest.fixture(scope="module")
def other(tiny_head) -> Avatar:
    return with_portrait(make_tiny_avatar(tiny_head), 9)


@pytest.fixture
def pose(tiny_head) -> HeadPose:
    neutral = HeadPose.neutral(tiny_head.expression_count)
    return dataclasses.replace(neutral, neck_pose=np.array([0.1, 0.25, 0.0]), translation=np.array([0.01, 0, 0.02]))


def test_from_the_photos_camera_it_is_the_networks_own_picture(network, avatar, tiny_head) -> None:
    neutral = HeadPose.neutral(tiny_head.expression_count)
    painter = Painter(network)
    subject = painter.subject(avatar)
    photo = opencv_camera(avatar.portrait.camera, network.config.size)
    view = photo.viewmat.copy()
    view[:3, 3] /= UNITS
    drawn = painter.draw(subject, Camera(photo.width, photo.height, photo.K, view), np.eye(4), neutral)
    points = local_points(subject.head, neutral, network.config)[1]
    points = torch.from_numpy((points * UNITS).astype(np.float32))
    truth = network.frame(subject.identity, points, photo)
    rgb, alpha = covered(truth.rgb, truth.alpha)
    known = alpha >= 1 / 255
    assert known.float().mean() > 0.02
    torch.testing.assert_close(drawn.alpha[known], alpha[known], rtol=0, atol=1e-3)
    torch.testing.assert_close(drawn.color[known], rgb.permute(1, 2, 0)[known], rtol=0, atol=1e-3)
    torch.testing.assert_close(drawn.depth[known], truth.depth[known] / UNITS, rtol=0, atol=2e-3)


def test_a_moved_head_is_a_moved_instance(network, avatar, pose, tiny_head) -> None:
    """What the pose does to the whole head, the instance's matrix does as well."""
    painter = Painter(network)
    subject = painter.subject(avatar)
    motion, _ = local_points(subject.head, pose, network.config)
    neutral = HeadPose.neutral(tiny_head.expression_count)
    posed = painter.draw(subject, VIEW, np.eye(4), pose)
    placed = painter.draw(subject, VIEW, motion, neutral)
    torch.testing.assert_close(posed.color, placed.color, rtol=0, atol=2e-3)
    assert float(posed.alpha.max()) > 0.2


def test_a_mesh_draws_as_its_pose_does(network, avatar, pose) -> None:
    painter = Painter(network)
    subject = painter.subject(avatar)
    posed = painter.draw(subject, VIEW, np.eye(4), pose)
    meshed = painter.draw(subject, VIEW, np.eye(4), None, avatar.personal.vertices(pose))
    assert float((posed.color - meshed.color).abs().mean()) < 5e-3
    with pytest.raises(ArgumentError, match="pose or vertices"):
        painter.draw(subject, VIEW, np.eye(4))


def test_expressions_reach_the_picture(network, avatar, tiny_head) -> None:
    painter = Painter(network)
    subject = painter.subject(avatar)
    neutral = HeadPose.neutral(tiny_head.expression_count)
    moved = dataclasses.replace(neutral, expression=np.full(tiny_head.expression_count, 0.5, np.float32))
    first, second = (painter.draw(subject, VIEW, np.eye(4), p) for p in (neutral, moved))
    assert not torch.equal(first.color, second.color)


def test_two_people_in_two_viewports_never_mix(network, avatar, other, pose) -> None:
    views = [VIEW, orbit_camera(-30, size=(64, 64), distance=0.8)]

    def drawn(painter, subject, view) -> bytes:
        frame = painter.draw(subject, view, np.eye(4), pose)
        return frame.color.numpy().tobytes() + frame.alpha.numpy().tobytes() + frame.depth.numpy().tobytes()

    alone = []
    for one in (avatar, other):
        painter = Painter(network)
        subject = painter.subject(one)
        alone.append([drawn(painter, subject, view) for view in views])
    painter = Painter(network)
    people = [painter.subject(one) for one in (avatar, other)]
    for turn in (0, 1, 1, 0):
        for who in (1, 0):
            assert drawn(painter, people[who], views[turn]) == alone[who][turn]
    assert len({frame for frames in alone for frame in frames}) == 4


def test_long_work_is_heard_of(network, avatar, pose) -> None:
    said: list[str] = []
    painter = Painter(network, said.append)
    subject = painter.subject(avatar)
    assert len(said) > 20
    assert set(said) == {"Reading the photo"}
    painter.draw(subject, VIEW, np.eye(4), pose)
    assert said[-1] == "Painting a head"


def test_other_avatars_are_refused(network, avatar) -> None:
    with pytest.raises(ArgumentError, match="not by GAGAvatar"):
        Painter(network).subject(dataclasses.replace(avatar, portrait=None, method="uvfit"))


def test_half_precision_is_close_and_falls_back_where_it_fails(network, caplog, monkeypatch) -> None:
    c = network.config
    raster = torch.randn(1, c.features, c.size, c.size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = network.upsampler(raster)
    fast = FastUpsampler(network, HostDevice())
    half = fast(raster).clone()
    assert 0 < float((half - exact).abs().max()) < 0.01
    assert torch.equal(fast(raster), half)
    assert FastUpsampler.of(network) is None  # a CPU is no faster so

    class Broken(HostDevice):
        def captured(self, step):
            raise RuntimeError("no graphs here")

    with caplog.at_level(logging.WARNING, "gshead.worker"):
        torch.testing.assert_close(FastUpsampler(network, Broken())(raster), exact, rtol=0, atol=1e-5)
    assert "no graphs here" in caplog.text
    monkeypatch.setattr("gshead_backend.methods.gagavatar.fast.TOLERANCE", 1e-9)
    with caplog.at_level(logging.WARNING, "gshead.worker"):
        torch.testing.assert_close(FastUpsampler(network, HostDevice())(raster), exact, rtol=0, atol=1e-5)
    assert "differ by" in caplog.text
