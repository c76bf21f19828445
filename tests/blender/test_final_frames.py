"""Final frames of the engine: averages over shutter and lens, masks, regions, views, colour management."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Blender
from pictures import read_passes, read_png, read_rgba

SAMPLES = 4
OUTSIDE = 1e10


@pytest.fixture(scope="module")
def shots(installed: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("frames")
    blender = Blender(*installed, runtime=tmp_path_factory.mktemp("r", numbered=True))
    return folder, blender.run("final_frames", out=str(folder))


@pytest.mark.parametrize("position", ["START", "CENTER", "END"])
def test_motion_blur_is_the_mean_of_the_frames_of_the_shutter(shots: tuple[Path, dict], position: str) -> None:
    folder, told = shots
    parts = [read_rgba(folder / f"at_{position}_{i}.exr").astype(np.float64) for i in range(SAMPLES)]
    got = read_rgba(folder / f"blur_{position}.exr")
    np.testing.assert_allclose(got, np.mean(parts, 0), atol=2e-4)
    assert np.abs(got - read_rgba(folder / "sharp.exr")).max() > 0.2, "something moved"
    depth = read_passes(folder / f"blur_{position}.exr")["Depth.Z"]
    centre = read_passes(folder / f"at_{position}_{SAMPLES}.exr")["Depth.Z"]
    there = (centre < OUTSIDE) & (got[..., 3] >= 1 / 255)
    assert there.sum() > 500
    np.testing.assert_allclose(depth[there], centre[there], atol=2e-4)
    assert (depth[got[..., 3] >= 1 / 255] < OUTSIDE).all(), "blur has a depth wherever it reaches"
    assert told["told"][position] == [2, 0.0], "the frame is where it was"


def test_every_frame_says_that_it_is_computed(shots: tuple[Path, dict]) -> None:
    import OpenEXR

    for name in ("sharp", "focused", "border"):
        with OpenEXR.File(str(shots[0] / f"{name}.exr")) as file:
            assert "a computed picture of a person" in str(file.header()["gshead"]), name


def test_depth_of_field_keeps_what_is_in_focus_and_spreads_the_rest(shots: tuple[Path, dict]) -> None:
    folder, told = shots
    sharp, focused, unfocused = (read_rgba(folder / f"{n}.exr") for n in ("sharp", "focused", "unfocused"))
    away = [np.abs(image - sharp).mean() for image in (focused, unfocused)]
    assert away[0] < 0.25 * away[1]
    assert unfocused[..., 3].sum() == pytest.approx(sharp[..., 3].sum(), rel=0.03), "light is spread, not lost"
    # An 85 mm lens at f/0.5, focused at 0.4 m: a point at 0.8 m becomes a disk of 2 r (1/0.4 - 1/0.8) 64 * 85/36 px.
    rows = [np.flatnonzero((image[..., 3] > 0.02).any(1)) for image in (sharp, unfocused)]
    radius = 0.085 * (1 / 0.4 - 1 / 0.8) * 64 * 85 / 36
    assert radius > 15
    assert rows[1][0] < rows[0][0] - 0.3 * radius
    assert "is not a perspective camera: heads are drawn sharp" in told["output"]


def test_percentage_and_region_in_the_full_frame(shots: tuple[Path, dict]) -> None:
    folder, _ = shots
    sharp, half, border = (read_rgba(folder / f"{n}.exr") for n in ("sharp", "half", "border"))
    assert half.shape[:2] == (32, 32)
    shrunk = sharp.reshape(32, 2, 32, 2, 4).mean((1, 3))
    solid = (shrunk[..., 3] > 0.999) & (half[..., 3] > 0.999)
    assert solid.sum() > 100
    assert np.abs(half - shrunk)[solid].mean() < 0.03, "the same view with fewer pixels"
    wanted = np.zeros_like(sharp)
    wanted[32:56, 16:48] = sharp[32:56, 16:48]
    np.testing.assert_allclose(border, wanted, atol=2e-4)


@pytest.mark.parametrize(("suffix", "name"), [("L", "left"), ("R", "right")])
def test_stereo_views_are_those_of_two_cameras(shots: tuple[Path, dict], suffix: str, name: str) -> None:
    folder, _ = shots
    got, wanted = read_rgba(folder / f"stereo_{suffix}.exr"), read_rgba(folder / f"{name}.exr")
    np.testing.assert_allclose(got, wanted, atol=5e-4)
    assert np.abs(wanted - read_rgba(folder / "sharp.exr")).max() > 0.2


def test_masks_tell_heads_apart_and_add_up_to_the_coverage(shots: tuple[Path, dict]) -> None:
    folder, _ = shots
    both, alone = read_passes(folder / "masks.exr"), read_passes(folder / "mask_ada_alone.exr")
    ada, bob = both["Mask Ada.X"], both["Mask Bob.X"]
    np.testing.assert_allclose(ada + bob, both["Combined.A"], atol=5e-3)
    assert bob.max() > 0.9, "seen beside the other"
    np.testing.assert_allclose(ada, alone["Combined.A"], atol=1e-5)  # nothing stands before her
    assert "Mask Bob.X" not in alone


@pytest.mark.parametrize("transform", ["Standard", "AgX"])
def test_a_saved_picture_is_what_blender_makes_of_the_linear_one(shots: tuple[Path, dict], transform: str) -> None:
    folder, _ = shots
    got, wanted = read_png(folder / f"{transform}.png"), read_png(folder / f"{transform}_expected.png")
    solid = wanted[..., 3] > 0.99
    assert solid.sum() > 200
    np.testing.assert_allclose(got[solid], wanted[solid], atol=1.5 / 255)
    if transform == "Standard":
        linear = read_rgba(folder / "linear.exr")[solid][:, :3]
        np.testing.assert_allclose(got[solid][:, :3], _srgb(linear), atol=1.5 / 255)


def test_another_working_space_shows_the_same_colours(shots: tuple[Path, dict]) -> None:
    folder, told = shots
    if not told["told"]["space"]:
        pytest.skip("SKIPPED: this Blender has one working space only")
    assert told["told"]["space"] == "ACEScg"
    got, wanted = read_png(folder / "acescg.png"), read_png(folder / "Standard.png")
    solid = wanted[..., 3] > 0.99
    np.testing.assert_allclose(got[solid], wanted[solid], atol=1.5 / 255)


def _srgb(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
