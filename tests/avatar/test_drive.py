"""Splats follow the mesh: numpy drive, its torch twin, and moving splats as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from splat_fixtures import random_avatar, random_splats

from gshead_backend.avatar.binding import triangle_frames
from gshead_backend.avatar.drive import drive, drive_vertices
from gshead_backend.avatar.drive_fast import drive_fast, drive_vertices_fast, vertices_fast
from gshead_backend.avatar.drive_torch import PARAMETERS, TorchAvatar
from gshead_backend.avatar.last_frame_fast import LastFrame
from gshead_backend.avatar.splats import concatenate, transform_splats
from gshead_backend.avatar.types import Splats
from gshead_backend.errors import ArgumentError
from gshead_backend.head import HeadPose, default_head
from gshead_backend.head.rotation import axis_angle_to_matrix, quat_to_matrix


def covariances(splats: Splats) -> np.ndarray:
    M = quat_to_matrix(np.asarray(splats.quats, np.float64)) * np.asarray(splats.scales, np.float64)[:, None, :]
    return M @ M.transpose(0, 2, 1)


def some_pose(head, seed=1):
    rng = np.random.default_rng(seed)
    expression = rng.uniform(0, 0.6, head.expression_count) * (rng.random(head.expression_count) < 0.2)
    return HeadPose(
        expression, rng.normal(0, 0.3, 3), rng.normal(0, 0.2, 3), np.array([0.25, 0, 0]),
        rng.normal(0, 0.2, 6), rng.normal(0, 0.05, 3),
    )  # fmt: skip


def assert_same(a: Splats, b: Splats, atol: float = 2e-6) -> None:
    np.testing.assert_allclose(a.means, b.means, atol=atol)
    np.testing.assert_allclose(covariances(a), covariances(b), atol=1e-9, rtol=2e-4)
    np.testing.assert_allclose(a.opacities, b.opacities, atol=1e-6)
    np.testing.assert_allclose(a.colors, b.colors, atol=1e-6)


def test_splats_at_rest_follow_the_formula(tiny_head):
    avatar = random_avatar(tiny_head, 300)
    neutral = HeadPose.neutral(tiny_head.expression_count)
    splats = drive(avatar, neutral)
    v = avatar.personal.vertices(neutral)
    for i in range(0, 300, 37):
        corners = v[tiny_head.faces[avatar.triangle[i]]].astype(np.float64)
        x = corners[1] - corners[0]
        z = np.cross(x, corners[2] - corners[0])
        x, z = x / np.linalg.norm(x), z / np.linalg.norm(z)
        R = np.stack([x, np.cross(z, x), z], 1)
        expected = avatar.bary[i] @ corners + R @ avatar.offset[i]
        np.testing.assert_allclose(splats.means[i], expected, atol=1e-6)
        R_splat = R @ quat_to_matrix(avatar.rotation[i].astype(np.float64))
        np.testing.assert_allclose(np.abs(quat_to_matrix(splats.quats[i]) - R_splat).max(), 0, atol=2e-5)
    np.testing.assert_allclose(splats.scales, np.exp(avatar.log_scale), rtol=1e-5)


@pytest.mark.parametrize("dynamic", [False, True])
def test_turning_the_head_turns_every_splat_rigidly(tiny_head, dynamic):
    avatar = random_avatar(tiny_head, dynamic=dynamic)
    neutral = HeadPose.neutral(tiny_head.expression_count)
    turned = replace(neutral, global_orient=np.array([0.3, -1.9, 0.8]), translation=np.array([0.1, 0.2, -0.3]))
    R = axis_angle_to_matrix(turned.global_orient)
    root = avatar.personal.joints[0]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = R, root - R @ root + turned.translation
    assert_same(drive(avatar, turned), transform_splats(drive(avatar, neutral), matrix))


@pytest.mark.parametrize("dynamic", [False, True])
def test_torch_drive_equals_numpy_drive(tiny_head, dynamic):
    avatar = random_avatar(tiny_head, dynamic=dynamic)
    pose = some_pose(tiny_head)
    twin = TorchAvatar(avatar).drive(pose)
    mine = drive(avatar, pose)
    assert_same(mine, Splats(*(getattr(twin, f).numpy() for f in ("means", "quats", "scales", "opacities", "colors"))))
    np.testing.assert_allclose(np.abs((mine.quats * twin.quats.numpy()).sum(1)), 1, atol=1e-5)


@pytest.mark.parametrize("dynamic", [False, True])
def test_numba_drive_equals_numpy_drive(tiny_head, dynamic):
    avatar = random_avatar(tiny_head, dynamic=dynamic)
    pose = some_pose(tiny_head)
    np.testing.assert_allclose(vertices_fast(avatar, pose), avatar.personal.vertices(pose), atol=1e-6)
    mine, fast = drive(avatar, pose), drive_fast(avatar, pose)
    assert_same(mine, fast)
    np.testing.assert_allclose(np.abs((mine.quats * fast.quats).sum(1)), 1, atol=1e-5)


def test_fast_skinning_without_subdivision_and_with_pose_correctives(tiny_head):
    rest = tiny_head.subdivision @ tiny_head.template
    dense = replace(
        tiny_head, template=rest, subdivision=None, expression_dirs=tiny_head.subdivision @ tiny_head.expression_dirs,
        identity_dirs=tiny_head.subdivision @ tiny_head.identity_dirs,
        pose_correctives=(np.random.default_rng(0).standard_normal((*rest.shape, 36)) * 1e-3).astype(np.float32),
    )  # fmt: skip
    avatar, pose = random_avatar(dense, 500), some_pose(dense)
    np.testing.assert_allclose(vertices_fast(avatar, pose), avatar.personal.vertices(pose), atol=1e-6)
    np.testing.assert_allclose(TorchAvatar(avatar).vertices(pose), avatar.personal.vertices(pose), atol=1e-6)


def test_dynamic_residual_moves_only_its_own_splats(tiny_head):
    still = random_avatar(tiny_head)
    moving = random_avatar(tiny_head, dynamic=True)
    pose = some_pose(tiny_head)
    moved = np.abs(drive(moving, pose).means - drive(still, pose).means).max(1) > 0
    expected = np.zeros(len(moving), bool)
    expected[moving.dynamic.index] = True
    assert (moved == expected).all()


def test_deformed_vertices_drag_the_splats(tiny_head):
    avatar = random_avatar(tiny_head)
    v = avatar.personal.vertices(HeadPose.neutral(tiny_head.expression_count))
    np.testing.assert_allclose(drive_vertices(avatar, v * 2).means, drive_vertices(avatar, v).means * 2, atol=1e-5)
    np.testing.assert_allclose(drive_vertices(avatar, v * 2).scales, drive_vertices(avatar, v).scales * 2, rtol=1e-4)


def test_collapsed_triangles_stay_finite(tiny_head):
    avatar = random_avatar(tiny_head)
    v = avatar.personal.vertices(HeadPose.neutral(tiny_head.expression_count))
    flat = v * [0, 1, 1]
    line = v * [0, 0, 1]
    for collapsed in (np.zeros_like(v), flat, line, np.nextafter(np.float32(1), 2) * line + flat * 1e-9):
        splats = drive_vertices(avatar, collapsed.astype(np.float32))
        torch_splats = TorchAvatar(avatar).drive_vertices(torch.tensor(collapsed, dtype=torch.float32))
        for s in (splats, torch_splats, drive_vertices_fast(avatar, collapsed.astype(np.float32))):
            for name in ("means", "quats", "scales"):
                assert np.isfinite(np.asarray(getattr(s, name))).all(), name
            np.testing.assert_allclose(np.linalg.norm(np.asarray(s.quats), axis=1), 1, atol=1e-3)
            assert np.asarray(s.scales).min() > 0


def test_frames_are_orthonormal_even_for_slivers():
    rng = np.random.default_rng(0)
    v = rng.standard_normal((300, 3)).astype(np.float32)
    faces = np.arange(300).reshape(100, 3)
    v[2::3] = v[0::3] + (v[1::3] - v[0::3]) * 0.37 + rng.standard_normal((100, 3)) * 1e-7
    axes = triangle_frames(v, faces).axes.transpose(2, 1, 0)
    np.testing.assert_allclose(axes.transpose(0, 2, 1) @ axes, np.tile(np.eye(3), (100, 1, 1)), atol=2e-3)
    np.testing.assert_allclose(np.linalg.det(axes), 1, atol=2e-3)


def test_gradients_reach_every_parameter_and_the_vertices(tiny_head):
    avatar = random_avatar(tiny_head, 200, dynamic=True)
    twin = TorchAvatar(avatar)
    p = {k: v.clone().requires_grad_() for k, v in twin.parameters.items()}
    v = torch.tensor(avatar.personal.vertices(some_pose(tiny_head)), requires_grad=True)
    s = twin.drive_vertices(v, some_pose(tiny_head), p)
    w = torch.linspace(0.5, 2, 200)[:, None]
    (
        (s.means * w).sum() + (s.quats**3 * w).sum() + s.scales.log().sum() + s.opacities.sum() + s.colors.sum()
    ).backward()
    for name in PARAMETERS:
        grad = p[name].grad
        assert grad is not None
        assert torch.isfinite(grad).all()
        assert grad.abs().amax() > 0
    assert torch.isfinite(v.grad).all()
    assert v.grad.abs().max() > 0


def test_cached_binding_does_not_survive_a_changed_avatar(tiny_head):
    avatar = random_avatar(tiny_head)
    pose = HeadPose.neutral(tiny_head.expression_count)
    before = drive(avatar, pose).means
    after = drive(replace(avatar, offset=avatar.offset + np.float32(0.01)), pose).means
    np.testing.assert_allclose(np.linalg.norm(after - before, axis=1), 0.01 * np.sqrt(3), rtol=1e-3)


def test_wrong_vertices_are_refused(tiny_head):
    avatar = random_avatar(tiny_head, 10)
    v = avatar.personal.vertices(HeadPose.neutral(tiny_head.expression_count))
    with pytest.raises(ArgumentError, match="vertices"):
        drive_vertices(avatar, v[:-1])
    v = v.copy()
    v[0, 0] = np.nan
    with pytest.raises(ArgumentError, match="NaN"):
        drive_vertices(avatar, v)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize(
    "A",
    [
        axis_angle_to_matrix(np.array([0.3, 1.0, -2.0])) * 1.7,
        -axis_angle_to_matrix(np.array([0.3, 1.0, -2.0])) * 0.4,
        np.diag([1.0, 2.0, 0.5]),
        np.diag([-1.0, 1.0, 1.0]),
        np.array([[1, 0.4, 0], [0, 1, 0], [0.2, 0, 3.0]]),
    ],
    ids=["similarity", "reflected", "non-uniform", "mirror", "shear"],
)
def test_transform_maps_means_and_covariances(A, kind):
    splats = random_splats(200)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = A, [0.1, -0.2, 0.3]
    given = splats
    if kind == "torch":
        given = Splats(*(torch.tensor(getattr(splats, f)) for f in ("means", "quats", "scales", "opacities", "colors")))
    moved = transform_splats(given, matrix)
    np.testing.assert_allclose(np.asarray(moved.means), splats.means @ A.T + matrix[:3, 3], atol=1e-5)
    np.testing.assert_allclose(covariances(moved), A @ covariances(splats) @ A.T, atol=2e-9, rtol=1e-3)


def test_transform_refuses_what_is_not_affine():
    for bad in (np.zeros((4, 4)), np.eye(3), np.diag([1, 1, 0, 1.0]), np.full((4, 4), np.nan)):
        with pytest.raises(ArgumentError):
            transform_splats(random_splats(3), bad)


def test_concatenate_keeps_everything_in_order():
    a, b = random_splats(5), random_splats(7, seed=1)
    joined = concatenate([a, b])
    assert len(joined) == 12
    np.testing.assert_array_equal(joined.colors[5:], b.colors)
    with pytest.raises(ArgumentError):
        concatenate([a, random_splats(2, channels=5)])
    with pytest.raises(ArgumentError):
        concatenate([])


@pytest.mark.parametrize("dynamic", [False, True])
def test_splats_that_have_not_moved_are_taken_over_exactly(dynamic):
    head = default_head()
    avatar, last = random_avatar(head, 3000, seed=8, dynamic=dynamic), LastFrame()
    neutral = HeadPose.neutral(head.expression_count)
    raised = replace(neutral, expression=np.eye(head.expression_count, dtype=np.float32)[3])
    turned = replace(raised, neck_pose=np.array([0.1, 0.2, 0], np.float32))
    kept = []
    for pose in (neutral, raised, turned, turned, neutral):
        got, expected = drive_fast(avatar, pose, last), drive_fast(avatar, pose)
        for name in ("means", "quats", "scales", "opacities", "colors"):
            np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
        kept.append(last.kept)
    assert kept[0] == 0
    assert 0 < kept[1] < 3000, "an expression moves a part of the head"
    assert kept[3] == 3000
    other = random_avatar(head, 3000, seed=9)
    np.testing.assert_array_equal(drive_fast(other, neutral, last).means, drive_fast(other, neutral).means)
    assert last.kept == 0
