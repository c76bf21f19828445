"""The mathematics of averaged frames: shutter, lens, masks, depth."""

from __future__ import annotations

import numpy as np
import pytest
from test_pure import part

from gshead_backend.camera import Camera

RNG = np.random.default_rng(0)


def camera() -> Camera:
    K = np.array([[900.0, 3.0, 310.0], [0.0, 880.0, 250.0], [0.0, 0.0, 1.0]])
    viewmat = np.eye(4)
    viewmat[:3, 3] = 0.1, -0.2, 0.3
    return Camera(640, 480, K, viewmat, 0.01, 10.0)


def test_a_point_in_focus_stays_and_another_moves_by_the_thin_lens_formula() -> None:
    lens = part("sampling").Lens((0.02, 0.03), 1.5)
    sharp, place = camera(), (0.6, -0.7)
    moved = lens.camera(sharp, place)
    for depth in (1.5, 0.7):
        points = np.concatenate([RNG.normal(size=(50, 2)) * 0.2, np.full((50, 1), depth)], 1) - sharp.viewmat[:3, 3]
        shift = moved.project(points)[:, :2] - sharp.project(points)[:, :2]
        offset = np.array([place[0] * 0.02, place[1] * 0.03]) * (1 / 1.5 - 1 / depth)
        np.testing.assert_allclose(shift, np.tile(sharp.K[:2, :2] @ offset, (50, 1)), atol=1e-9)


@pytest.mark.parametrize(("position", "opens"), [("START", 0.0), ("CENTER", -0.5), ("END", -1.0)])
def test_samples_fill_the_shutter_and_the_lens_evenly(position: str, opens: float) -> None:
    taken = part("sampling").samples(64, shutter=0.5, position=position, lens=True)
    centre, rest = taken[0], taken[1:]
    assert (centre.time, centre.lens, centre.weight) == (pytest.approx(0.5 * (opens + 0.5)), (0.0, 0.0), 0.0)
    times = np.array([s.time for s in rest])
    np.testing.assert_allclose(times, 0.5 * (opens + (np.arange(64) + 0.5) / 64))
    places = np.array([s.lens for s in rest])
    np.testing.assert_allclose(places.mean(0), 0, atol=0.03)
    np.testing.assert_allclose((places**2).mean(0), 0.25, atol=0.02)  # of a uniform disk
    assert abs(np.corrcoef(times, places[:, 0])[0, 1]) < 0.35


def test_without_blur_there_is_one_sharp_sample_at_the_frame() -> None:
    sampling = part("sampling")
    assert sampling.samples(16, shutter=None) == [sampling.Sample()]
    assert sampling.samples(1, shutter=0.5, lens=True) == [sampling.Sample()]


def test_masks_add_up_to_the_coverage_of_all_and_the_nearer_head_is_first() -> None:
    alone = [RNG.uniform(0, 1, (5, 7)) for _ in range(3)]
    depths = [RNG.uniform(1, 2, (5, 7)) for _ in range(3)]
    alone[0][0], depths[0][0] = 0.0, np.inf
    made = part("sampling").masks(alone, depths)
    np.testing.assert_allclose(sum(made), 1 - np.prod([1 - a for a in alone], axis=0))
    nearest = np.argmin(depths, 0)
    for k in range(3):
        np.testing.assert_allclose(made[k][nearest == k], alone[k][nearest == k])


def test_depth_of_an_average_is_the_centres_and_beyond_it_the_mean_of_what_reaches_there() -> None:
    average = part("sampling").Average()
    rgba = np.zeros((1, 3, 4))
    solid, half = rgba.copy(), rgba.copy()
    solid[0, 0] = solid[0, 1] = 1
    half[0, 1] = half[0, 2] = 0.5
    inf = np.inf
    average.add({"rgba": solid}, np.array([[1.0, 1.1, inf]]), 0.0)
    average.add({"rgba": solid}, np.array([[3.0, 3.0, inf]]), 1.0)
    average.add({"rgba": half}, np.array([[inf, 4.0, 5.0]]), 1.0)
    layers, depth = average.result()
    np.testing.assert_allclose(layers["rgba"][0, :, 3], [0.5, 0.75, 0.25])
    np.testing.assert_allclose(depth, [[1.0, 1.1, 5.0]], rtol=1e-6)


def test_filled_depth_keeps_what_is_known_and_stays_between_it() -> None:
    fill = part("sampling").fill_depth
    depth = np.full((37, 53), np.inf)
    depth[10:20, 5:15], depth[25:30, 40:50] = 1.0, 3.0
    filled = fill(depth)
    known = np.isfinite(depth)
    np.testing.assert_array_equal(filled[known], depth[known])
    assert np.isfinite(filled).all()
    assert filled.min() >= 1.0 - 1e-9
    assert filled.max() <= 3.0 + 1e-9
    assert filled[9, 10] == pytest.approx(1.0)
    assert np.isinf(fill(np.full((4, 4), np.inf))).all()
