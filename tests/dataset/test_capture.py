"""Multi-view folders: the head stands among the known cameras, in one size."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from footage_of_people import SETTINGS

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from folders import painted, write_folder  # pyright: ignore[reportMissingImports]

from gshead_backend.dataset.prepare import Outcome, prepare
from gshead_backend.errors import EvaluationError, SceneError
from gshead_backend.evaluation.align import head_marks
from gshead_backend.evaluation.multiview import Scene, read_scene
from gshead_backend.head import HeadModel, PersonalHead
from gshead_backend.training.footage import Footage, Frame

SCALE = 3.0
YAWS = (0.0, -30.0, 30.0, -60.0, 150.0)


@pytest.fixture(scope="module")
def capture(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("capture") / "views"
    write_folder(folder, painted(head), scale=SCALE, size=400, yaws=YAWS)
    return folder


@pytest.fixture(scope="module")
def made(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("prepared") / "set"
    return folder, prepare([capture], folder, SETTINGS)


def by_number(folder: Path) -> dict[int, Frame]:
    footage = Footage(folder)
    return {f.number: f for f in (footage[i] for i in range(len(footage)))}


def seen_again(scene: Scene, frame: Frame, points: np.ndarray) -> np.ndarray:
    """Pixels of a frame in the view that it was cut from."""
    K = scene.views[frame.number].camera.K
    return (points - frame.camera.K[:2, 2]) / frame.camera.K[[0, 1], [0, 1]] * K[[0, 1], [0, 1]] + K[:2, 2]


def test_cameras_stand_to_each_other_as_they_did(capture: Path, made: tuple[Path, Outcome]) -> None:
    scene, frames = read_scene(capture), by_number(made[0])
    assert sorted(frames) == list(range(len(scene.views)))
    scale = made[1].made[str(capture)].facts["world_units_per_metre"]
    for k in range(1, len(YAWS)):
        mine, true = (
            a.viewmat @ np.linalg.inv(b.viewmat)
            for a, b in ((frames[k].camera, frames[0].camera), (scene.views[k].camera, scene.views[0].camera))
        )
        np.testing.assert_allclose(mine[:3, :3], true[:3, :3], atol=1e-4)
        np.testing.assert_allclose(mine[:3, 3] * scale, true[:3, 3], atol=1e-3 * SCALE)


def test_the_head_lies_on_the_face_in_every_view(
    capture: Path, made: tuple[Path, Outcome], head: HeadModel
) -> None:  # fmt: skip
    """Views that had no part in the fit as well: the profile, and the one from behind."""
    scene = read_scene(capture)
    for frame in by_number(made[0]).values():
        personal = PersonalHead.create(head, frame.betas, frame.vertex_offsets)
        points, normals = head_marks(head, personal.vertices(frame.pose))
        found = seen_again(scene, frame, frame.camera.project(points)[:, :2])
        true = scene.marks(scene.views[frame.number])
        assert true is not None
        toward = frame.camera.position - points
        facing = (normals * toward).sum(1) > 0.15 * np.linalg.norm(toward, axis=1)
        away = np.linalg.norm(found - true[:468], axis=1)
        face = 175  # pixels of the face in a view of 400
        assert away[facing if facing.sum() > 50 else slice(None)].mean() < 0.07 * face


def test_views_of_an_instant_share_time_and_pose(made: tuple[Path, Outcome]) -> None:
    frames = by_number(made[0])
    assert [frames[k].time for k in range(6)] == [0, 0, 0, 0, 0, 1]
    assert len({frames[k].view for k in range(5)}) == 5
    np.testing.assert_array_equal(frames[1].pose.to_vector(), frames[3].pose.to_vector())
    assert np.abs(frames[5].pose.expression - frames[0].pose.expression).max() > 0.2
    assert np.isnan(frames[4].error_px)
    assert Footage(made[0]).angles.max() > 120


def test_the_folders_own_licence_is_kept_where_none_is_given(capture: Path, tmp_path: Path, head: HeadModel) -> None:
    from gshead_backend.dataset.capture_source import plan_capture
    from gshead_backend.dataset.settings import Settings

    plan = plan_capture(capture, head, Settings(size=128))
    assert plan.licence == "CC0-1.0"


def test_one_view_does_not_tell_the_size(head: HeadModel, tmp_path: Path) -> None:
    write_folder(tmp_path / "single", painted(head), yaws=(0.0,), frames={"neutral": {}})
    write_folder(tmp_path / "broken", painted(head), yaws=(0.0,), frames={"neutral": {}})
    (tmp_path / "broken" / "neutral_0.png").unlink()
    outcome = prepare([tmp_path / "single", tmp_path / "broken"], tmp_path / "set", SETTINGS)
    single, broken = outcome.failed.values()
    assert isinstance(single, EvaluationError)
    assert "one side only" in single.message
    assert isinstance(broken, SceneError)
