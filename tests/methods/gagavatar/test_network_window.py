"""Where the network stands for a camera, and how its picture gets into that camera's frame."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from gshead_backend.camera import Camera, look_at
from gshead_backend.head.rotation import axis_angle_to_matrix
from gshead_backend.methods.gagavatar import recipe
from gshead_backend.methods.gagavatar.lifting import FOCAL, opencv_camera
from gshead_backend.methods.gagavatar.window import MOST_ROLL, Window, covered, put, window_of

UNITS = 5.0
SOURCE = recipe.inputs(3, 70, 10).source
POINTS = np.random.default_rng(0).uniform(-0.15, 0.15, (50, 3))


def camera_at(eye, *, roll: float = 0.0, lens: float = 900.0, size=(640, 360), orthographic=False) -> Camera:
    view = look_at(np.array(eye, float), np.zeros(3))
    view[:3] = axis_angle_to_matrix(np.array([0, 0, roll])) @ view[:3]
    K = np.array([[lens, 0, size[0] / 2 + 31], [0, lens, size[1] / 2 - 7], [0, 0, 1.0]])
    return Camera(*size, K, view, orthographic=orthographic)


def homogeneous(H: np.ndarray, points: np.ndarray) -> np.ndarray:
    out = np.c_[points, np.ones(len(points))] @ H.T
    return out[:, :2] / out[:, 2:]


def found(frame: Camera, placed: np.ndarray, size: int = 512) -> Window:
    window = window_of(frame, placed, SOURCE, size, UNITS)
    assert window is not None
    return window


def test_the_photos_own_camera_is_the_networks():
    photo = opencv_camera(SOURCE, 512)
    view = photo.viewmat.copy()
    view[:3, 3] /= UNITS
    window = found(dataclasses.replace(photo, viewmat=view, near=0.01), view)
    np.testing.assert_allclose(window.camera.viewmat, photo.viewmat, atol=1e-9)
    np.testing.assert_allclose(window.camera.K, photo.K, atol=1e-6)
    np.testing.assert_allclose(window.to_window / window.to_window[2, 2], np.eye(3), atol=1e-5)


@pytest.mark.parametrize("roll", [0.0, 0.5, 2.5, -1.4])
@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(4),
        np.diag([1, 1.3, 0.8, 1.0]),
        np.diag([-1, 1, 1, 1.0]),
        np.array([[0.9, 0.2, 0, 0.1], [-0.2, 0.9, 0.1, -0.05], [0, 0, 1.1, 0.2], [0, 0, 0, 1]]),
    ],
    ids=["plain", "stretched", "mirrored", "moved"],
)
def test_every_point_lands_where_the_frames_camera_sees_it(matrix, roll):
    """Same eye point: exact, whatever the perspective; and depths are those along the frame's axis."""
    frame = camera_at([0.4, 0.2, 0.9], roll=roll)
    window = found(frame, frame.viewmat @ matrix)
    seen = frame.project(POINTS @ matrix[:3, :3].T + matrix[:3, 3])
    inside = window.camera.project(POINTS * UNITS)
    np.testing.assert_allclose(homogeneous(np.linalg.inv(window.to_window), inside[:, :2]), seen[:, :2], atol=1e-6)
    metres = inside[:, 2] * (np.c_[inside[:, :2], np.ones(50)] @ window.distance) + window.offset
    np.testing.assert_allclose(metres, seen[:, 2], atol=1e-9)
    R = window.camera.viewmat[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    lean = np.arccos(np.clip(R[1] @ _level(R[2]), -1, 1))
    assert lean <= MOST_ROLL + 1e-9
    assert roll in (0.0, 0.5) or lean == pytest.approx(MOST_ROLL)


def _level(forward: np.ndarray) -> np.ndarray:
    down = opencv_camera(SOURCE, 512).viewmat[1, :3]
    level = down - (down @ forward) * forward
    return level / np.linalg.norm(level)


def test_a_parallel_view_is_exact_at_the_heads_middle():
    frame = camera_at([0.5, 0.3, 3.0], lens=1500.0, orthographic=True)
    window = found(frame, frame.viewmat)
    photo = opencv_camera(SOURCE, 512)
    aim = photo.position - (photo.viewmat[2, :3] @ photo.position) * photo.viewmat[2, :3]
    across = np.array([window.camera.viewmat[0, :3], window.camera.viewmat[1, :3], -window.camera.viewmat[0, :3]])
    points = (aim + 0.4 * across) / UNITS  # in the plane through the middle
    inside = window.camera.project(points * UNITS)
    seen = frame.project(points)
    np.testing.assert_allclose(homogeneous(np.linalg.inv(window.to_window), inside[:, :2]), seen[:, :2], atol=1e-6)
    metres = inside[:, 2] * (np.c_[inside[:, :2], np.ones(3)] @ window.distance) + window.offset
    np.testing.assert_allclose(metres, seen[:, 2], atol=1e-9)
    off = frame.project(POINTS)[:, :2] - homogeneous(
        np.linalg.inv(window.to_window), window.camera.project(POINTS * UNITS)[:, :2]
    )
    assert np.abs(off).max() < 0.1 * 0.15 * 1500  # the network's lens is long: nearly parallel


def test_the_window_is_as_wide_at_the_head_as_the_photos():
    for distance in (0.5, 1.0, 4.0):
        frame = camera_at([0, 0, distance])
        camera = found(frame, frame.viewmat).camera
        photo = opencv_camera(SOURCE, 512)
        far = -photo.viewmat[:3, 3] @ photo.viewmat[:3, :3]
        aim = far - (photo.viewmat[2, :3] @ far) * photo.viewmat[2, :3]
        assert camera.K[0, 0] / np.linalg.norm(camera.position - aim) == pytest.approx(
            FOCAL * 256 / np.linalg.norm(far - aim)
        )


def test_heads_behind_the_camera_and_around_it_are_not_drawn():
    behind = camera_at([0, 0, 1.0])
    turned = behind.viewmat.copy()
    turned[:3] = np.diag([-1.0, 1, -1]) @ turned[:3]
    assert window_of(behind, turned, SOURCE, 64, UNITS) is None
    inside = camera_at([0, 0, 0.05])
    assert window_of(inside, inside.viewmat, SOURCE, 64, UNITS) is None
    assert window_of(behind, behind.viewmat @ np.diag([1, 1, 0, 1.0]), SOURCE, 64, UNITS) is None


def layers(size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A smooth blob on nothing."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size),) * 2, indexing="ij")
    alpha = (1.6 - 2 * (x * x + y * y).sqrt()).clamp(0, 1)
    rgb = torch.stack([0.5 + 0.4 * x, 0.5 - 0.3 * y, torch.full_like(x, 0.6)]) * alpha
    return rgb, alpha, torch.where(alpha > 0, 5.0 + 0.3 * x, torch.inf)


def plain_window(size: int, to_window: np.ndarray) -> Window:
    K = np.array([[100.0, 0, size / 2], [0, 100, size / 2], [0, 0, 1]])
    return Window(Camera(size, size, K, np.eye(4)), to_window, np.array([0, 0, 0.2]), 0.0)


def frame_of(width: int, height: int, **changes) -> Camera:
    return Camera(
        width, height, np.array([[100.0, 0, width / 2], [0, 100, height / 2], [0, 0, 1]]), np.eye(4), **changes
    )


def test_a_picture_that_fits_is_put_unchanged():
    rgb, alpha, depth = layers(64)
    drawn = put(plain_window(64, np.eye(3)), frame_of(64, 64), rgb, alpha, depth)
    known = alpha >= 1 / 255
    torch.testing.assert_close(drawn.alpha[known], alpha[known], rtol=0, atol=1e-6)
    torch.testing.assert_close(drawn.color[known], rgb.permute(1, 2, 0)[known], rtol=0, atol=1e-6)
    torch.testing.assert_close(drawn.depth[known], 0.2 * depth[known])
    assert torch.isinf(drawn.depth[~known]).all()
    assert (drawn.color[~known] == 0).all()


@pytest.mark.parametrize("zoom", [0.13, 0.4, 1.0, 2.7])
def test_light_is_kept_at_every_size(zoom):
    """What the picture sums up to, over its area, does not depend on how large it is shown; no pixel is lost."""
    rgb, alpha, depth = layers(128)
    to_frame = np.array([[zoom, 0, 11.3], [0, zoom, 5.2], [0, 0, 1]])
    side = int(128 * zoom) + 40
    drawn = put(plain_window(128, np.linalg.inv(to_frame)), frame_of(side, side), rgb, alpha, depth)
    assert float(drawn.alpha.sum()) == pytest.approx(float(alpha.sum()) * zoom**2, rel=0.03)
    assert float(drawn.color.sum()) == pytest.approx(float(rgb.sum()) * zoom**2, rel=0.03)
    solid = drawn.alpha > 0.9
    assert drawn.depth[solid].min() > 0.2 * 4.7 - 1e-3
    assert drawn.depth[solid].max() < 0.2 * 5.3 + 1e-3


def test_what_shines_covers_and_is_never_brighter_than_white():
    rgb = torch.tensor([0.9, 0.5, 0.02, 0.4, 0.0]).repeat(3, 1)[:, None] * torch.tensor([1, 0.5, 0.25])[:, None, None]
    alpha = torch.tensor([[1.0, 0.2, 0.5, 0.01, 0.3]])
    color, cover = covered(rgb, alpha)
    torch.testing.assert_close(cover, torch.tensor([[1.0, 0.5, 0.5, 0.08, 0.3]]))
    assert (color <= cover).all()
    torch.testing.assert_close(color[:, :, :3], rgb[:, :, :3])  # seen on black, nothing has changed


def test_the_frames_clip_range_cuts():
    rgb, alpha, depth = layers(64)
    for changes in ({"near": 2.0}, {"far": 0.5, "near": 0.1}):
        drawn = put(plain_window(64, np.eye(3)), frame_of(64, 64, **changes), rgb, alpha, depth)
        assert float(drawn.alpha.max()) == 0
        assert torch.isinf(drawn.depth).all()


def test_a_window_outside_the_frame_leaves_it_empty():
    rgb, alpha, depth = layers(64)
    away = np.linalg.inv(np.array([[1, 0, 500.0], [0, 1, 0], [0, 0, 1]]))
    drawn = put(plain_window(64, away), frame_of(64, 48), rgb, alpha, depth)
    assert drawn.color.shape == (48, 64, 3)
    assert float(drawn.alpha.max()) == 0
