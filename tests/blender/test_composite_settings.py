"""Heads in the renders of Cycles and EEVEE under every setting of the frame, and in a compositor of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Blender
from pictures import over, read_rgba

SIZES = {"plain": (64, 64), "half": (32, 32), "border": (64, 64), "crop": (24, 32), "subframe": (64, 64)}


@pytest.fixture(scope="module")
def shots(installed: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("settings")
    blender = Blender(*installed, runtime=tmp_path_factory.mktemp("r", numbered=True))
    return folder, blender.run("composite_settings", out=str(folder), timeout=400)


@pytest.mark.parametrize("name", [*SIZES, "stereo_L", "stereo_R", "animation_1", "animation_2", "eevee"])
def test_a_picture_with_heads_is_the_heads_over_the_render(shots: tuple[Path, dict], name: str) -> None:
    folder, _ = shots
    kind, _, which = name.partition("_")
    suffix = {"": ".exr", "L": "_L.exr", "R": "_R.exr"}.get(which, f".exr000{which}.exr")
    got, head, behind = (read_rgba(folder / f"{kind}_{part}{suffix}") for part in ("with", "head", "without"))
    assert got.shape[:2] == SIZES.get(kind, (64, 64))
    assert head[..., 3].max() > 0.9
    assert behind[..., 2].max() == pytest.approx(0.6, abs=1e-3), "the wall is there"
    np.testing.assert_allclose(got, over(head, behind), atol=1e-5)


def test_the_frames_of_an_animation_differ_and_are_blurred(shots: tuple[Path, dict]) -> None:
    folder, told = shots
    first, second = (read_rgba(folder / f"animation_head.exr000{i}.exr") for i in (1, 2))
    assert np.abs(first - second).max() > 0.2
    still = read_rgba(folder / "plain_head.exr")
    assert (second[..., 3] > 0.99).sum() < 0.9 * (still[..., 3] > 0.99).sum(), "blur leaves less of it solid"
    assert told["frame"] == [1, 0.0], "the scene is on the frame where it was"


def test_the_mesh_casts_a_shadow_when_asked_to(shots: tuple[Path, dict]) -> None:
    folder, _ = shots
    shadow, none = (read_rgba(folder / f"{name}.exr")[..., :3].sum(-1) for name in ("shadow", "no_shadow"))
    assert (shadow < 0.2 * none).sum() > 50
    assert (shadow > 1.05 * none + 1e-3).sum() < 10


def test_a_compositor_of_ones_own_keeps_its_links(shots: tuple[Path, dict]) -> None:
    tree = shots[1]["tree"]
    assert tree["after"] == tree["before"]
    assert "Gaussian Heads.Image > Blur.Image" in tree["during"]
    assert "Render Layers.Image > Blur.Image" not in tree["during"]


@pytest.mark.parametrize("when", ["first", "later"])
def test_heads_that_come_later_are_taken_up_by_the_next_render(shots: tuple[Path, dict], when: str) -> None:
    before, camera, shadow, glossy, there, *after = shots[1][when]
    assert before
    assert [camera, shadow, glossy, there] == [False, False, True, True]
    assert after == [True, True]


def test_masks_are_sockets_of_the_heads_node(shots: tuple[Path, dict]) -> None:
    assert shots[1]["sockets"] == ["Image", "Alpha", "Depth", "Heads Depth", "Mask Ada"]


def test_instanced_heads_are_taken_along_and_hidden_collections_left_out(shots: tuple[Path, dict]) -> None:
    assert shots[1]["instances"] == [["Ada", "instancer"], [False, True]]
    assert shots[1]["images"] == [], "no image datablock is made"
