"""The guided filter against its definition, and what it is for: soft maps that end where the picture's edges are."""

import cv2
import numpy as np
import pytest

from gshead_backend.portrait.guided import GuidedFilter


def _by_definition(guide: np.ndarray, values: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """He, Sun, Tang 2013, eqs. 19-21, window by window; borders are mirrored as OpenCV's BORDER_REFLECT does."""
    h, w = values.shape
    rows, columns = (np.pad(np.arange(n), radius, mode="symmetric") for n in (h, w))
    window = np.arange(2 * radius + 1)
    slope, offset = np.zeros((h, w, 3)), np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            place = np.ix_(rows[y + window], columns[x + window])
            colors, p = guide[place].reshape(-1, 3).astype(float), values[place].ravel().astype(float)
            mean, spread = colors.mean(0), np.cov(colors.T, bias=True) + epsilon * np.eye(3)
            slope[y, x] = np.linalg.solve(spread, (colors * p[:, None]).mean(0) - mean * p.mean())
            offset[y, x] = p.mean() - slope[y, x] @ mean
    out = np.zeros((h, w))
    for y in range(h):
        for x in range(w):
            place = np.ix_(rows[y + window], columns[x + window])
            out[y, x] = slope[place].reshape(-1, 3).mean(0) @ guide[y, x] + offset[place].mean()
    return out


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-2), (3, 5e-5)])
def test_it_is_what_its_authors_define(radius: int, epsilon: float) -> None:
    rng = np.random.default_rng(3)
    guide = cv2.GaussianBlur(rng.random((23, 31, 3)).astype(np.float32), (0, 0), 1.0)
    values = rng.random((23, 31)).astype(np.float32)
    assert (
        np.abs(GuidedFilter(guide, radius, epsilon)(values) - _by_definition(guide, values, radius, epsilon)).max()
        < 2e-3
    )


def test_classes_that_sum_to_one_still_do() -> None:
    rng = np.random.default_rng(4)
    guide = cv2.GaussianBlur(rng.random((60, 60, 3)).astype(np.float32), (0, 0), 2.0)
    classes = rng.dirichlet(np.ones(5), (60, 60)).astype(np.float32)
    follow = GuidedFilter(guide, 5, 5e-5)
    assert np.abs(sum(follow(classes[..., i]) for i in range(5)) - 1).max() < 1e-3


@pytest.mark.parametrize("size", [200, 800])  # the larger one at half the resolution
def test_a_map_that_is_half_as_fine_finds_the_edge_again(size: int) -> None:
    y, x = np.mgrid[:size, :size] / size
    shape = (np.hypot(x - 0.52, y - 0.47) < 0.31).astype(np.float32)
    guide = 0.3 + 0.4 * shape[..., None] * np.array([1.0, 0.7, 0.5], np.float32)
    guide = (guide + np.random.default_rng(5).normal(0, 0.01, guide.shape)).astype(np.float32)
    small = cv2.resize(shape, (size // 10, size // 10), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
    wrong = ((soft > 0.5) != (shape > 0.5)).mean()
    left = ((GuidedFilter(guide, size // 16, 5e-5)(soft) > 0.5) != (shape > 0.5)).mean()
    assert left < 0.25 * wrong, (wrong, left)
