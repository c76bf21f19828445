"""gsplat on a real GPU against the readable reference and the CPU rasterizer.

Tolerances: single precision with fast exponentials, so pictures agree within 6e-3 everywhere (one contribution at the
1/255 threshold) and 2e-5 on average; gradients within 1 % in norm.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from splat_fixtures import random_avatar, random_splats

from gshead_backend.avatar.drive import drive
from gshead_backend.avatar.drive_torch import TorchAvatar
from gshead_backend.avatar.types import Splats
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.errors import OutOfMemoryError
from gshead_backend.head import HeadPose
from gshead_backend.raster import rasterize, rasterize_many
from gshead_backend.raster.types import Rendered

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("default"),  # torch's extension loader warns about its environment
]

HAS_NUMBA = importlib.util.find_spec("numba") is not None
"""A bare GPU machine may lack numba: then there is only the reference to compare with."""

OTHER = "cpu" if HAS_NUMBA else "reference"
PARAMETERS = ("means", "quats", "scales", "opacities", "colors")


def on(device: str, splats: Splats, dtype=torch.float32, grad=False) -> Splats:
    return Splats(
        *(torch.tensor(getattr(splats, f), dtype=dtype, device=device, requires_grad=grad) for f in PARAMETERS)
    )


def as_numpy(r: Rendered) -> Rendered:
    return Rendered(*(getattr(r, f).detach().cpu().numpy() for f in ("color", "alpha", "depth")))


def perspective() -> Camera:
    return orbit_camera(25, 10, size=(75, 61), focal_mm=100, distance=0.7)


def orthographic() -> Camera:
    return replace(perspective(), K=np.array([[280.0, 0, 40], [0, 260, 28], [0, 0, 1]]), orthographic=True)


def shifted() -> Camera:
    camera = perspective()
    K = camera.K.copy()
    K[0, 2], K[1, 2], K[1, 1] = 3.0, 77.0, K[1, 1] * 1.3
    return replace(camera, K=K)


def clipped() -> Camera:
    return replace(perspective(), near=0.68, far=0.73)


CAMERAS = [perspective, orthographic, shifted, clipped]


def assert_same_picture(got: Rendered, want: Rendered) -> None:
    for name in ("color", "alpha"):
        a, b = getattr(got, name), getattr(want, name)
        assert np.abs(a - b).max() <= 6e-3, name
        assert np.abs(a - b).mean() <= 2e-5, name
    assert (np.isfinite(want.depth) != np.isfinite(got.depth)).mean() <= 1e-3
    solid = np.isfinite(want.depth) & np.isfinite(got.depth) & (want.alpha > 0.1)
    np.testing.assert_allclose(got.depth[solid], want.depth[solid], atol=2e-3)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("channels", [1, 3, 5, 40])
def test_gsplat_equals_reference_and_cpu(camera, channels):
    splats = random_splats(400, channels=channels)
    mine = as_numpy(rasterize(on("cuda", splats), camera()))
    slow = as_numpy(rasterize(on("cuda", splats, torch.float64), camera(), backend="reference"))
    assert_same_picture(mine, slow)
    if HAS_NUMBA:
        assert_same_picture(mine, rasterize(splats, camera()))


def test_background_and_numpy_input():
    splats, camera = random_splats(100), perspective()
    image = np.random.default_rng(0).random((camera.height, camera.width, 3)).astype(np.float32)
    for background in (np.array([0.1, 0.5, 0.9], np.float32), image):
        got = rasterize(splats, camera, background=background, backend="gsplat")
        assert isinstance(got.color, np.ndarray)
        assert_same_picture(got, rasterize(splats, camera, background=background, backend=OTHER))


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda c: c.__name__)
def test_gradients_equal_those_of_the_reference(camera):
    splats = random_splats(150, size=(0.004, 0.012))
    mine, slow = on("cuda", splats, grad=True), on("cuda", splats, torch.float64, True)
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(61, 75, 5, generator=generator, dtype=torch.float64).cuda()
    for s, backend in ((mine, "gsplat"), (slow, "reference")):
        r = rasterize(s, camera(), background=np.full(3, 0.3, np.float32), backend=backend)
        w = weight.to(r.color.dtype)
        depth = torch.where(torch.isfinite(r.depth), r.depth, torch.zeros_like(r.depth))
        ((r.color * w[..., :3]).sum() + (r.alpha**2 * w[..., 3]).sum() + (depth * w[..., 4]).sum()).backward()
    for name in PARAMETERS:
        a, b = getattr(mine, name).grad.double(), getattr(slow, name).grad
        assert float((a - b).norm() / b.norm()) < 1e-2, name


def test_empty_behind_and_bad_splats():
    camera = perspective()
    good, bad = random_splats(100), random_splats(5)
    bad.means[0], bad.means[1], bad.quats[2], bad.scales[3], bad.opacities[4] = np.nan, np.inf, np.nan, np.nan, -1
    mixed = Splats(*(np.concatenate([getattr(bad, f), getattr(good, f)]) for f in PARAMETERS))
    behind = replace(good, means=good.means + 3 * camera.position.astype(np.float32))
    for splats in (random_splats(0), behind):
        out = as_numpy(rasterize(on("cuda", splats), camera))
        assert (out.alpha == 0).all()
        assert np.isinf(out.depth).all()
    assert_same_picture(as_numpy(rasterize(on("cuda", mixed), camera)), rasterize(good, camera, backend=OTHER))


def test_drive_and_render_agree_between_cpu_and_cuda(tiny_head):
    avatar = random_avatar(tiny_head, 5000, dynamic=True)
    rng = np.random.default_rng(0)
    pose = HeadPose(
        rng.uniform(0, 0.3, tiny_head.expression_count), rng.normal(0, 0.3, 3), rng.normal(0, 0.2, 3),
        np.array([0.2, 0, 0]), rng.normal(0, 0.1, 6), rng.normal(0, 0.02, 3),
    )  # fmt: skip
    there, here = TorchAvatar(avatar, "cuda").drive(pose), drive(avatar, pose)
    for name in ("means", "scales", "opacities", "colors"):
        np.testing.assert_allclose(getattr(there, name).cpu(), getattr(here, name), atol=3e-6, rtol=1e-4)
    np.testing.assert_allclose(np.abs((there.quats.cpu().numpy() * here.quats).sum(1)), 1, atol=1e-5)
    camera = orbit_camera(-30, size=(256, 256), distance=0.9)
    assert_same_picture(as_numpy(rasterize(there, camera)), rasterize(here, camera, backend=OTHER))


def test_out_of_memory_is_an_error_and_the_next_frame_works():
    camera = orbit_camera(0, size=(512, 512))
    splats = on("cuda", random_splats(1000))
    before = rasterize(splats, camera).color
    free = torch.cuda.mem_get_info()[0]
    limit = (torch.cuda.memory_reserved() + 256 * 2**20) / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(limit)
    try:
        big = random_splats(400_000, size=(0.2, 0.5))
        with pytest.raises(OutOfMemoryError):
            rasterize(on("cuda", big), replace(orbit_camera(0, size=(4096, 4096)), far=10))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.cuda.mem_get_info()[0] > 0.5 * free
    torch.testing.assert_close(rasterize(splats, camera).color, before)


@pytest.mark.parametrize("count", [1, 5, 16])
def test_frames_at_once_equal_single_frames(count):
    frames = [on("cuda", random_splats(400, seed=seed)) for seed in range(count)]
    many = Splats(*(torch.stack([getattr(f, name) for f in frames]) for name in PARAMETERS))
    for orthographic in (False, True):
        base = orthographic_views if orthographic else perspective_views
        cameras = base(count)
        got = rasterize_many(many, cameras)
        assert got.color.shape == (count, 61, 75, 3)
        for i, (frame, camera) in enumerate(zip(frames, cameras, strict=True)):
            alone = rasterize(frame, camera)
            for name in ("color", "alpha", "depth"):
                torch.testing.assert_close(getattr(got, name)[i], getattr(alone, name), atol=1e-5, rtol=1e-5)
    none = Splats(*(getattr(many, name)[:, :0] for name in PARAMETERS))
    assert float(rasterize_many(none, cameras).alpha.sum()) == 0


def perspective_views(count: int) -> list[Camera]:
    return [orbit_camera(25 + 7 * i, 10 - i, size=(75, 61), focal_mm=100, distance=0.7) for i in range(count)]


def orthographic_views(count: int) -> list[Camera]:
    K = np.array([[280.0, 0, 40], [0, 260, 28], [0, 0, 1]])
    return [replace(camera, K=K, orthographic=True) for camera in perspective_views(count)]
