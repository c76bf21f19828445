"""Landmarks whose mouth is not where the parser sees one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gshead_backend.head import PersonalHead, default_head
from gshead_backend.portrait.agreement import LIPS_OUTER, with_lips
from gshead_backend.portrait.labels import LABEL_INDEX, LABELS

SIZE, PER_METRE = 512, 2000.0
CHIN, NOSE_TIP, BROW = 152, 1, 105


@pytest.fixture(scope="module")
def landmarks() -> np.ndarray:
    """(478, 2) the mean head's, seen from the front; irises in the middle of the eyes."""
    head = default_head()
    rest = PersonalHead.create(head, np.zeros(head.identity_count, np.float32)).rest
    corners = rest[head.faces[head.landmark_triangles]]
    points = (corners * head.landmark_bary[:, :, None]).sum(1)
    flat = np.column_stack([points[:, 0], -points[:, 1]]) * PER_METRE
    flat += SIZE / 2 - flat.mean(0)
    irises = [flat[list(eye)].mean(0)[None].repeat(5, 0) for eye in ((33, 133), (263, 362))]
    return np.concatenate([flat, *irises])


def lips_at(landmarks: np.ndarray, shift: float, grown: float = 1.0) -> np.ndarray:
    """(12, S, S) a parsing whose lips are the landmarks', ``shift`` pixels lower and ``grown`` times as large."""
    hull = cv2.convexHull(landmarks[list(LIPS_OUTER)].astype(np.float32))[:, 0]
    hull = (hull - hull.mean(0)) * grown + hull.mean(0) + [0, shift]
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    parsing = np.zeros((len(LABELS), SIZE, SIZE), np.float16)
    parsing[LABEL_INDEX["lips"]] = mask
    parsing[LABEL_INDEX["skin"]] = 1 - mask
    return parsing


@pytest.mark.parametrize("roll", [0.0, 25.0])
def test_the_lower_face_follows_the_lips_that_are_seen(landmarks: np.ndarray, roll: float) -> None:
    parsing = lips_at(landmarks, 22.0)
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), roll, 1.0)
    parsing = np.stack([cv2.warpAffine(p.astype(np.float32), turn, (SIZE, SIZE)) for p in parsing])
    rolled = landmarks @ turn[:, :2].T + turn[:, 2]
    moved = (with_lips(rolled, parsing) - rolled) @ turn[:, :2]  # back along the face
    assert np.abs(moved[[CHIN, 13, 14, 0, 17]] - [0, 22]).max() < 2.5
    assert np.abs(moved[[NOSE_TIP, BROW, 33, 263, 470, 475]]).max() == 0


@pytest.mark.parametrize(
    ("shift", "grown"),
    [(0.0, 1.0), (5.0, 1.1), (-4.0, 1.3), (120.0, 1.0), (30.0, 2.5), (25.0, 0.3)],
    ids=["same", "near", "larger", "nowhere near", "a smear", "a dot"],
)
def test_lips_that_agree_or_are_none_change_nothing(landmarks: np.ndarray, shift: float, grown: float) -> None:
    assert np.array_equal(with_lips(landmarks, lips_at(landmarks, shift, grown)), landmarks)


def test_a_photo_without_a_mouth_changes_nothing(landmarks: np.ndarray) -> None:
    parsing = lips_at(landmarks, 20.0)
    parsing[LABEL_INDEX["clothes"]] += parsing[LABEL_INDEX["lips"]]
    parsing[LABEL_INDEX["lips"]] = 0
    assert np.array_equal(with_lips(landmarks, parsing), landmarks)
