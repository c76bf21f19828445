"""The test people: a balanced cast, exact truth, and a real picture by Blender."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from gshead_backend.errors import EvaluationError
from gshead_backend.evaluation.benchmarks.tracking import ClipTruth, closures, compared, read_clip
from gshead_backend.evaluation.multiview import read_scene
from gshead_backend.evaluation.people import CAST, DAILY, find_blender, motion, render_clip, render_people
from gshead_backend.evaluation.people.bodies import make_body
from gshead_backend.evaluation.people.frames import EXPRESSIONS, VIEWS, cameras, moments
from gshead_backend.head import ARKIT_INDEX
from gshead_backend.head.rotation import axis_angle_to_matrix, euler_to_matrix
from gshead_backend.portrait.labels import LABEL_INDEX
from gshead_backend.portrait.tracking.tracker import FACING, Track


def test_the_cast_is_what_the_evaluation_promises() -> None:
    assert len(CAST) == 20
    assert len({role.name for role in CAST}) == len({role.seed for role in CAST}) == 20
    assert sum(role.hard for role in CAST) == 10
    assert sum(role.melanin >= 0.5 for role in CAST) == 10
    assert sum(role.geometry == "ict" for role in CAST) == 5
    for wanted in ("beard", "glasses", "hat", "crowd", "grey"):
        assert sum(bool(getattr(role, wanted)) for role in CAST) >= 2, wanted
    daily = [role for role in CAST if role.name in DAILY]
    assert len(daily) == 5
    assert {role.geometry for role in daily} == {"default"}
    assert {role.hard for role in daily} == {True, False}


def test_frames_are_frozen_and_strong_enough() -> None:
    for role in CAST[:3]:
        frames = moments(role)
        assert [m.name for m in frames] == list(EXPRESSIONS)
        again = moments(role)
        assert all(np.array_equal(a.arkit, b.arkit) for a, b in zip(frames, again, strict=True))
        by_name = {m.name: m.arkit for m in frames}
        assert by_name["closed-eyes"][ARKIT_INDEX["eyeBlinkLeft"]] > 0.85
        assert by_name["open"][ARKIT_INDEX["jawOpen"]] > 0.5
        assert by_name["neutral"].max() == 0


def test_a_body_has_its_parts_where_the_truth_says() -> None:
    role = next(r for r in CAST if r.name == "04-full-beard")
    body = make_body(role, moments(role)[0])
    assert {"skin", "eye_left", "eye_right", "teeth", "flesh", "cloth"} <= {m.material for m in body.meshes}
    assert {"hair", "brow", "lash", "beard"} == {s.material for s in body.strands}
    beard = next(s for s in body.strands if s.material == "beard").points
    assert beard[:, 0, 1].max() < body.landmarks[2, 1] + 0.002
    assert body.landmarks.shape == (478, 3)
    for e, rows in ((1, slice(468, 473)), (0, slice(473, 478))):  # the irises look where the gaze says
        toward = body.landmarks[rows][0] - body.eyes[e, 0]
        assert toward @ body.eyes[e, 1] / np.linalg.norm(toward) > 0.999


def test_twelve_views_look_at_the_face() -> None:
    role = CAST[0]
    seen = cameras(role, np.zeros(3))
    assert len(seen) == len(VIEWS) == 12
    for camera in seen:
        np.testing.assert_allclose(camera.project(np.array([[0, -0.012, 0.0]]))[0, :2], 256, atol=1e-6)


def test_unknown_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="nobody"):
        render_people(tmp_path, people=["nobody"])
    with pytest.raises(EvaluationError, match="dance"):
        render_people(tmp_path, frames=["dance"])
    with pytest.raises(EvaluationError, match="0 to 11"):
        render_people(tmp_path, views=[12])


@pytest.mark.blender
def test_blender_renders_a_person_with_exact_truth(tmp_path: Path) -> None:
    try:
        blender = find_blender()
    except EvaluationError as error:
        pytest.skip(str(error))
    name = DAILY[1]
    render_people(tmp_path, people=[name], frames=["neutral"], views=[0, 7], python=blender, size=48, samples=2)
    assert len(read_scene(tmp_path / name).views) == 2
    before = os.stat(tmp_path / name / "neutral" / "view_00.png").st_mtime_ns
    render_people(tmp_path, people=[name], frames=["neutral"], python=blender, size=48, samples=2)
    told: list[str] = []
    nobody = tmp_path / "no-blender"
    again = render_people(tmp_path, people=[name], frames=["neutral"], python=nobody, size=48, samples=2,
                          progress=lambda fraction, text: told.append(text))  # fmt: skip
    assert again == [tmp_path / name], "what is there is not rendered again"
    assert told == ["1 test people"]
    assert os.stat(tmp_path / name / "neutral" / "view_00.png").st_mtime_ns == before  # kept, not made again
    scene = read_scene(tmp_path / name)
    assert len(scene.views) == 12
    view = scene.views[0]
    labels, matte, marks = view.read_labels(), view.read_matte(), scene.marks(view)
    assert labels is not None
    assert matte is not None
    assert marks is not None
    assert ((labels > 0) == (matte > 0.5)).all()
    face = np.isin(labels, [LABEL_INDEX[n] for n in ("skin", "brows", "eyes", "lips", "mouth", "ears", "hair")])
    inside = face[marks[:468, 1].astype(int), marks[:468, 0].astype(int)]
    assert inside.mean() > 0.95
    x, y = marks[13]
    assert labels[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].max() >= LABEL_INDEX["skin"]
    assert view.read_image().std() > 10


def test_a_clip_blinks_speaks_and_turns() -> None:
    acts, turns = motion.moments(CAST[0])
    again, _ = motion.moments(CAST[0])
    arkit = np.stack([m.arkit for m in acts])
    assert np.array_equal(arkit, np.stack([m.arkit for m in again]))
    assert arkit.min() >= 0
    assert arkit.max() <= 1
    blinks = arkit[:, ARKIT_INDEX["eyeBlinkLeft"]] > 0.9
    assert (np.diff(blinks.astype(int)) == 1).sum() == 3
    assert len(closures(arkit[:, ARKIT_INDEX["jawOpen"]], arkit[:, ARKIT_INDEX["jawOpen"]])) >= 2
    assert np.ptp(turns[:, 0]) > 15
    assert np.abs(np.diff(turns, axis=0)).max() < 3


def test_a_perfect_track_has_no_errors_and_an_offset_is_told_apart() -> None:
    acts, turns = motion.moments(CAST[0])
    arkit = np.stack([m.arkit for m in acts])
    gaze = np.radians([m.gaze for m in acts])
    n = len(arkit)
    angles = np.radians(turns[:, [1, 0, 2]] * [-1, 1, 1])
    R = FACING @ euler_to_matrix(angles)
    viewmat = np.tile(np.eye(4), (n, 1, 1))
    viewmat[:, :3, :3] = axis_angle_to_matrix(np.array([np.radians(4), 0, 0])) @ R
    eyes = np.degrees(np.stack([-gaze[..., 1], gaze[..., 0], 0 * gaze[..., 0]], -1))
    found = Track(
        25, arkit, eyes, 0 * eyes, np.degrees(angles), viewmat, 700.0, (64, 64), np.zeros(1), np.ones(n, bool)
    )
    told = compared(ClipTruth("x", 25, arkit, gaze, R, 700.0), found)
    assert told["arkit_mae"] == 0
    assert told["arkit_corr"] == pytest.approx(1)
    assert told["head_deg"] == pytest.approx(0, abs=1e-4)
    assert told["head_offset_deg"] == pytest.approx(4, abs=1e-4)
    assert told["gaze_deg"] == pytest.approx(0, abs=1e-4)
    assert told["closures_kept"] == 1
    assert told["zero_mae"] is not None
    assert told["zero_mae"] > 0.2
    flat = Track(25, 0 * arkit + 0.3, eyes, 0 * eyes, np.degrees(angles), viewmat, 700.0, (64, 64), np.zeros(1),
                 np.ones(n, bool))  # fmt: skip
    assert compared(ClipTruth("x", 25, arkit, gaze, R, 700.0), flat)["closures_kept"] == 0


def test_blender_renders_a_clip_that_goes_on(tmp_path: Path) -> None:
    try:
        find_blender()
    except EvaluationError:
        pytest.skip("no Blender is set up")
    made = render_clip(tmp_path, CAST[5].name, size=96, samples=1, frames=1)
    picture = made / "0001.png"
    before = picture.stat().st_mtime_ns
    render_clip(tmp_path, CAST[5].name, size=96, samples=1, frames=1)
    assert picture.stat().st_mtime_ns == before
    truth = read_clip(made)
    assert truth.arkit.shape == (1, 52)
    assert cv2.imread(str(picture)).std() > 10
    with pytest.raises(EvaluationError, match="no test person"):
        render_clip(tmp_path, "nobody")
    with pytest.raises(EvaluationError, match="not a clip with truth"):
        read_clip(tmp_path)
