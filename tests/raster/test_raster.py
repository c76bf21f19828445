"""The CPU rasterizer against the readable reference: pictures, gradients, edge cases, determinism.

Tolerances: the two differ by rounding, and at single pixels by one contribution of 1/255 that falls on the other side
of the alpha threshold. So pictures agree within 6e-3 everywhere and within 1e-5 on average.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace

import numba
import numpy as np
import pytest
import torch
from splat_fixtures import random_avatar, random_splats

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.types import Splats
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.errors import ArgumentError, OutOfMemoryError, RenderError
from gshead_backend.head import HeadPose
from gshead_backend.raster import rasterize
from gshead_backend.raster.types import Rendered

PARAMETERS = ("means", "quats", "scales", "opacities", "colors")


def tensors(splats: Splats, dtype=torch.float64, grad=False) -> Splats:
    return Splats(*(torch.tensor(getattr(splats, f), dtype=dtype, requires_grad=grad) for f in PARAMETERS))


def reference(splats: Splats, camera: Camera, background=None) -> Rendered:
    r = rasterize(tensors(splats), camera, background=background, backend="reference")
    return Rendered(r.color.numpy(), r.alpha.numpy(), r.depth.numpy())


def assert_same_picture(got: Rendered, want: Rendered) -> None:
    for name in ("color", "alpha"):
        a, b = np.asarray(getattr(got, name)), getattr(want, name)
        assert a.shape == b.shape
        scale = max(1.0, np.abs(b).max())
        assert np.abs(a - b).max() <= 6e-3 * scale, name
        assert np.abs(a - b).mean() <= 1e-5 * scale, name
    both = np.isfinite(want.depth) & np.isfinite(got.depth)
    assert (np.isfinite(want.depth) != np.isfinite(got.depth)).mean() <= 1e-3
    solid = both & (want.alpha > 0.1)
    if solid.any():
        np.testing.assert_allclose(got.depth[solid], want.depth[solid], atol=2e-3)


def perspective(size=(75, 61), **k) -> Camera:
    return orbit_camera(25, 10, size=size, focal_mm=100, distance=0.7, **k)


def orthographic() -> Camera:
    c = perspective()
    return replace(c, K=np.array([[280.0, 0, 40], [0, 260, 28], [0, 0, 1]]), orthographic=True)


def shifted() -> Camera:
    c = perspective()
    K = c.K.copy()
    K[0, 2], K[1, 2], K[1, 1] = 3.0, 77.0, K[1, 1] * 1.3
    return replace(c, K=K)


def clipped() -> Camera:
    return replace(perspective(), near=0.68, far=0.73)


CAMERAS = {"perspective": perspective, "orthographic": orthographic, "shifted": shifted, "clipped": clipped}


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_cpu_equals_reference(camera, channels):
    splats = random_splats(400, channels=channels)
    assert_same_picture(rasterize(splats, camera()), reference(splats, camera()))


def test_cpu_equals_reference_on_a_driven_head(tiny_head):
    splats = drive(random_avatar(tiny_head, 3000), HeadPose.neutral(tiny_head.expression_count))
    camera = orbit_camera(-30, size=(96, 96), distance=0.9)
    assert_same_picture(rasterize(splats, camera), reference(splats, camera))


@pytest.mark.parametrize("kind", ["constant", "image"])
def test_background_is_composited_behind(kind):
    splats, camera = random_splats(60), perspective()
    shape = (3,) if kind == "constant" else (camera.height, camera.width, 3)
    background = np.random.default_rng(3).random(shape).astype(np.float32)
    plain, over = rasterize(splats, camera), rasterize(splats, camera, background=background)
    np.testing.assert_allclose(over.color, plain.color + (1 - plain.alpha[..., None]) * background, atol=1e-6)
    np.testing.assert_array_equal(over.alpha, plain.alpha)
    assert_same_picture(over, reference(splats, camera, background))
    torch_over = rasterize(tensors(splats, torch.float32, grad=True), camera, background=background)
    np.testing.assert_allclose(torch_over.color.detach(), over.color, atol=1e-6)


def test_depth_is_the_distance_along_the_view_axis():
    camera = perspective()
    forward = camera.viewmat[2, :3]
    at = camera.position + forward * 0.7
    splats = Splats(
        np.array([at], np.float32), np.array([[1, 0, 0, 0]], np.float32), np.full((1, 3), 0.01, np.float32),
        np.ones(1, np.float32), np.ones((1, 3), np.float32),
    )  # fmt: skip
    out = rasterize(splats, camera)
    inside = out.alpha >= 1 / 255
    assert inside.any()
    assert not inside.all()
    np.testing.assert_allclose(out.depth[inside], 0.7, atol=1e-5)
    assert np.isinf(out.depth[~inside]).all()


def test_a_splat_lands_where_the_camera_projects_it():
    for camera in (perspective(), orthographic(), shifted()):
        z, lens = 0.7, np.diag(camera.K)[:2]
        scale = 1.0 if camera.orthographic else z
        at_camera = np.append((np.array([20.3, 30.8]) - camera.K[:2, 2]) * scale / lens, [z, 1])
        target = (np.linalg.inv(camera.viewmat) @ at_camera)[None, :3]
        splats = Splats(
            target.astype(np.float32), np.array([[1, 0, 0, 0]], np.float32), np.full((1, 3), 0.003, np.float32),
            np.full(1, 0.9, np.float32), np.ones((1, 3), np.float32),
        )  # fmt: skip
        alpha = rasterize(splats, camera).alpha.astype(np.float64)
        y, x = np.mgrid[: camera.height, : camera.width] + 0.5
        centre = [(alpha * x).sum() / alpha.sum(), (alpha * y).sum() / alpha.sum()]
        np.testing.assert_allclose(centre, camera.project(target)[0, :2], atol=0.02)
        np.testing.assert_allclose(centre, [20.3, 30.8], atol=0.02)


def test_nearer_splats_cover_farther_ones_whatever_their_order():
    camera = orbit_camera(0, size=(32, 32), distance=1)
    z = np.array([0.05, -0.05], np.float32)
    means = np.stack([0 * z, 0 * z, z], 1)
    one = np.ones(2, np.float32)
    colors = np.eye(3, dtype=np.float32)[:2]
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (2, 1))
    for order in ([0, 1], [1, 0]):
        splats = Splats(means[order], quats, np.full((2, 3), 0.2, np.float32), one, colors[order])
        centre = rasterize(splats, camera).color[16, 16]
        assert centre[0] > 0.995
        assert centre[1] < 0.005


def _loss(r: Rendered) -> torch.Tensor:
    h, w, c = r.color.shape
    g = torch.Generator().manual_seed(0)
    weight = torch.rand(h, w, c + 2, generator=g, dtype=torch.float64).to(r.color.dtype)
    depth = torch.where(torch.isfinite(r.depth), r.depth, torch.zeros_like(r.depth))
    return (r.color * weight[..., :c]).sum() + (r.alpha**2 * weight[..., c]).sum() + (depth * weight[..., c + 1]).sum()


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())
@pytest.mark.parametrize("channels", [3, 5])
def test_gradients_equal_those_of_the_reference(camera, channels):
    # Moderate opacities keep contributions off the 1/255 and .999 thresholds, where both gradients jump.
    splats = random_splats(150, channels=channels, size=(0.004, 0.012))
    background = np.full(channels, 0.3, np.float32)
    mine, slow = tensors(splats, torch.float32, True), tensors(splats, torch.float64, True)
    _loss(rasterize(mine, camera(), background=background)).backward()
    _loss(rasterize(slow, camera(), background=background, backend="reference")).backward()
    for name in PARAMETERS:
        a, b = getattr(mine, name).grad.double(), getattr(slow, name).grad
        assert b.norm() > 0
        error = float((a - b).norm() / b.norm())
        assert error < 3e-3, (name, error)


def test_gradient_through_an_off_screen_clamped_splat():
    camera = perspective()
    far_right = np.linalg.inv(camera.viewmat)[:3] @ [0.5, 0.3, 0.7, 1]
    splats = Splats(
        far_right[None].astype(np.float32), np.array([[0.9, 0.1, 0.3, -0.2]], np.float32),
        np.array([[0.3, 0.2, 0.25]], np.float32), np.full(1, 0.9, np.float32), np.ones((1, 3), np.float32),
    )  # fmt: skip
    mine, slow = tensors(splats, torch.float32, True), tensors(splats, torch.float64, True)
    _loss(rasterize(mine, camera)).backward()
    _loss(rasterize(slow, camera, backend="reference")).backward()
    assert rasterize(splats, camera).alpha.max() > 0.05
    for name in PARAMETERS:
        a, b = getattr(mine, name).grad.double(), getattr(slow, name).grad
        np.testing.assert_allclose(a, b, rtol=5e-3, atol=1e-3 * float(b.abs().max()))


def test_fitting_recovers_a_picture():
    camera = orbit_camera(0, size=(48, 48), distance=0.6)
    truth = rasterize(random_splats(80, seed=5), camera).color
    start = tensors(random_splats(80, seed=6), torch.float32)
    parameters = {n: getattr(start, n).clone().requires_grad_() for n in PARAMETERS}
    optimiser = torch.optim.Adam(
        [
            {"params": [parameters[n]], "lr": lr}
            for n, lr in zip(PARAMETERS, (5e-4, 0.02, 2e-4, 0.02, 0.03), strict=True)
        ]
    )
    losses = []
    for _ in range(80):
        optimiser.zero_grad()
        loss = ((rasterize(Splats(**parameters), camera).color - torch.tensor(truth)) ** 2).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_same_bytes_every_time_and_for_every_number_of_threads():
    splats, camera = random_splats(3000, seed=2), perspective((130, 90))
    results = []
    before = numba.get_num_threads()
    try:
        for threads in (1, before, 1, before):
            numba.set_num_threads(threads)
            t = tensors(splats, torch.float32, True)
            r = rasterize(t, camera)
            _loss(r).backward()
            results.append(
                [r.color.detach().numpy(), r.depth.detach().numpy(), *(getattr(t, n).grad.numpy() for n in PARAMETERS)]
            )
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_numpy_and_torch_give_the_same_bytes():
    splats, camera = random_splats(300), perspective()
    a, b = rasterize(splats, camera), rasterize(tensors(splats, torch.float32), camera)
    c = rasterize(tensors(splats, torch.float32, True), camera)
    for f in fields(Rendered):
        assert isinstance(getattr(b, f.name), torch.Tensor)
        np.testing.assert_array_equal(getattr(a, f.name), getattr(b, f.name).numpy())
        np.testing.assert_allclose(getattr(a, f.name), getattr(c, f.name).detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_nothing_to_draw_gives_an_empty_picture(backend):
    camera = perspective()
    behind = random_splats(20)
    behind = replace(behind, means=behind.means + 3 * camera.position.astype(np.float32))
    for splats in (random_splats(0), behind):
        out = rasterize(splats, camera, background=np.array([0.2, 0.4, 0.6]), backend=backend)
        np.testing.assert_allclose(out.color, np.broadcast_to([0.2, 0.4, 0.6], out.color.shape), atol=1e-6)
        assert (out.alpha == 0).all()
        assert np.isinf(out.depth).all()
        t = tensors(splats, torch.float32, True)
        rasterize(t, camera, backend=backend).color.sum().backward()
        assert (t.means.grad == 0).all()


def test_tiny_and_huge_splats():
    camera = perspective()
    splats = random_splats(60)
    scales = splats.scales.copy()
    scales[:20] = 1e-9
    scales[20:30] = 30.0
    scales[30:35, 0] = 5.0
    scales[35] = 0
    splats = replace(splats, scales=scales, opacities=splats.opacities * np.float32(0.3))
    assert_same_picture(rasterize(splats, camera), reference(splats, camera))


def test_bad_splats_are_left_out():
    camera, good = perspective(), random_splats(100)
    bad = random_splats(12)
    for field, row, value in (
        ("means", 0, np.nan), ("means", 1, np.inf), ("quats", 2, np.nan), ("quats", 3, 0.0), ("scales", 4, np.nan),
        ("scales", 5, np.inf), ("opacities", 6, np.nan), ("opacities", 7, -1.0), ("opacities", 8, 0.003),
        ("means", 9, -np.inf), ("scales", 10, 1e30),
    ):  # fmt: skip
        array = getattr(bad, field)
        array[row] = value
    bad = Splats(*(getattr(bad, f)[[0, 1, 2, 4, 5, 6, 7, 8, 9]] for f in PARAMETERS))
    mixed = Splats(*(np.concatenate([getattr(bad, f), getattr(good, f)]) for f in PARAMETERS))
    np.testing.assert_array_equal(rasterize(mixed, camera).color, rasterize(good, camera).color)


def test_an_affine_view_matrix_replaces_moving_the_splats():
    from gshead_backend.avatar.splats import transform_splats

    splats, camera = random_splats(300), perspective()
    matrix = np.eye(4)
    matrix[:3] = [[0.8, 0.3, 0, 0.01], [-0.2, 1.1, 0.1, 0.02], [0, 0.1, 1.4, -0.01]]
    moved = rasterize(transform_splats(splats, matrix), camera)
    through = rasterize(splats, replace(camera, viewmat=camera.viewmat @ matrix))
    assert_same_picture(moved, Rendered(through.color, through.alpha, through.depth))


def test_wrong_arguments_say_what_is_wrong():
    splats, camera = random_splats(10), perspective()
    with pytest.raises(ArgumentError, match="opacities"):
        rasterize(replace(splats, opacities=splats.opacities[:, None]), camera)
    with pytest.raises(ArgumentError, match="background"):
        rasterize(splats, camera, background=np.zeros(4))
    with pytest.raises(ArgumentError, match="webgpu"):
        rasterize(splats, camera, backend="webgpu")
    K = camera.K.copy()
    K[0, 1] = 3
    with pytest.raises(ArgumentError, match="skew"):
        rasterize(splats, replace(camera, K=K))


def test_too_many_pairs_is_an_error_and_the_next_frame_works(monkeypatch):
    from gshead_backend.raster.cpu import pipeline

    splats, camera = random_splats(100), perspective()
    before = rasterize(splats, camera).color
    monkeypatch.setattr(pipeline, "MAX_PAIRS", 10)
    with pytest.raises(OutOfMemoryError, match="tiles"):
        rasterize(splats, camera)
    monkeypatch.undo()
    np.testing.assert_array_equal(rasterize(splats, camera).color, before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_gsplat_without_cuda_says_what_to_do():
    with pytest.raises(RenderError, match="CUDA") as e:
        rasterize(random_splats(3), perspective(), backend="gsplat")
    assert e.value.remedy


def test_numpy_rendering_does_not_load_torch():
    code = (
        "import sys, numpy as np; sys.path.insert(0, 'tests')\n"
        "from gshead_backend.raster import rasterize\n"
        "from gshead_backend.camera import orbit_camera\n"
        "from splat_fixtures import random_splats\n"
        "r = rasterize(random_splats(50), orbit_camera(0, size=(40, 40)))\n"
        "assert r.alpha.max() > 0; assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_arrays_from_files_and_messages_do_not_compile_the_kernels_again():
    from gshead_backend.raster.cpu import blending, projection

    splats, camera = random_splats(50), perspective()
    before = rasterize(splats, camera).color
    known = len(projection.project.signatures), len(blending.blend_rgb.signatures)
    frozen = Splats(*(np.array(getattr(splats, f)) for f in PARAMETERS))
    viewmat = np.frombuffer(camera.viewmat.tobytes()).reshape(4, 4)
    for f in PARAMETERS:
        getattr(frozen, f).setflags(write=False)
    strided = replace(frozen, colors=np.asfortranarray(frozen.colors), means=frozen.means.astype(np.float64))
    for given in (frozen, strided):
        np.testing.assert_array_equal(rasterize(given, replace(camera, viewmat=viewmat)).color, before)
    assert (len(projection.project.signatures), len(blending.blend_rgb.signatures)) == known
