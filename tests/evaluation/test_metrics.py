"""Metrics against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gshead_backend.evaluation.benchmarks.photos import stray_alpha
from gshead_backend.evaluation.metrics import MAX_PSNR, confusion_of, iou, mean_iou, networks_note, psnr, ssim
from gshead_backend.evaluation.multiview import Frame
from gshead_backend.evaluation.truth import (
    angle_between,
    arkit_of_pose,
    channel_scores,
    gaze_directions,
    gaze_of_pose,
    pose_of_frame,
    similarity_error,
)
from gshead_backend.head import ARKIT_INDEX, default_head, pose_from_arkit
from gshead_backend.head.rotation import euler_to_matrix


def test_psnr_of_a_known_error_inside_the_mask_only() -> None:
    truth = np.full((40, 40, 3), 0.5)
    picture = truth.copy()
    picture[:, :20] += 0.1
    left = np.zeros((40, 40), bool)
    left[:, :20] = True
    assert psnr(picture, truth, left) == pytest.approx(20.0, abs=1e-4)  # 10 log10(1 / .01)
    assert psnr(picture, truth, ~left) == MAX_PSNR
    assert psnr(picture, truth) == pytest.approx(20 + 10 * math.log10(2), abs=1e-4)
    assert psnr(picture, truth, np.zeros((40, 40), bool)) is None


def test_ssim_is_one_for_equal_pictures_and_blind_outside_the_mask() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((60, 60, 3))
    mask = np.zeros((60, 60), bool)
    mask[10:40, 10:40] = True
    spoiled = truth.copy()
    spoiled[~mask] = 0
    assert ssim(spoiled, truth, mask) == pytest.approx(1.0, abs=1e-5)
    assert ssim(np.clip(truth + rng.normal(0, 0.2, truth.shape), 0, 1), truth, mask) < 0.95  # type: ignore[operator]
    assert ssim(truth, truth, np.zeros((60, 60), bool)) is None


def test_ssim_of_constant_pictures_is_its_luminance_term() -> None:
    a, b = np.full((40, 40, 3), 0.4), np.full((40, 40, 3), 0.6)
    c = 0.01**2
    assert ssim(a, b) == pytest.approx((2 * 0.24 + c) / (0.16 + 0.36 + c), abs=1e-3)


def test_overlap_and_confusion() -> None:
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert iou(a, b) is None
    a[:, :2], b[:, 1:3] = True, True
    assert iou(a, b) == pytest.approx(4 / 12)
    mean, each = mean_iou(confusion_of(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 3))
    assert each[:2] == pytest.approx([1 / 2, 2 / 3])
    assert math.isnan(each[2])
    assert mean == pytest.approx(7 / 12)


def test_channel_scores_beside_the_predictor_that_says_zero() -> None:
    truth = np.zeros((2, 52))
    smile, left, right = (ARKIT_INDEX[n] for n in ("mouthSmileLeft", "eyeBlinkLeft", "eyeBlinkRight"))
    truth[0, smile], truth[1, [left, right]] = 0.5, [1.0, 0.8]
    truth[:, ARKIT_INDEX["eyeLookUpLeft"]] = 0.9  # gaze has its own error
    estimate = np.zeros((2, 52))
    estimate[0, smile], estimate[1, [left, right]] = 0.3, [0.9, 0.4]
    scores = channel_scores(truth, estimate)
    assert scores["mae"] == pytest.approx((0.2 + 0.1 + 0.4) / 3)
    assert scores["mae_zero"] == pytest.approx((0.5 + 1.0 + 0.8) / 3)
    assert scores["blink_recall"] == 0.5
    assert scores["quiet"] == 0
    assert scores["corr"] == pytest.approx(np.corrcoef([0.5, 1, 0.8], [0.3, 0.9, 0.4])[0, 1])
    assert channel_scores(np.zeros((1, 52)), np.zeros((1, 52)))["mae"] is None


def test_poses_and_channels_are_inverse_and_the_gaze_is_where_it_was_told() -> None:
    head = default_head()
    channels = np.zeros(52, np.float32)
    for name, value in (("jawOpen", 0.6), ("mouthSmileLeft", 0.4), ("eyeBlinkRight", 1.0)):
        channels[ARKIT_INDEX[name]] = value
    found = arkit_of_pose(head, pose_from_arkit(head, channels))
    assert found is not None
    assert np.abs(found - channels).max() < 0.02
    gaze = np.radians([[20.0, -10.0], [18.0, -10.0]])
    pose = pose_of_frame(head, Frame("look", channels, gaze))
    assert angle_between(gaze_of_pose(pose), gaze_directions(gaze)) < 0.05
    assert gaze_of_pose(pose)[0, 0] > 0.3, "positive yaw looks toward the person's left, +X"
    assert gaze_of_pose(pose)[0, 1] < -0.1


def test_similarity_error_ignores_motion_and_size_only() -> None:
    points = np.random.default_rng(1).normal(size=(50, 3))
    moved = 2.5 * points @ euler_to_matrix(np.array([0.3, -0.5, 1.0])).T + [1, 2, 3]
    assert similarity_error(points, moved) < 1e-9
    assert similarity_error(points + np.random.default_rng(2).normal(0, 0.1, (50, 3)), moved) > 0.1


def test_only_what_hangs_apart_floats() -> None:
    alpha = np.zeros((100, 100), np.float32)
    alpha[20:60, 20:60] = 1
    assert stray_alpha(alpha).sum() == 0
    alpha[80:84, 80:84] = 0.5
    alpha[60:63, 30:40] = 0.2  # a soft edge
    assert stray_alpha(alpha).sum() == pytest.approx(8.0)


def test_metrics_of_absent_networks_are_not_pretended() -> None:
    note = networks_note()
    assert set(note) == {"LPIPS", "CSIM", "AED", "APD", "AKD"}
    assert note["CSIM"].startswith("not installed")
