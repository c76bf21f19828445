"""Tracking a face through a clip: who, where, what; gaps, interruptions, several processes; the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rendered_subjects import render_subject

from gshead_backend.avatar import load_take
from gshead_backend.errors import ArgumentError, Cancelled, NoFaceError
from gshead_backend.head import ARKIT_INDEX, HeadModel
from gshead_backend.head.smoothing import smooth_channels, smoothed
from gshead_backend.portrait.tracking import open_clip, track, tracker
from gshead_backend.portrait.tracking.gaps import filled, gaps

JAW = (0.0, 0.25, 0.5, 0.25, 0.0, 0.3, 0.6, 0.3, 0.0)
YAWS = tuple(range(-12, 13, 3))


@pytest.fixture(scope="module")
def pictures(head: HeadModel) -> list[np.ndarray]:
    """A talking head that turns, from the left of the picture to the right; (H, W, 3) sRGB."""
    return [
        render_subject(head, seed=6, yaw=yaw, size=(448, 448), expression={"jawOpen": jaw}).image
        for yaw, jaw in zip(YAWS, JAW, strict=True)
    ]


@pytest.fixture(scope="module")
def folder(pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures, one without a face among them, under names that do not sort as text."""
    place = tmp_path_factory.mktemp("clip")
    shown = [*pictures[:4], np.full_like(pictures[0], 128), *pictures[5:]]
    for i, image in enumerate(shown):
        cv2.imwrite(str(place / f"frame {i + 5}.png"), image[..., ::-1])
    return place


def test_a_folder_is_read_in_the_order_of_its_numbers(folder: Path) -> None:
    clip = open_clip(folder)
    assert (clip.count, clip.fps) == (9, 25.0)
    read = list(clip.frames())
    assert [i for i, _, _ in read] == list(range(9))
    assert [round(t * 25) for _, t, _ in read] == list(range(9))
    blank = [image is not None and float(image.std()) < 1 for _, _, image in read]
    assert blank.index(True) == 4


def test_a_video_is_read_frame_by_frame_and_reduced(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (1600, 900))
    for i in range(5):
        writer.write(np.full((900, 1600, 3), 40 * i, np.uint8))
    writer.release()
    clip = open_clip(path)
    read = list(clip.frames(2))
    assert clip.fps == pytest.approx(30)
    assert [i for i, _, _ in read] == [2, 3, 4]
    assert read[0][2] is not None
    assert read[0][2].shape == (720, 1280, 3)
    assert abs(int(read[0][2].mean()) - 80) < 4


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("not a video")
    for path in (tmp_path / "missing.mp4", tmp_path / "empty", tmp_path / "text.mp4"):
        with pytest.raises(ArgumentError) as caught:
            open_clip(path)
        assert caught.value.remedy
        assert path.name in caught.value.message
    with pytest.raises(ArgumentError, match="frames per second"):
        open_clip(tmp_path / "empty", fps=0)


def test_head_and_jaw_are_followed_and_gaps_filled(folder: Path, head: HeadModel) -> None:
    found = track(open_clip(folder), head, workers=1, smooth=0)
    assert found.gaps() == [(4, 4)]
    turned = found.head[:, 1] - found.head[:, 1].mean()
    assert np.abs(turned - np.array(YAWS)).max() < 2.5
    jaw = found.arkit[:, ARKIT_INDEX["jawOpen"]]
    rows = [i for i in range(9) if i != 4]
    assert np.corrcoef(jaw[rows], np.array(JAW)[rows])[0, 1] > 0.95
    assert jaw[2] > 2 * jaw[[0, 8]].max()
    assert jaw[4] == pytest.approx((jaw[3] + jaw[5]) / 2, abs=1e-5)
    assert found.viewmat.shape == (9, 4, 4)
    assert np.abs(np.linalg.det(found.viewmat[:, :3, :3]) - 1).max() < 1e-6


def test_an_interrupted_tracking_goes_on(
    folder: Path, head: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker, "CHUNK", 3)
    store = tmp_path / ".store"
    whole = track(open_clip(folder), head, workers=1)

    def stop(fraction: float, text: str) -> None:
        if "frame 6" in text:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        track(open_clip(folder), head, workers=1, store=store, progress=stop)
    assert len(list(store.glob("*.npz"))) == 2
    followed: list[int] = []
    real = tracker.follow
    monkeypatch.setattr(tracker, "follow", lambda f, near: followed.append(len(f)) or real(f, near))
    again = track(open_clip(folder), head, workers=1, store=store)
    assert followed == [3]
    assert not store.exists()
    assert np.abs(again.arkit - whole.arkit).max() < 1e-5


def test_parts_of_another_clip_are_not_used(folder: Path, head: HeadModel, tmp_path: Path) -> None:
    store = tmp_path / ".store"
    store.mkdir()
    (store / "clip.json").write_text(json.dumps({"clip": "another"}))
    (store / "000000.npz").write_bytes(b"damaged")
    found = track(open_clip(folder), head, workers=1, store=store, smooth=0)
    assert found.gaps() == [(4, 4)]
    assert not store.exists()


def test_several_processes_find_what_one_finds(folder: Path, head: HeadModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "CHUNK", 5)
    one = track(open_clip(folder), head, workers=1)
    monkeypatch.setattr(tracker, "FEW", 0)
    two = track(open_clip(folder), head, workers=2)
    assert np.abs(one.arkit - two.arkit).max() < 1e-4
    assert np.abs(one.head - two.head).max() < 1e-2


def test_without_weights_landmarks_alone_do(
    folder: Path, head: HeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GSHEAD_WEIGHTS", str(tmp_path))
    found = track(open_clip(folder), head, workers=1, smooth=0)
    jaw = found.arkit[:, ARKIT_INDEX["jawOpen"]]
    assert np.corrcoef(jaw, JAW)[0, 1] > 0.8
    assert np.isfinite(found.gaze).all()


def test_a_clip_without_a_face_says_so(tmp_path: Path, head: HeadModel) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((120, 160, 3), 90, np.uint8))
    with pytest.raises(NoFaceError, match="None of the 3 frames"):
        track(open_clip(tmp_path), head, workers=1)


def test_a_head_without_arkit_expressions_is_refused(folder: Path, head: HeadModel) -> None:
    bare = replace(head, arkit_expression=np.zeros_like(head.arkit_expression))
    with pytest.raises(ArgumentError, match="no ARKit expressions"):
        track(open_clip(folder), bare, workers=1)


def test_uneven_times_are_put_on_an_even_rate(folder: Path, head: HeadModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone that halves its rate: twice as many frames of the take for the second half of the pictures."""
    clip = open_clip(folder)
    seen = tracker._followed(clip, 1, None, lambda f, t: None)
    seen.seconds[:] = np.concatenate([np.arange(5) / 25, 4 / 25 + np.arange(1, 5) / 12.5])
    monkeypatch.setattr(tracker, "_followed", lambda *arguments: seen)
    found = track(clip, head, smooth=0)
    assert len(found.arkit) == 13
    turned = found.head[:, 1] - found.head[0, 1]
    expected = np.interp(np.arange(13) / 25, seen.seconds, np.array(YAWS) - YAWS[0])
    assert np.abs(turned - expected).max() < 2.5


def test_smoothing_is_never_late_and_keeps_blinks() -> None:
    t = np.arange(60) / 25
    wave = np.sin(2 * np.pi * t)[:, None]
    noisy = wave + np.random.default_rng(1).normal(0, 0.1, wave.shape)
    calm = smoothed(noisy, 25, 0.44)
    assert np.abs(calm - wave).std() < 0.6 * np.abs(noisy - wave).std()
    lags = [float(np.corrcoef(np.roll(calm[:, 0], k)[5:-5], wave[5:-5, 0])[0, 1]) for k in (-2, -1, 0, 1, 2)]
    assert int(np.argmax(lags)) == 2
    weights = np.zeros((20, 52))
    blink, press = ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["jawOpen"]
    weights[8:10, blink] = 1
    weights[:, press] = 0.5
    weights[10:13, press] = 0  # a plosive of three frames
    out = smooth_channels(weights, 25, 1.0)
    assert np.array_equal(out[:, blink], weights[:, blink].astype(out.dtype))
    assert out[11, press] < 0.1


def test_gaps_are_named_and_filled() -> None:
    found = np.array([False, True, True, False, False, True, False])
    assert gaps(found) == [(0, 0), (3, 4), (6, 6)]
    values = filled(np.array([9.0, 1, 2, 9, 9, 5, 9])[:, None], found)[:, 0]
    assert values.tolist() == [1, 1, 2, 3, 4, 5, 5]


def test_the_command_writes_a_take_and_tells_about_gaps(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "take.json"
    done = subprocess.run(
        [sys.executable, "-m", "gshead_backend.cli", "track", str(folder), "-o", str(out), "--start", "101", "--json"],
        capture_output=True, text=True, timeout=240, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    take = load_take(out)
    assert (take.start, take.frame_count, take.fps) == (101, 9, 25.0)
    assert told["without_face"] == [[105, 105]]
    assert "105" in done.stderr
    assert {"jawOpen", "neckRotation"} <= set(take.channels)
    assert take.sample("neckRotation")[-1, 1] - take.sample("neckRotation")[0, 1] > 15
    assert not list(tmp_path.glob(".take*"))
    refused = subprocess.run(
        [sys.executable, "-m", "gshead_backend.cli", "track", str(folder), "-o", str(tmp_path / "take.txt")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "take.txt" in refused.stderr
