"""Heads inside Cycles renders: by depth, with soft edges, never left out silently, and gone without a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from harness import Blender
from pictures import over, read_passes, read_rgba

PATCHY = 0.1  # an error that is seen as a fringe
NEAR_WALL = 0.0075  # where the wall stands; the camera is 0.8 m before the origin
SEEN = {"muted": "muted", "single_layer": "Single Layer", "compositing_off": "compositing is off"}


@pytest.fixture(scope="module")
def golden(installed: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("composite")
    blender = Blender(*installed, runtime=tmp_path_factory.mktemp("r", numbered=True))
    return folder, blender.run("composite", out=str(folder), near_wall=NEAR_WALL)


def test_a_ball_before_and_a_ball_behind_the_head(golden: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = golden
    head, front, far, got = (read_rgba(folder / f"{name}.exr") for name in ("head", "front", "far", "composite"))
    wanted = over(front, over(head, far))
    assert front[..., 3].max() == 1
    assert head[..., 3].max() > 0.99
    error = np.abs(got - wanted).max(-1)
    edge = (front[..., 3] > 0.002) & (front[..., 3] < 0.998)
    cut = edge & (head[..., 3] > 0.5)
    assert cut.sum() > 100, "the ball's outline crosses the head"
    beside = ~_grown(edge)
    assert error[beside].max() < 1e-4, "exact wherever the ball's outline is not"
    # An outline's coverage is told from its colours; where three of them meet it is a guess.
    assert error[edge].mean() < 0.02
    stairs = np.abs(np.where(front[..., 3:] > 0.5, over(front, far), over(head, far)) - wanted).max(-1)
    assert error[edge].mean() < 0.25 * stairs[edge].mean()
    assert (error > PATCHY).mean() < 0.001


def test_a_ball_that_is_blurred_before_the_head_leaves_no_grain(golden: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = golden
    head, front, far, got = (read_rgba(folder / f"{n}.exr") for n in ("head", "moving_front", "far", "moving"))
    error = (got - over(front, over(head, far)))[..., :3]
    blurred = (front[..., 3] > 0.05) & (front[..., 3] < 0.95) & (head[..., 3] > 0.99)
    assert blurred.sum() > 300
    assert np.abs(error[blurred]).mean() < 0.08, "the coverage is right on the whole"
    steps = np.abs(np.diff(error, axis=1))[blurred[:, 1:] & blurred[:, :-1]]
    assert np.quantile(steps, 0.95) < 0.12, "and does not jump from pixel to pixel"


def test_thin_hair_before_a_near_wall_stays(golden: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = golden
    head, wall, got = (read_rgba(folder / f"{name}.exr") for name in ("head", "wall", "near_wall"))
    depth = read_passes(folder / "head.exr")["Depth.Z"]
    farthest = depth[depth < 1e10].max()
    assert 0 < 0.8 + NEAR_WALL - farthest < 0.004, "the wall is a few millimetres behind the last hair"
    thin = (head[..., 3] > 0.02) & (head[..., 3] < 0.5)
    assert thin.sum() > 100
    np.testing.assert_allclose(got, over(head, wall), atol=1e-5)


def test_setting_up_and_removing_leaves_no_trace(golden: tuple[Path, dict[str, Any]]) -> None:
    told = golden[1]
    assert told["during"] == {"scenes": 2, "objects": ["Ada"], "camera_rays": False}
    assert told["after"] == told["state"]
    assert told["mesh"][0] == told["mesh"][1]


@pytest.fixture(scope="module")
def failures(installed: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("failures")
    blender = Blender(*installed, runtime=tmp_path_factory.mktemp("r", numbered=True))
    told = blender.run("composite_failures", out=str(folder))
    told["frames_of"] = {}
    for name in told["movies"]:
        (movie,) = (folder / name).glob("m_*")
        told["frames_of"][name] = int(cv2.VideoCapture(str(movie)).get(cv2.CAP_PROP_FRAME_COUNT))
    return told


@pytest.mark.parametrize("name", ["no_backend", "no_backend_animation", *SEEN, "deleted", "copied"])
def test_a_render_that_would_lack_its_heads_raises_and_writes_nothing(failures: dict[str, Any], name: str) -> None:
    assert failures["results"][name].startswith("RuntimeError")
    assert failures["files"][name] == []
    assert SEEN.get(name, "") in failures["reasons"][name]
    assert failures["reasons"][name].startswith("GSH-E600" if name.startswith("no_backend") else "GSH-E100")
    assert failures["border"] == [False, 1.0], "the region is put back"


def test_a_backend_lost_on_the_way_ends_the_render_after_the_last_good_frame(failures: dict[str, Any]) -> None:
    assert failures["results"]["lost"] == "CANCELLED"
    assert failures["files"]["lost"] == ["f_0001.exr"]
    assert failures["movies"]["lost_movie"] == "CANCELLED"
    assert failures["movies"]["movie_in_window"].startswith("RuntimeError")
    assert failures["frames_of"] == {"lost_movie": 1, "movie_in_window": 1}, "movies keep the frame that was good"
    assert failures["format_after"] == "FFMPEG", "the format is put back"
    assert failures["results"]["lost_still"] == "CANCELLED"
    assert failures["files"]["lost_still"] == []
    assert failures["results"]["lost_in_window"].startswith("RuntimeError")
    assert failures["files"]["lost_in_window"] == ["f_0001.exr"]
    assert failures["filepath"].endswith("lost_in_window/f_"), "the path is put back"
    assert failures["scenes"] == ["Scene", "Scene Heads"], "what stopped it is gone"


def test_it_survives_undo_and_reload_and_is_removed_after_them(failures: dict[str, Any]) -> None:
    assert failures["removed"] == 1
    assert failures["undone"] == [True, 2, False]
    assert failures["heads_scenes"] == 2
    for name in ("restored", "undone", "reloaded", "copied_added"):
        assert failures["results"][name] == "FINISHED"
        assert len(failures["files"][name]) == 1
    assert failures["left"] == {"scenes": 1, "groups": 0, "camera_rays": True}


def _grown(mask: np.ndarray, by: int = 2) -> np.ndarray:
    """A mask with its neighbourhood: smoothing reaches that far."""
    out = mask.copy()
    for dy in range(-by, by + 1):
        for dx in range(-by, by + 1):
            out |= np.roll(mask, (dy, dx), (0, 1))
    return out
