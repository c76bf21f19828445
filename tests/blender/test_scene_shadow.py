"""Shadows of the scene on a head: as Cycles throws them on the head's own mesh, and what turns them off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Blender
from pictures import read_rgba


@pytest.fixture(scope="module")
def shots(installed: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("shadow")
    blender = Blender(*installed, runtime=tmp_path_factory.mktemp("r", numbered=True))
    return folder, blender.run("scene_shadow", out=str(folder), timeout=500)


@pytest.fixture
def solid(shots: tuple[Path, dict]) -> np.ndarray:
    """(H, W) bool: what both the head and its mesh cover."""
    both = [read_rgba(shots[0] / f"{name}.exr")[..., 3] > 0.99 for name in ("lit", "cycles_lit")]
    return both[0] & both[1]


def left(folder: Path, name: str, without: str, solid: np.ndarray) -> np.ndarray:
    """(n,) what shadows leave of the brightness of the solid pixels."""
    one, other = (read_rgba(folder / f"{n}.exr")[..., :3].sum(-1)[solid] for n in (name, without))
    return one / np.maximum(other, 1e-4)


def test_a_bar_throws_the_shadow_that_cycles_throws(shots: tuple[Path, dict], solid: np.ndarray) -> None:
    ours, cycles = left(shots[0], "shadow", "lit", solid), left(shots[0], "cycles_shadow", "cycles_lit", solid)
    assert 0.2 < (cycles < 0.5).mean() < 0.4, "a band, not all of the head"
    assert ours.mean() == pytest.approx(cycles.mean(), rel=0.04)
    dark, there = ours < 0.5, cycles < 0.5
    assert (dark & there).sum() > 0.6 * (dark | there).sum()
    assert ours.max() < 1.001


def test_a_large_lamp_throws_a_soft_one(shots: tuple[Path, dict], solid: np.ndarray) -> None:
    hard, soft = left(shots[0], "shadow", "lit", solid), left(shots[0], "soft", "lit", solid)
    assert hard.min() < 0.05
    assert soft.min() > 0.4
    assert (soft < 0.9).mean() > (hard < 0.9).mean()


def test_the_same_scene_gives_the_same_bytes(shots: tuple[Path, dict]) -> None:
    first, again = (read_rgba(shots[0] / f"{name}.exr") for name in ("shadow", "again"))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", ["no_caster", "no_shadow_lamp", "hidden"])
def test_what_throws_none_throws_none(shots: tuple[Path, dict], name: str) -> None:
    lit, got = (read_rgba(shots[0] / f"{n}.exr") for n in ("lit", name))
    np.testing.assert_array_equal(got, lit)


def test_instances_throw_shadows_and_the_compositor_shows_them(shots: tuple[Path, dict], solid: np.ndarray) -> None:
    wanted = read_rgba(shots[0] / "shadow.exr")
    np.testing.assert_allclose(read_rgba(shots[0] / "instanced.exr"), wanted, atol=1e-5)
    composite = read_rgba(shots[0] / "composite.exr")
    np.testing.assert_allclose(composite[solid][:, :3], wanted[solid][:, :3], atol=2e-3)
    assert "Bar" in shots[1]["linked"], "the scene that draws heads evaluates what throws shadows on them"


def test_they_fall_on_the_photos_colors_too(shots: tuple[Path, dict], solid: np.ndarray) -> None:
    ours, photo = left(shots[0], "shadow", "lit", solid), left(shots[0], "photo_shadow", "photo", solid)
    np.testing.assert_allclose(photo, ours, atol=0.02)
    coverage = [read_rgba(shots[0] / f"{n}.exr")[..., 3] for n in ("photo", "shadow")]
    np.testing.assert_array_equal(*coverage)
