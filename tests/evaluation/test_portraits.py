"""Portraits with known truth: what is compared is right, and the fit comes near it."""

from __future__ import annotations

import numpy as np
import pytest

from gshead_backend.errors import EvaluationError
from gshead_backend.evaluation.benchmarks import portraits
from gshead_backend.evaluation.benchmarks.portraits import PortraitRead, run_portraits, summary
from gshead_backend.training.synthetic.sample import Drawing


def _read(true: list[float], off: list[float], ratio: float, focal: float) -> PortraitRead:
    return PortraitRead(np.array(true), np.array(true) + off, 1.0, ratio, focal, 1.5, 2.0)


def test_errors_are_told_apart_by_axis_and_focal_length() -> None:
    reads = [_read([10, 5, 0], [1, -3, 0.5], 2.0, 24), _read([-30, 0, 179], [-1, 1, 358], 0.5, 100)]
    out = summary(reads, missed=1)
    assert (out["portraits"], out["no_face"]) == (2, 1)
    assert out["yaw_deg"] == pytest.approx(1)
    assert out["yaw_bias_deg"] == pytest.approx(0)
    assert out["pitch_deg"] == pytest.approx(2)
    assert out["pitch_bias_deg"] == pytest.approx(-1)
    assert out["roll_deg"] == pytest.approx(1.25), "358 degrees are 2"
    assert out["near_share"] == pytest.approx(0.5)
    assert out["distance_ratio_24mm"] == pytest.approx(2)
    assert out["distance_ratio_90mm"] == pytest.approx(0.5)
    assert out["distance_ratio_60mm"] is None
    assert (out["identity_mm"], out["mean_head_identity_mm"]) == (1.5, 2.0)


def test_portraits_are_drawn_fitted_and_compared() -> None:
    out = run_portraits(2, Drawing(size=320))
    assert out["portraits"] >= 3
    assert 0 < out["yaw_deg"] < 6
    assert 0 < out["pitch_deg"] < 10
    assert 0.2 < out["identity_mm"] < 5


def test_nothing_within_the_angles_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portraits, "MAX_YAW", -1.0)
    with pytest.raises(EvaluationError, match="--people"):
        run_portraits(1, Drawing(size=320))
