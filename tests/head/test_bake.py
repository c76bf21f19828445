"""The tools a head is baked with, each against what must be true of it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from gshead_backend.camera import orbit_camera
from gshead_backend.errors import FileFormatError
from gshead_backend.head import HeadModel, PersonalHead
from gshead_backend.head.bake.atlas import enlarge, flipped
from gshead_backend.head.bake.landmarks import closest_barycentric, nearest_on_mesh
from gshead_backend.head.bake.population import align, principal_modes
from gshead_backend.head.bake.render import cast, shade
from gshead_backend.head.bake.source import AnnyWheel
from gshead_backend.head.bake.subdivide import catmull_clark, clip, limit, triangulate

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
CUBE_QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(n, dtype=float), np.arange(n, dtype=float), indexing="ij")
    at = np.arange(n * n).reshape(n, n)
    quads = np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]], -1).reshape(-1, 4)
    return np.stack([x, y, 0.3 * x - 0.2 * y], -1).reshape(-1, 3), quads


def test_subdivision_keeps_planes_and_its_own_limit():
    points, quads = grid(5)
    level, fine = catmull_clark(quads, len(points))
    dense = limit(fine, level.shape[0]) @ level @ points
    np.testing.assert_allclose(dense[:, 2], 0.3 * dense[:, 0] - 0.2 * dense[:, 1], atol=1e-12)
    # A vertex has the same limit, whichever level it is computed on.
    level, fine = catmull_clark(CUBE_QUADS, len(CUBE))
    second, finer = catmull_clark(fine, level.shape[0])
    at_one = limit(fine, level.shape[0]) @ (level @ CUBE)
    at_two = limit(finer, second.shape[0]) @ (second @ (level @ CUBE))
    np.testing.assert_allclose(at_two[: len(at_one)], at_one, atol=1e-12)
    np.testing.assert_allclose(np.asarray(level.sum(1)).ravel(), 1, atol=1e-12)


def test_clip_cuts_at_the_surface():
    points, quads = grid(6)
    tris, _ = triangulate(quads, points)
    value = 2.6 - points[:, 0]
    matrix, cut, uv, uv_tris, part = clip(
        sp.identity(len(points), format="csr"), tris, points[:, :2], tris, np.full(len(tris), "x"), value
    )
    moved = matrix @ points
    assert moved[:, 0].max() == pytest.approx(2.6)
    a, b, c = (moved[cut[:, k], :2] for k in range(3))
    area = 0.5 * np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]).sum()
    assert area == pytest.approx(2.6 * 5)
    np.testing.assert_allclose(uv[uv_tris], moved[cut][:, :, :2], atol=1e-12)
    assert len(part) == len(cut)


def test_enlarging_flips_nothing_and_stays_in_the_square():
    points, quads = grid(40)
    uv = points[:, :2] / 39
    tris, _ = triangulate(quads, points)
    warped = enlarge(uv, np.array([0.41, 0.37]))
    assert (np.sign(flipped(warped, tris)) == np.sign(flipped(uv, tris))).all()
    assert warped.min() >= 0
    assert warped.max() <= 1
    near = (np.abs(uv - [0.41, 0.37]).max(1) < 0.1)[tris].all(1)
    assert np.abs(flipped(warped, tris)[near]).sum() > 2 * np.abs(flipped(uv, tris)[near]).sum()


def test_casting_rays_finds_the_nearest_surface(tiny_head: HeadModel):
    vertices = PersonalHead.create(tiny_head, np.zeros(tiny_head.identity_count)).rest.astype(np.float64)
    camera = orbit_camera(25, 10, size=(96, 96), distance=0.6)
    hits = cast(vertices, tiny_head.faces, camera)
    ys, xs = np.nonzero(hits.triangle >= 0)
    assert 1000 < len(ys) < 96 * 96
    points = (vertices[tiny_head.faces[hits.triangle[ys, xs]]] * hits.bary[ys, xs][:, :, None]).sum(1)
    back = camera.project(points)
    np.testing.assert_allclose(back[:, :2], np.stack([xs, ys], 1) + 0.5, atol=1e-6)
    np.testing.assert_allclose(back[:, 2], hits.depth[ys, xs], atol=1e-9)
    image = shade(vertices, tiny_head.faces, np.full(vertices.shape, 0.5), camera, background=1.0)
    assert image.shape == (96, 96, 3)
    assert (image[0, 0] == 255).all()


def test_nearest_points_match_brute_force(tiny_head: HeadModel):
    vertices = PersonalHead.create(tiny_head, np.zeros(tiny_head.identity_count)).rest.astype(np.float64)
    points = vertices[::40] + np.random.default_rng(0).normal(0, 0.004, (len(vertices[::40]), 3))
    which, bary = nearest_on_mesh(points, vertices, tiny_head.faces)
    found = np.linalg.norm((vertices[tiny_head.faces[which]] * bary[:, :, None]).sum(1) - points, axis=1)
    corners = vertices[tiny_head.faces]
    every = closest_barycentric(points[:, None], corners[None])
    brute = np.linalg.norm((every[..., None] * corners[None]).sum(-2) - points[:, None], axis=-1).min(1)
    np.testing.assert_allclose(found, brute, atol=1e-9)
    np.testing.assert_allclose(bary.sum(1), 1, atol=1e-12)


def test_components_come_in_mirror_kinds():
    rng = np.random.default_rng(1)
    half = rng.normal(size=(20, 3))
    shape = np.concatenate([half, half * [-1, 1, 1]])
    mirror = np.r_[20:40, 0:20]
    samples = shape + 0.1 * rng.normal(size=(60, 40, 3)) @ np.diag([1.0, 2.0, 0.5])
    mean, modes, deviations, kept = principal_modes(samples.astype(np.float32), mirror, np.ones(40), 30)
    np.testing.assert_allclose(mean[mirror] * [-1, 1, 1], mean, atol=1e-5)
    assert (np.diff(deviations) <= 1e-9).all()
    assert 0.5 < kept < 1
    for k in range(30):
        flip = modes[mirror, :, k] * [-1, 1, 1]
        assert min(np.abs(flip - modes[:, :, k]).max(), np.abs(flip + modes[:, :, k]).max()) < 1e-4


def test_alignment_takes_motion_out():
    rng = np.random.default_rng(2)
    shape = rng.normal(size=(30, 3))
    turned = []
    for angle in (0.1, -0.2, 0.3):
        c, s = np.cos(angle), np.sin(angle)
        turned.append(1.1 * shape @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) + rng.normal(size=3))
    aligned = align(np.array(turned), np.ones(30), size_kept=0.0)
    assert np.ptp(aligned, axis=0).max() < 1e-4


def test_a_file_that_is_no_wheel_is_named(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"no zip")
    with pytest.raises(FileFormatError, match="not a wheel"):
        AnnyWheel(tmp_path / "x.whl")
