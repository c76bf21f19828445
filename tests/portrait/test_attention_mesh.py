"""The closer look at mouth and eyes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from gshead_backend.portrait.image import decode_photo
from gshead_backend.portrait.landmarks import FACE_CROP
from gshead_backend.portrait.locate import locate_face
from gshead_backend.portrait.nets.attention_mesh import MOUTH, OF_REGIONS, REGION, REGIONS, look_closer, region_matrix
from gshead_backend.portrait.nets.face_inputs import WINDOW, face_window

ROOT = Path(__file__).parents[2]
REFERENCE = {
    61: (201.8, 139.2), 17: (222.7, 154.6), 291: (245.0, 141.0), 0: (223.6, 140.5), 37: (217.1, 139.2),
    267: (230.2, 139.7), 14: (223.0, 150.1), 13: (223.5, 143.2), 78: (203.3, 139.9), 308: (243.4, 141.5),
    84: (216.2, 153.5), 314: (229.2, 154.2), 40: (207.2, 139.0), 270: (240.0, 140.2),
}  # fmt: skip
"""Lips of samples/astronaut.png in pixels, by MediaPipe 0.10.21's own FaceMesh with refine_landmarks."""


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The face crop of the sample portrait, its landmarks (478, 2) in it, and those in the photo."""
    located = locate_face(decode_photo((ROOT / "samples" / "astronaut.png").read_bytes()))
    window, marks, _ = face_window(located.photo.image, located.landmarks.solid)
    crop = cv2.resize(window, (FACE_CROP, FACE_CROP), interpolation=cv2.INTER_AREA)
    return crop, marks[:, :2] * FACE_CROP / WINDOW, located.landmarks.points


def test_lips_lie_where_mediapipe_itself_sees_them(face: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    crop, marks, photo = face
    seen = look_closer(crop, marks)
    to_photo, *_ = np.linalg.lstsq(np.column_stack([marks, np.ones(len(marks))]), photo, rcond=None)
    lips = np.column_stack([seen.points, np.ones(len(seen.points))]) @ to_photo
    off = [np.linalg.norm(lips[MOUTH.index(k)] - at) for k, at in REFERENCE.items()]
    assert np.mean(off) < 0.6, off
    assert np.max(off) < 1.5, off


def test_the_look_turns_with_the_face(face: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    crop, marks, _ = face
    turn = cv2.getRotationMatrix2D((FACE_CROP / 2, FACE_CROP / 2), 12, 0.95)
    turned = cv2.warpAffine(crop, turn, (FACE_CROP, FACE_CROP), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    straight = look_closer(crop, marks)
    seen = look_closer(turned, marks @ turn[:, :2].T + turn[:, 2])
    off = np.linalg.norm(seen.points - (straight.points @ turn[:, :2].T + turn[:, 2]), axis=1)
    assert off.mean() < 1
    assert seen.maps.shape == (3, 64, 8, 8)
    assert np.corrcoef(seen.maps.ravel(), straight.maps.ravel())[0, 1] > 0.9


def test_lips_are_followed_where_landmarks_are_not_true(face: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    crop, marks, _ = face
    wrong = marks.copy()
    shift = np.array([3.0, 2.0])
    wrong[list(MOUTH)] += shift
    true, seen = look_closer(crop, marks), look_closer(crop, wrong)
    lips = slice(0, len(MOUTH))
    assert np.linalg.norm(seen.points[lips] - true.points[lips], axis=1).mean() < np.linalg.norm(shift) / 2


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_lies_in_the_middle_of_its_grid(name: str) -> None:
    marks = np.random.default_rng(0).uniform(40, 150, (478, 2))
    grid = region_matrix(marks, name)
    on_grid = np.linalg.solve(grid[:, :2], marks[list(REGIONS[name][0])].T / 4 - grid[:, 2:]).T
    np.testing.assert_allclose((on_grid.min(0) + on_grid.max(0)) / 2, REGION / 2, atol=1e-9)
    np.testing.assert_allclose(np.ptp(on_grid, axis=0), REGION / 1.5, atol=1e-9)
    left, right = (on_grid[REGIONS[name][0].index(k)] for k in REGIONS[name][1])
    assert abs(left[1] - right[1]) < 1e-9
    assert left[0] < right[0]
    assert len(OF_REGIONS) == 80 + 2 * 71
