"""Heads lit by Blender's lights and world: brightness, side, settings, and what stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Blender
from pictures import read_rgba

ALBEDO = 0.2140411  # linear, of the grey head and of the ball beside it


@pytest.fixture(scope="module")
def shots(installed: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("light")
    blender = Blender(*installed, runtime=tmp_path_factory.mktemp("r", numbered=True))
    return folder, blender.run("scene_light", out=str(folder), timeout=500)


def halves(shots: tuple[Path, dict], name: str) -> tuple[float, float]:
    """Mean linear brightness of the head in the left and the right half of the picture."""
    image = read_rgba(shots[0] / f"{name}.exr")
    solid, middle = image[..., 3] > 0.99, image.shape[1] // 2
    assert solid.sum() > 500
    left, right = (image[:, part][solid[:, part]][:, :3].mean() for part in (np.s_[:middle], np.s_[middle:]))
    return float(left), float(right)


def test_a_key_light_brightens_its_own_side(shots: tuple[Path, dict]) -> None:
    left, right = halves(shots, "left"), halves(shots, "right")  # of the person
    assert left[1] > 2.5 * left[0]
    assert right[0] > 2.5 * right[1]


def test_the_photos_light_is_what_it_was(shots: tuple[Path, dict]) -> None:
    folder, _ = shots
    photo = read_rgba(folder / "photo.exr")
    solid = photo[..., 3] > 0.99
    np.testing.assert_allclose(photo[solid][:, :3], ALBEDO, atol=4e-3)  # under a lamp that does not count
    for name in ("photo_again", "keyed_1"):
        assert read_rgba(folder / f"{name}.exr").tobytes() == photo.tobytes(), name


def test_without_light_a_head_is_black_and_covers_the_same(shots: tuple[Path, dict]) -> None:
    for name in ("dark", "spot_past", "unlinked"):
        image = read_rgba(shots[0] / f"{name}.exr")
        assert np.abs(image[..., :3]).max() < 1e-4, name
        np.testing.assert_array_equal(image[..., 3], read_rgba(shots[0] / "photo.exr")[..., 3])


def test_strength_mixes_in_linear_light(shots: tuple[Path, dict]) -> None:
    photo, full, half = (read_rgba(shots[0] / f"{name}.exr") for name in ("photo", "right", "half"))
    solid = photo[..., 3] > 0.999
    np.testing.assert_allclose(half[solid], (photo[solid] + full[solid]) / 2, atol=4e-3)
    middle, end = halves(shots, "keyed_6"), halves(shots, "keyed_11")
    assert end[0] < middle[0] < ALBEDO, "keyed, and evaluated on its frame"
    assert end[1] < middle[1] < ALBEDO


def test_the_light_stays_in_the_scene_when_the_head_turns(shots: tuple[Path, dict]) -> None:
    neck, object_ = halves(shots, "neck_left"), halves(shots, "object_left")
    assert neck[0] > 1.4 * neck[1]
    np.testing.assert_allclose(neck, object_, rtol=0.15)  # bones turn splats under the light, an object the light
    other = halves(shots, "neck_right")
    assert other[0] > 1.4 * other[1]


def test_other_lights_and_instances_count(shots: tuple[Path, dict]) -> None:
    for name in ("area", "sun"):
        left, right = halves(shots, name)
        assert left > 2.5 * right, name
    left, right = halves(shots, "instanced")
    assert right > 2.5 * left, "a collection's instance, turned"


def test_a_white_world_shows_the_photos_colors(shots: tuple[Path, dict]) -> None:
    image = read_rgba(shots[0] / "white_world.exr")
    solid = image[..., 3] > 0.99
    np.testing.assert_allclose(image[solid][:, :3], ALBEDO, rtol=0.01)


def test_an_environment_texture_lights_from_where_it_is_bright(shots: tuple[Path, dict]) -> None:
    left, right = halves(shots, "sky")
    assert right > 5 * left
    turned = halves(shots, "sky_turned")
    np.testing.assert_allclose(turned[::-1], (left, right), rtol=0.1)


def test_a_head_is_as_bright_as_a_ball_beside_it_in_cycles(shots: tuple[Path, dict]) -> None:
    image, twice = (read_rgba(shots[0] / f"{name}.exr") for name in ("cycles", "cycles_twice"))
    solid = image[..., 3] > 0.99
    columns = np.flatnonzero(solid.any(0))
    gap = columns[np.argmax(np.diff(columns))] + 1
    assert np.diff(columns).max() > 3, "two things stand apart"
    head, ball = (np.quantile(image[:, part][solid[:, part]][:, :3], 0.98) for part in (np.s_[:gap], np.s_[gap:]))
    assert ball == pytest.approx(ALBEDO * 3 / np.pi, rel=0.06)
    assert head == pytest.approx(ball, rel=0.08)
    np.testing.assert_allclose(twice[solid][:, :3], 2 * image[solid][:, :3], rtol=0.02, atol=2e-3)


def test_the_setting_sits_on_the_rig(shots: tuple[Path, dict]) -> None:
    assert shots[1]["strength"] == 1.0
