"""SPZ: an asymmetric three-splat scene and a whole avatar come back within the format's own steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import read_spz
from three_splats import assert_same, three_splats
from tiny_avatar import make_tiny_avatar

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import Splats
from gshead_backend.errors import ArgumentError
from gshead_backend.export.ply import export_ply
from gshead_backend.export.spz import export_spz, spz_bytes
from gshead_backend.head import HeadModel, HeadPose
from gshead_backend.head.rotation import quat_to_matrix

BOUNDS = {"place": 1e-6, "shape": 0.14, "opacity": 0.003, "color": 0.005}


def test_axes_and_quaternions_are_head_spaces(tmp_path: Path) -> None:
    size = export_spz(tmp_path / "a.spz", three_splats())
    assert size == (tmp_path / "a.spz").stat().st_size
    assert_same(read_spz(tmp_path / "a.spz"), three_splats(), **BOUNDS)
    assert spz_bytes(three_splats()) == (tmp_path / "a.spz").read_bytes(), "the same splats give the same bytes"


def test_a_head_takes_a_third_of_a_ply_at_most_and_stays_itself(tiny_head: HeadModel, tmp_path: Path) -> None:
    avatar = make_tiny_avatar(tiny_head, 3000)
    splats = drive(avatar, HeadPose.neutral(tiny_head.expression_count))
    assert export_spz(tmp_path / "a.spz", splats) < export_ply(tmp_path / "a.ply", splats) / 3
    assert_same(read_spz(tmp_path / "a.spz"), splats, **BOUNDS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_any_rotation_is_kept_to_a_fifth_of_a_degree(quat: list[float]) -> None:
    one = Splats(np.zeros((1, 3)), np.array([quat]), np.full((1, 3), 0.01), np.ones(1), np.zeros((1, 3)))
    got = read_spz(spz_bytes(one)).quats[0]
    turn = quat_to_matrix(np.array(quat)).T @ quat_to_matrix(got)
    assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) < 0.25


@pytest.mark.parametrize("reach", [0.001, 7.9, 8.1, 900.0])
def test_large_scenes_trade_precision_for_reach(tmp_path: Path, reach: float) -> None:
    far = replace(three_splats(), means=three_splats().means * np.float32(reach / 0.3))
    export_spz(tmp_path / "a.spz", far)
    assert np.abs(read_spz(tmp_path / "a.spz").means - far.means).max() <= max(2**-21, reach * 2**-21)


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="8 km"):
        export_spz(tmp_path / "a.spz", replace(three_splats(), means=np.full((3, 3), 20_000.0)))
    with pytest.raises(ArgumentError, match="NaN"):
        export_spz(tmp_path / "a.spz", replace(three_splats(), scales=np.full((3, 3), np.inf)))
    assert not list(tmp_path.iterdir())


def test_a_splat_just_below_a_power_of_two_does_not_change_sides(tmp_path: Path) -> None:
    """Its place rounds up to the number that 24 bits with a sign do not hold."""
    far = np.float32(np.nextafter(np.float32(8), np.float32(0)))
    splats = three_splats()
    means = splats.means.copy()
    means[0], means[1] = [far, -far, far], [-far, far, 0]
    export_spz(tmp_path / "a.spz", replace(splats, means=means))
    assert np.abs(read_spz(tmp_path / "a.spz").means - means).max() < 2e-6
