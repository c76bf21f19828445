"""Finding the face, its landmarks and its matte in the NASA portrait and in pictures made from it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gshead_backend.errors import FaceTooSmallError, NoFaceError
from gshead_backend.portrait.image import Photo
from gshead_backend.portrait.landmarks import Landmarks
from gshead_backend.portrait.locate import Located, locate_face
from gshead_backend.portrait.matte import cut_out, head_window


@pytest.fixture(scope="module")
def located(astronaut: np.ndarray) -> Located:
    return locate_face(Photo(astronaut))


def eyes(landmarks: Landmarks) -> np.ndarray:
    """(2, 2) the person's left and right iris centre."""
    return landmarks.points[[473, 468]]


def test_the_astronaut_is_found_where_she_is(located: Located) -> None:
    points = located.landmarks.points
    assert points.shape == (478, 2)
    assert located.landmarks.presence > 0.99
    assert located.warnings == ()
    expected = {"left iris": (246.5, 103.5), "right iris": (203.8, 101.4), "nose tip": (224, 127), "chin": (221, 177)}
    found = dict(zip(expected, points[[473, 468, 4, 152]], strict=True))
    for name, place in expected.items():
        assert np.linalg.norm(found[name] - place) < 3, name


def test_irises_lie_between_the_corners_of_the_eyes(located: Located) -> None:
    points = located.landmarks.points
    for center, outer, inner in ((468, 33, 133), (473, 263, 362)):
        axis = points[inner] - points[outer]
        along = (points[center] - points[outer]) @ axis / (axis @ axis)
        assert 0.3 < along < 0.7
        radius = np.linalg.norm(points[center + 1 : center + 5] - points[center], axis=1)
        assert 0.1 < radius.mean() / np.linalg.norm(axis) < 0.3


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_that_lies_on_its_side_is_turned(astronaut: np.ndarray, located: Located, turns: int) -> None:
    turned = locate_face(Photo(np.ascontiguousarray(np.rot90(astronaut, turns))))
    assert np.array_equal(turned.photo.image, astronaut)
    assert np.abs(turned.landmarks.points - located.landmarks.points).mean() < 0.7
    assert any("turned upright" in w for w in turned.warnings)


@pytest.mark.parametrize("angle", [-30, 30, 45])
def test_a_tilted_head_keeps_its_landmarks(astronaut: np.ndarray, located: Located, angle: float) -> None:
    matrix = cv2.getRotationMatrix2D((256, 256), angle, 1)
    matrix[:, 2] += 100
    tilted = cv2.warpAffine(astronaut, matrix, (712, 712), borderValue=(128, 128, 128))
    found = locate_face(Photo(tilted))
    expected = located.landmarks.points @ matrix[:, :2].T + matrix[:, 2]
    assert np.linalg.norm(found.landmarks.points - expected, axis=1).mean() < 1.0
    assert found.photo.image is tilted


def test_a_small_face_in_a_large_photo_is_found(astronaut: np.ndarray) -> None:
    large = np.full((3000, 4000, 3), 120, np.uint8)
    large[2000:2512, 3000:3512] = astronaut
    points = locate_face(Photo(large)).landmarks.points
    assert np.linalg.norm(points[4] - [3224, 2127]) < 4


def test_of_several_faces_the_largest_is_used_and_said_so(astronaut: np.ndarray) -> None:
    small = cv2.resize(astronaut, (320, 320), interpolation=cv2.INTER_AREA)
    both = np.full((512, 832, 3), 128, np.uint8)
    both[96:416, :320] = small
    both[:, 320:] = astronaut
    found = locate_face(Photo(both))
    assert np.linalg.norm(found.landmarks.points[4] - [544, 127]) < 4
    assert any("2 faces" in w and "largest" in w for w in found.warnings)
    assert len(found.rivals) == 1


def test_a_tiny_face_is_too_small(astronaut: np.ndarray) -> None:
    with pytest.raises(FaceTooSmallError, match="pixels wide") as caught:
        locate_face(Photo(cv2.resize(astronaut, (160, 160), interpolation=cv2.INTER_AREA)))
    assert caught.value.remedy


def test_a_small_face_is_used_with_a_warning(astronaut: np.ndarray) -> None:
    found = locate_face(Photo(cv2.resize(astronaut, (300, 300), interpolation=cv2.INTER_AREA)))
    assert any("pixels wide" in w for w in found.warnings)


def faceless() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:400, :600]
    blobs = cv2.GaussianBlur(rng.integers(0, 256, (400, 600, 3), np.uint8), (0, 0), 12)
    disk = np.full((400, 600, 3), 230, np.uint8)
    cv2.circle(disk, (300, 200), 120, (200, 150, 120), -1)
    return {
        "black": np.zeros((400, 600, 3), np.uint8),
        "noise": rng.integers(0, 256, (400, 600, 3), np.uint8),
        "blobs": cv2.normalize(blobs, None, 0, 255, cv2.NORM_MINMAX),  # type: ignore[call-overload]
        "gradient": np.stack([x * 255 // 600, y * 255 // 400, x * 0 + 90], -1).astype(np.uint8),
        "disk": disk,
        "one pixel": np.zeros((1, 1, 3), np.uint8),
        "thin line": np.zeros((1, 5000, 3), np.uint8),
    }


@pytest.mark.parametrize("name", faceless())
def test_a_picture_without_a_face_says_so(name: str) -> None:
    with pytest.raises(NoFaceError) as caught:
        locate_face(Photo(faceless()[name]))
    assert caught.value.remedy


@pytest.mark.parametrize("corner", [(0, 300), (300, 512)])
def test_what_is_left_of_the_astronaut_has_no_face(astronaut: np.ndarray, corner: tuple[int, int]) -> None:
    with pytest.raises(NoFaceError):
        locate_face(Photo(np.ascontiguousarray(astronaut[230:, corner[0] : corner[1]])))


def matte_of(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Crop, matte and landmarks in it."""
    found = locate_face(Photo(image))
    crop, probability = head_window(image, found.landmarks.points)
    points = crop.to_crop(found.landmarks.points)
    rivals = tuple(crop.to_crop(box.reshape(2, 2)).reshape(4) for box in found.rivals)
    cut = crop.cut(image)
    return cut, cut_out(cut, probability, points, crop.inside(image.shape), rivals), points


def test_the_matte_holds_the_head_and_not_the_wall(astronaut: np.ndarray) -> None:
    cut, matte, points = matte_of(astronaut)
    assert cut.shape == (512, 512, 3)
    assert (matte.dtype, matte.min(), matte.max()) == (np.float32, 0, 1)
    face = np.zeros(matte.shape, np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(points[:468].astype(np.int32)), 1)
    assert matte[face > 0].mean() > 0.995
    corners = np.concatenate([matte[:60, :60].ravel(), matte[:60, -60:].ravel(), matte[200:280, -60:].ravel()])
    assert corners.max() < 0.05
    wall = np.array([205, 198, 200])
    looks_like_wall = np.abs(cut.astype(int) - wall).max(-1) < 25
    assert (matte[looks_like_wall & (face == 0)] > 0.5).mean() < 0.05


def test_the_edge_of_the_hair_is_soft(astronaut: np.ndarray) -> None:
    _, matte, points = matte_of(astronaut)
    above = matte[: int(points[10, 1])]
    between = ((above > 0.1) & (above < 0.9)).sum()
    outline = cv2.Canny((above > 0.5).astype(np.uint8) * 255, 50, 100).astype(bool).sum()
    assert 0.8 < between / outline < 12


def test_a_person_beside_is_not_part_of_the_head(astronaut: np.ndarray) -> None:
    alone = matte_of(astronaut)[1]
    small = cv2.resize(astronaut, (400, 400), interpolation=cv2.INTER_AREA)
    crowd = np.ascontiguousarray(np.concatenate([astronaut, np.zeros((512, 250, 3), np.uint8)], 1))
    crowd[:400, 300:700] = small  # the second head's hair ends 20 pixels from the first one's
    _, matte, points = matte_of(crowd)
    width = points[:468, 0].max() - points[:468, 0].min()
    beyond = matte[: int(points[152, 1]), int(points[4, 0] + 1.25 * width) :]
    assert beyond.max(initial=0) < 0.5
    assert abs(matte[: int(points[152, 1])].sum() / alone[: int(points[152, 1])].sum() - 1) < 0.1


def test_the_matte_is_empty_outside_the_photo(astronaut: np.ndarray) -> None:
    tight = np.ascontiguousarray(astronaut[40:200, 170:290])
    cut, matte, points = matte_of(tight)
    found = locate_face(Photo(tight))
    crop, _ = head_window(tight, found.landmarks.points)
    inside = crop.inside(tight.shape)
    assert not inside.all()
    assert matte[~inside].max() == 0
    assert cut[~inside].std() > 0  # the edge continues instead of a black frame
    last = np.flatnonzero(inside.any(1))[-1]
    assert matte[last, int(points[152, 0])] > 0.99  # no soft edge where the photo cuts the neck
