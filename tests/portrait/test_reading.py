"""What the regressor reads joins what landmarks and irises say, each by how sure it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gshead_backend.portrait.beliefs import (
    BLINK_SD,
    BLINKS,
    BROW_SD,
    FAINT,
    RAISED_BROWS,
    READING_SD,
    told_controls,
    told_in_clip,
    toned,
)
from gshead_backend.portrait.gaze import IRIS_SD, with_reading
from gshead_backend.portrait.nets.regressor import FaceReading


def reading(gaze: tuple[float, float], sd: float) -> FaceReading:
    return FaceReading(
        np.full(52, 0.3, np.float32), np.full(52, sd, np.float32), np.tile(np.array(gaze), (2, 1)),
        np.full((2, 2), sd), np.zeros(3), np.full(3, sd), np.zeros((9, 3)),
    )  # fmt: skip


def test_a_sure_reading_turns_the_eyes_and_an_unsure_one_does_not() -> None:
    traced = np.tile([0.1, -0.2, 0.0], (2, 1))  # Euler x is pitch downward, y is yaw
    np.testing.assert_allclose(with_reading(traced, reading((0.3, 0.2), 100.0)), traced, atol=1e-4)
    sure = with_reading(traced, reading((0.3, 0.2), 0.0))
    assert (sure[:, 1] > 0.1).all()
    assert (sure[:, 0] < -0.1).all()  # looking up is a negative turn about x
    assert (sure[:, 2] == 0).all()


def test_equally_sure_sources_meet_in_the_middle() -> None:
    out = with_reading(np.zeros((2, 3)), reading((0.2, 0.0), IRIS_SD[1]))
    assert out[0, 1] == pytest.approx(0.1, abs=1e-6)


def test_faint_readings_are_believed_less_and_strong_ones_as_read() -> None:
    read = np.array([0.0, 0.06, 0.15, FAINT, 0.8, 1.0])
    np.testing.assert_allclose(toned(read), [0, 0.012, 0.075, FAINT, 0.8, 1], atol=1e-9)
    weak = replace(reading((0, 0), 0.1), arkit=np.full(52, 0.15, np.float32))
    np.testing.assert_allclose(told_controls(weak)[0], 0.075, atol=1e-6)


def test_in_a_clip_landmarks_say_how_far_brows_go_and_faint_movements_count() -> None:
    weak = replace(reading((0, 0), 0.1), arkit=np.full(52, 0.15, np.float32))
    mean, sd = told_in_clip(weak, settled=True)
    np.testing.assert_allclose(mean, 0.15, atol=1e-6)
    np.testing.assert_allclose(told_in_clip(weak, settled=False)[0], 0.075, atol=1e-6)
    np.testing.assert_allclose(sd[RAISED_BROWS], BROW_SD)
    np.testing.assert_allclose(sd[~RAISED_BROWS], told_controls(weak)[1][~RAISED_BROWS])


def test_no_reading_of_the_expression_is_taken_as_certain() -> None:
    mean, sd = told_controls(reading((0, 0), 0.0))
    np.testing.assert_allclose(mean, 0.3, atol=1e-6)
    np.testing.assert_allclose(sd, np.where(BLINKS, BLINK_SD, READING_SD), atol=1e-6)
