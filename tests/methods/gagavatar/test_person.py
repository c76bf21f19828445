"""From a portrait fit to what the network reads, and from poses to its points."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small import config_for, install
from synthetic_portrait import arkit_pose, make_portrait

from gshead_backend.avatar.file import avatar_from_bytes, avatar_to_bytes, describe_avatar
from gshead_backend.errors import HeadError, MissingWeightsError
from gshead_backend.head import HeadModel, HeadPose, PersonalHead, default_head
from gshead_backend.methods import ReconstructOptions
from gshead_backend.methods.gagavatar import person, reconstruct
from gshead_backend.methods.gagavatar.lifting import opencv_camera
from gshead_backend.portrait.types import no_progress


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return default_head()


@pytest.fixture(scope="module")
def portrait(head: HeadModel):
    return make_portrait(head, arkit_pose(head, jawOpen=0.2))


def _config(head: HeadModel):
    return dataclasses.replace(config_for(head), image=518, size=512, patch=14)


@pytest.fixture(scope="module")
def read(head: HeadModel, portrait):
    return person.make_portrait(portrait.fit, head, _config(head))


def test_landmarks_lie_in_the_window_where_the_network_sees_them(read) -> None:
    window, error = read
    assert error < 6  # another lens: the nose of a near head cannot lie as that of a far one
    assert window.camera[2, 3] == pytest.approx(person.DISTANCE, rel=0.1)
    assert window.image.shape == (518, 518, 3)
    assert window.image.dtype == np.uint8
    assert window.image[200:260, 230:290].mean() > 50
    assert window.image[:20, :20].max() == 0  # black where the photo has green


def test_the_window_shows_what_the_camera_projects(read, head: HeadModel, portrait) -> None:
    """The outline of the posed head under the network's camera covers the picture's head."""
    window, _ = read
    own = PersonalHead.create(head, portrait.fit.betas)
    motion, points = person.local_points(own, portrait.fit.pose, _config(head))
    np.testing.assert_allclose(motion, np.eye(4), atol=1e-7)  # the fit leaves the head's place to the camera
    places = opencv_camera(window.camera, 518).project(points * person.UNITS)[:, :2]
    places = np.round(places).astype(int)
    inside = ((places >= 0) & (places < 518)).all(1)
    assert inside.mean() > 0.8
    assert (window.image.max(2)[places[inside, 1], places[inside, 0]] > 5).mean() > 0.95


@pytest.fixture(scope="module")
def moved(head: HeadModel) -> HeadPose:
    neutral = HeadPose.neutral(head.expression_count)
    return dataclasses.replace(
        neutral, neck_pose=np.array([0.1, 0.3, 0.05]), global_orient=np.array([0.0, -0.1, 0.1]),
        translation=np.array([0.01, 0.02, -0.03]),
    )  # fmt: skip


def test_points_and_motion_together_are_the_posed_head(head: HeadModel, portrait, moved: HeadPose) -> None:
    config, own = _config(head), PersonalHead.create(head, portrait.fit.betas)
    motion, points = person.local_points(own, moved, config)
    still = person.local_points(own, HeadPose.neutral(head.expression_count), config)[1]
    assert np.array_equal(points, still)
    rigid = np.flatnonzero(head.skin_weights[: config.points, 1] > 0.999)
    np.testing.assert_allclose(points[rigid] @ motion[:3, :3].T + motion[:3, 3], own.vertices(moved)[rigid], atol=2e-5)


def test_a_posed_mesh_tells_where_the_head_is(head: HeadModel, portrait, moved: HeadPose) -> None:
    """Vertices alone give the motion and the points that the pose gives, also with an open mouth."""
    config, own = _config(head), PersonalHead.create(head, portrait.fit.betas)
    pose = dataclasses.replace(moved, expression=arkit_pose(head, jawOpen=0.7, mouthSmileLeft=0.8).expression)
    motion, points = person.local_points(own, pose, config)
    found = person.rigid_motion(own, own.vertices(pose))
    np.testing.assert_allclose(found[:3, :3], motion[:3, :3], atol=2e-3)
    np.testing.assert_allclose(found[:3, 3], motion[:3, 3], atol=5e-4)
    rigid = np.flatnonzero(head.skin_weights[: config.points, 1] > 0.999)
    back = person.own_space(found, own.vertices(pose))[: config.points]
    np.testing.assert_allclose(back[rigid], points[rigid], atol=5e-4)


def test_other_heads_are_refused_with_their_count(head: HeadModel) -> None:
    with pytest.raises(HeadError, match=r"FLAME's 5023"):
        person.check_head(head)


def test_an_avatar_holds_what_the_network_reads(head: HeadModel, portrait, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GSHEAD_DATA_DIR", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="gagavatar"):
        reconstruct(portrait.fit, head, ReconstructOptions(), no_progress)
    install(tmp_path, head)
    steps: list[float] = []
    avatar = reconstruct(portrait.fit, head, ReconstructOptions(name="Ada"), lambda f, text: steps.append(f))
    assert steps == sorted(steps)
    assert avatar.method == "gagavatar"
    assert avatar.provenance["window_error_px"] < 6
    assert avatar.portrait is not None
    data = avatar_to_bytes(avatar)
    assert describe_avatar(data)["drawn_by_network"] is True
    assert describe_avatar(data)["format"] == "1.1"
    back = avatar_from_bytes(data)
    assert back.portrait is not None
    assert np.array_equal(back.portrait.image, avatar.portrait.image)
    assert np.array_equal(back.portrait.camera, avatar.portrait.camera)
    assert avatar_to_bytes(back) == data
