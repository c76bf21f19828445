"""From a portrait fit and poses to the network's window, points and cameras, and to pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small import SMALL
from synthetic_portrait import arkit_pose, make_portrait

from gshead_backend.errors import HeadError
from gshead_backend.head import HeadModel, HeadPose, default_head
from gshead_backend.methods.gagavatar.drawer import Drawer
from gshead_backend.methods.gagavatar.layout import used_shapes
from gshead_backend.methods.gagavatar.lifting import opencv_camera
from gshead_backend.methods.gagavatar.network import Network
from gshead_backend.methods.gagavatar.person import (
    DISTANCE,
    Person,
    check_head,
    driven_camera,
    driven_points,
    make_person,
)
from gshead_backend.methods.gagavatar.stages import Weights


@pytest.fixture(scope="module")
def head() -> HeadModel:
    """The default head with as many vertices 'of its own' as the test asks for."""
    return default_head()


def _config(head: HeadModel):
    names = [n for n in ("mouth_cavity", "gums", "teeth_upper", "teeth_lower", "tongue") if n in head.region_names]
    own = int(np.flatnonzero(~head.region_mask(*names))[-1]) + 1
    return dataclasses.replace(SMALL, points=own, image=518, size=512, patch=14)


@pytest.fixture(scope="module")
def portrait(head: HeadModel):
    return make_portrait(head, arkit_pose(head, jawOpen=0.2))


@pytest.fixture(scope="module")
def person(head: HeadModel, portrait) -> Person:
    return make_person(portrait.fit, head, _config(head))


def test_landmarks_lie_in_the_window_where_the_network_sees_them(person: Person, portrait) -> None:
    assert person.error_px < 6  # another lens: the nose of a near head cannot lie as that of a far one
    assert person.camera[2, 3] == pytest.approx(DISTANCE, rel=0.1)
    assert person.image.shape == (3, 518, 518)
    centre, corner = person.image[:, 200:260, 230:290], person.image[:, :20, :20]
    assert centre.mean() > 0.2
    assert corner.max() == 0  # black where the photo has green


def test_the_window_shows_what_the_camera_projects(person: Person, head: HeadModel, portrait) -> None:
    """The outline of the posed head under the network's camera covers the picture's head."""
    config = _config(head)
    points = driven_points(person, portrait.fit.pose, config)
    camera = opencv_camera(driven_camera(person, portrait.fit.pose), 518)
    places = np.round(camera.project(points)[:, :2]).astype(int)
    inside = ((places >= 0) & (places < 518)).all(1)
    assert inside.mean() > 0.8
    lit = person.image.max(0)[places[inside, 1], places[inside, 0]] > 0.02
    assert lit.mean() > 0.95


def test_a_moved_head_is_a_moved_camera(person: Person, head: HeadModel) -> None:
    """Points and camera together put every vertex of the rigid head where its own motion puts it."""
    config = _config(head)
    neutral = HeadPose.neutral(head.expression_count)
    moved = dataclasses.replace(
        neutral, neck_pose=np.array([0.1, 0.3, 0.05]), global_orient=np.array([0.0, -0.1, 0.1]),
        translation=np.array([0.01, 0.02, -0.03]),
    )  # fmt: skip
    assert np.array_equal(driven_points(person, moved, config), driven_points(person, neutral, config))
    rigid = np.flatnonzero(head.skin_weights[: config.points, 1] > 0.999)
    photo = opencv_camera(person.camera, 512)
    truth = photo.project(person.head.vertices(moved)[rigid] * 5.0)
    ours = opencv_camera(driven_camera(person, moved), 512).project(driven_points(person, moved, config)[rigid])
    np.testing.assert_allclose(ours, truth, atol=0.05)


def test_the_view_goes_around_the_head(person: Person) -> None:
    neutral = HeadPose.neutral(person.head.model.expression_count)

    def eye(**angles: float) -> np.ndarray:
        return opencv_camera(driven_camera(person, neutral, **angles), 512).position

    assert eye(yaw=40)[0] > eye()[0] + 2  # +X is the person's left
    assert eye(pitch=30)[1] > eye()[1] + 2


def test_other_heads_are_refused_with_their_count(head: HeadModel) -> None:
    with pytest.raises(HeadError, match=r"FLAME's 5023"):
        check_head(head)


def test_frames_follow_pose_and_view_and_repeat_byte_for_byte(head: HeadModel, portrait) -> None:
    config = dataclasses.replace(SMALL, points=_config(head).points)
    network = Network.with_weights(Weights(used_shapes(config), 4, config).used, config)
    drawer = Drawer(network)
    person = make_person(portrait.fit, head, config)
    assert person.image.shape == (3, SMALL.image, SMALL.image)
    subject = drawer.subject(person)
    neutral = HeadPose.neutral(head.expression_count)
    first = drawer.draw(subject, neutral)
    assert first.rgb.shape == (SMALL.size, SMALL.size, 3)
    assert 0.2 < first.alpha.max() <= 1
    assert not np.array_equal(drawer.draw(subject, arkit_pose(head, jawOpen=1.0)).rgb, first.rgb)
    assert not np.array_equal(drawer.draw(subject, neutral, yaw=20).rgb, first.rgb)
    again = drawer.draw(subject, neutral)
    assert again.rgb.tobytes() == first.rgb.tobytes()
    assert again.alpha.tobytes() == first.alpha.tobytes()
