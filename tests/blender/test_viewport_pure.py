"""The viewport's mathematics without a window: dense screens, clipping regions, what covers a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from test_pure import part

from gshead_backend.camera import Camera


def viewport(width: int, height: int, *, ortho: bool = False) -> tuple[np.ndarray, np.ndarray, Camera]:
    """Blender's matrices of a view that shows the same on every screen, and the camera made of them."""
    window = np.eye(4)
    if ortho:
        window[0, 0], window[1, 1] = 2.0, 2.0 * width / height
        window[0, 3], window[1, 3], window[2, 2:] = 0.1, -0.2, (-0.04, -0.2)
    else:
        window[0, 0], window[1, 1] = 2.2, 2.2 * width / height
        window[0, 2], window[1, 2] = 0.1, -0.05
        window[2:] = [0, 0, -1.002, -0.2002], [0, 0, -1, 0]
    view = np.array([[1, 0, 0, 0.05], [0, 0, 1, -0.02], [0, -1, 0, -0.8], [0, 0, 0, 1.0]])
    return window, view, part("camera").viewport_camera(window, view, width, height)


@pytest.mark.parametrize("ortho", [False, True])
@pytest.mark.parametrize("density", [1.25, 2, 3])
def test_a_dense_screen_shows_the_same_with_more_pixels(density: float, ortho: bool) -> None:
    """A region is measured in the screen's own pixels, whatever the interface is scaled by."""
    width, height = 640, 360
    _, _, plain = viewport(width, height, ortho=ortho)
    _, _, dense = viewport(round(width * density), round(height * density), ortho=ortho)
    points = np.random.default_rng(0).normal(size=(50, 3)) * 0.2
    for one, other in zip(projected(plain, points), projected(dense, points), strict=True):
        np.testing.assert_allclose(np.array(other) / density, one, atol=1e-6)
    np.testing.assert_array_equal(plain.viewmat, dense.viewmat)
    assert (plain.near, plain.far) == (dense.near, dense.far)
    resized = plain.resized(dense.width, dense.height)
    np.testing.assert_allclose(resized.K, dense.K, atol=1e-9)


@pytest.mark.parametrize("density", [1, 2])
def test_a_moving_frame_of_a_dense_screen_is_a_share_of_its_own_pixels(density: int) -> None:
    pace = part("pace")
    _, _, camera = viewport(640 * density, 360 * density)
    covered = pace.covered_pixels(camera, np.eye(4))
    _, _, plain = viewport(640, 360)
    assert covered == pytest.approx(density**2 * pace.covered_pixels(plain, np.eye(4)))
    scale, splats = pace.Pace(rung=0).wish_for(camera, [np.eye(4)])
    assert scale == 1.0
    assert splats == pytest.approx(pace.ENOUGH * covered, abs=1), "as many splats as its pixels have use for"


def projected(camera: Camera, points: np.ndarray) -> list[tuple[float, float]]:
    seen = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    z = np.ones(len(seen)) if camera.orthographic else seen[:, 2]
    return list(zip(*(camera.K[k, k] * seen[:, k] / z + camera.K[k, 2] for k in (0, 1)), strict=True))


@pytest.mark.parametrize("ortho", [False, True])
def test_a_clipping_region_is_the_same_in_the_world_and_in_the_frame(ortho: bool) -> None:
    module, rng = part("camera"), np.random.default_rng(1)
    _, _, camera = viewport(640, 360, ortho=ortho)
    planes = rng.normal(size=(4, 4))
    points = rng.normal(size=(30, 3)) * 0.3
    seen = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    uv = np.array(projected(camera, points)) / (camera.width, camera.height)
    s = np.ones(30) if ortho else seen[:, 2]
    a, b, c, d = module.clip_planes(np.concatenate([planes, np.zeros((2, 4))]), camera).T
    in_frame = s[:, None] * (a * uv[:, :1] + b * uv[:, 1:]) + c * seen[:, 2:] + d
    np.testing.assert_allclose(in_frame, points @ planes[:, :3].T + planes[:, 3], atol=1e-9)
    a, b, c, d = module.SEEN_EVERYWHERE.T
    assert (s[:, None] * (a * uv[:, :1] + b * uv[:, 1:]) + c * seen[:, 2:] + d > 0).all()


@pytest.mark.parametrize("scale", [1, 2])
def test_coverage_is_found_at_a_place_of_the_region_whatever_the_frames_size(scale: int) -> None:
    """A frame may have fewer pixels than its region: while things move, and on the way to a dense screen's."""
    texels = part("texels")
    rgba = np.zeros((40, 60, 4), np.uint8)
    rgba[10:20, 30:50] = np.arange(10, dtype=np.uint8)[:, None, None] * 20 + 10
    frame = texels.texels(rgba)
    width, height = 60 * scale, 40 * scale
    for y in range(0, height, 3):
        for x in range(0, width, 3):
            wanted = rgba[y // scale, x // scale, 3] / 255
            assert texels.alpha_at(frame, (x + 0.5) / width, (y + 0.5) / height) == pytest.approx(wanted)
