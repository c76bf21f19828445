"""What a clip tells about a face: its rest is taken out, its blinks close the eye."""

from __future__ import annotations

import numpy as np
import pytest

from gshead_backend.head.arkit import ARKIT_INDEX
from gshead_backend.portrait.tracking.habits import ENOUGH, FURTHER, NOD, REST_MOST, nodding, settled

FRAMES = 80
SMILE, BROW, LID = ARKIT_INDEX["mouthSmileLeft"], ARKIT_INDEX["browInnerUp"], ARKIT_INDEX["eyeBlinkLeft"]


def clip(**channels: np.ndarray) -> np.ndarray:
    out = np.zeros((FRAMES, 52), np.float32)
    for name, values in channels.items():
        out[:, ARKIT_INDEX[name]] = values
    return out


def blinks(height: float, frames: int = 3) -> np.ndarray:
    out = np.full(FRAMES, 0.1)
    for at in (10, 45):
        out[at : at + frames] = height
    return out


def test_what_never_goes_away_is_the_face_and_not_a_movement() -> None:
    smile = np.where(np.arange(FRAMES) > 60, 0.8, 0.15)
    out = settled(clip(mouthSmileLeft=smile, browInnerUp=np.full(FRAMES, 0.12)), np.ones(FRAMES, bool))
    assert out is not None
    assert np.abs(out[:60, SMILE]).max() < 1e-6
    assert out[70, SMILE] == pytest.approx(FURTHER * (0.8 - 0.15) / 0.85, abs=1e-5)
    assert np.abs(out[:, BROW]).max() < 1e-6


def test_somebody_who_smiles_all_the_time_goes_on_smiling() -> None:
    out = settled(clip(mouthSmileLeft=np.full(FRAMES, 0.7)), np.ones(FRAMES, bool))
    assert out is not None
    np.testing.assert_allclose(out[:, SMILE], FURTHER * (0.7 - REST_MOST) / (1 - REST_MOST), atol=1e-5)


def test_short_blinks_close_the_eye_and_narrow_eyes_stay_as_they_are() -> None:
    out = settled(clip(eyeBlinkLeft=blinks(0.65)), np.ones(FRAMES, bool))
    assert out is not None
    assert out[11, LID] > 0.85
    assert out[30, LID] == 0
    narrow = settled(clip(eyeBlinkLeft=blinks(0.65, frames=20)), np.ones(FRAMES, bool))
    assert narrow is not None
    assert narrow[15, LID] < 0.65
    flutter = settled(clip(eyeBlinkLeft=blinks(0.3)), np.ones(FRAMES, bool))
    assert flutter is not None
    assert flutter[11, LID] < 0.3


def test_what_moves_goes_further_but_never_past_one_and_eyes_stay() -> None:
    moving = np.where(np.arange(FRAMES) > 60, 0.95, 0.0)
    out = settled(clip(jawOpen=0.5 * moving, mouthSmileLeft=moving, eyeLookUpLeft=moving), np.ones(FRAMES, bool))
    assert out is not None
    assert out[70, ARKIT_INDEX["jawOpen"]] == pytest.approx(FURTHER * 0.475, abs=1e-5)
    assert out[70, SMILE] == 1
    assert out[70, ARKIT_INDEX["eyeLookUpLeft"]] == pytest.approx(0.95, abs=1e-5)


def test_too_few_frames_or_no_readings_tell_nothing() -> None:
    found = np.zeros(FRAMES, bool)
    found[: ENOUGH - 1] = True
    assert settled(clip(), found) is None
    assert settled(clip(eyeBlinkLeft=np.full(FRAMES, np.nan)), np.ones(FRAMES, bool)) is None


def test_nods_go_further_about_what_is_usual_and_turns_stay() -> None:
    head = np.zeros((FRAMES, 3), np.float32)
    head[:, 0], head[:, 1] = np.linspace(-0.4, 0.4, FRAMES), 0.1
    head[40:50, 1] = 0.3
    out = nodding(head, np.ones(FRAMES, bool))
    np.testing.assert_allclose(out[:40, 1], 0.1, atol=1e-6)
    np.testing.assert_allclose(out[40:50, 1], 0.1 + NOD * 0.2, atol=1e-6)
    np.testing.assert_array_equal(out[:, [0, 2]], head[:, [0, 2]])
    found = np.arange(FRAMES) < ENOUGH - 1
    assert nodding(head, found) is head
    assert nodding(np.full_like(head, np.nan), np.ones(FRAMES, bool)) is not None
