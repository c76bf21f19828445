"""Frames drawn at once equal single ones; gsplat's half of it with its kernels replaced by the reference."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from splat_fixtures import random_splats

from gshead_backend.avatar.types import Splats
from gshead_backend.camera import Camera, orbit_camera
from gshead_backend.errors import ArgumentError
from gshead_backend.raster import Rendered, rasterize, rasterize_many
from gshead_backend.raster.gsplat_backend import rasterize_gsplat, rasterize_gsplat_many, views_array, views_of

NAMES = ("means", "quats", "scales", "opacities", "colors")
FRAMES = 3


def many(kind: type, channels: int = 3) -> tuple[Splats, list[Camera]]:
    frames = [random_splats(120, seed=seed, channels=channels) for seed in range(FRAMES)]
    arrays = [np.stack([getattr(f, name) for f in frames]) for name in NAMES]
    cameras = [orbit_camera(20 * i, 5 * i, size=(61, 47), distance=0.5 + 0.1 * i) for i in range(FRAMES)]
    return Splats(*(torch.tensor(a) if kind is torch.Tensor else a for a in arrays)), cameras


def frame(splats: Splats, i: int) -> Splats:
    return Splats(*(getattr(splats, name)[i] for name in NAMES))


def assert_equal_singles(got: Rendered, singles: list[Rendered], atol: float = 0) -> None:
    for name in ("color", "alpha", "depth"):
        wanted = np.stack([np.asarray(getattr(r, name)) for r in singles])
        np.testing.assert_allclose(np.asarray(getattr(got, name)), wanted, atol=atol, rtol=0)


@pytest.mark.parametrize("kind", [np.ndarray, torch.Tensor])
@pytest.mark.parametrize("orthographic", [False, True])
def test_frames_at_once_equal_single_frames(kind, orthographic):
    splats, cameras = many(kind)
    if orthographic:
        cameras = [replace(c, orthographic=True, K=c.K * [[3], [3], [1]]) for c in cameras]
    got = rasterize_many(splats, cameras)
    assert isinstance(got.color, kind)
    assert float(got.alpha.max()) > 0.5
    assert_equal_singles(got, [rasterize(frame(splats, i), c) for i, c in enumerate(cameras)])


def test_what_does_not_go_together_is_refused():
    splats, cameras = many(np.ndarray)
    for wrong in (cameras[:2], [*cameras[:2], cameras[2].resized(60, 47)], [*cameras[:2], replace(cameras[2], far=5)]):
        with pytest.raises(ArgumentError, match=r"go together|share size"):
            rasterize_many(splats, wrong)
    short = Splats(splats.means, splats.quats, splats.scales, splats.opacities[:2], splats.colors)
    with pytest.raises(ArgumentError, match="first dimension"):
        rasterize_many(short, cameras)
    with pytest.raises(ArgumentError, match="shape"):
        rasterize_many(Splats(*(getattr(splats, n)[..., None] for n in NAMES)), cameras)
    skewed = cameras[1].K.copy()
    skewed[0, 1] = 3
    with pytest.raises(ArgumentError, match="skew"):
        rasterize_many(splats, [cameras[0], replace(cameras[1], K=skewed), cameras[2]])


def test_packed_views_come_apart_again():
    cameras = many(np.ndarray)[1]
    viewmats, Ks = views_of(torch.from_numpy(views_array(cameras)))
    for i, camera in enumerate(cameras):
        np.testing.assert_allclose(viewmats[i, 0], camera.viewmat, atol=1e-6)
        np.testing.assert_allclose(Ks[i, 0], camera.K, rtol=1e-6)


@pytest.fixture
def gsplat_on_the_cpu(monkeypatch):
    """``gsplat.rasterization`` with the shapes that the real one insists on, drawn by the reference."""
    gsplat = pytest.importorskip("gsplat", reason="gsplat is not installed")
    real = inspect.signature(gsplat.rasterization)

    def rasterization(**given):
        a = real.bind(**given).arguments
        batch, n = a["means"].shape[:-2], a["means"].shape[-2]
        assert a["means"].shape == (*batch, n, 3)
        assert a["quats"].shape == (*batch, n, 4)
        assert a["scales"].shape == (*batch, n, 3)
        assert a["opacities"].shape == (*batch, n)
        assert a["colors"].shape[:-1] == (*batch, n)
        assert a["viewmats"].shape == (*batch, 1, 4, 4)
        assert a["Ks"].shape == (*batch, 1, 3, 3)
        assert a["render_mode"] == "RGB+D"
        assert all(a[name].dtype == torch.float32 for name in (*NAMES, "viewmats", "Ks"))
        flat = {name: a[name].reshape(-1, *a[name].shape[len(batch) :]) for name in (*NAMES, "viewmats", "Ks")}
        sums, alphas = [], []
        for i in range(flat["means"].shape[0]):
            camera = Camera(
                a["width"], a["height"], flat["Ks"][i, 0].numpy(), flat["viewmats"][i, 0].numpy(), a["near_plane"],
                a["far_plane"], a["camera_model"] == "ortho",
            )  # fmt: skip
            r = rasterize(Splats(*(flat[name][i] for name in NAMES)), camera, backend="reference")
            depth = torch.where(torch.isfinite(r.depth), r.depth * r.alpha, torch.zeros_like(r.alpha))
            sums.append(torch.cat([r.color, depth[..., None]], -1))
            alphas.append(r.alpha[..., None])
        shape = (*batch, 1, a["height"], a["width"])
        return torch.stack(sums).view(*shape, -1), torch.stack(alphas).view(*shape, 1), {}

    monkeypatch.setattr(gsplat, "rasterization", rasterization)


@pytest.mark.parametrize("channels", [3, 5])
def test_gsplat_gets_and_gives_the_right_shapes(gsplat_on_the_cpu, channels):
    splats, cameras = many(torch.Tensor, channels)
    singles = [rasterize(frame(splats, i), c, backend="reference") for i, c in enumerate(cameras)]
    assert_equal_singles(rasterize_gsplat_many(splats, cameras), singles, atol=1e-5)
    packed = views_of(torch.from_numpy(views_array(cameras)))
    assert_equal_singles(rasterize_gsplat_many(splats, cameras, packed), singles, atol=1e-5)
    alone = [rasterize_gsplat(frame(splats, i), c) for i, c in enumerate(cameras)]
    assert_equal_singles(rasterize_gsplat_many(splats, cameras), alone, atol=1e-6)
    expanded = replace(splats, colors=splats.colors[:1].expand(FRAMES, -1, -1))
    wanted = [rasterize(frame(expanded, i), c, backend="reference") for i, c in enumerate(cameras)]
    assert_equal_singles(rasterize_gsplat_many(expanded, cameras), wanted, atol=1e-5)


def test_gsplat_with_no_splats(gsplat_on_the_cpu):
    splats, cameras = many(torch.Tensor)
    none = Splats(*(getattr(splats, name)[:, :0] for name in NAMES))
    got = rasterize_gsplat_many(none, cameras)
    assert got.color.shape == (FRAMES, 47, 61, 3)
    assert float(got.alpha.sum()) == 0
    assert bool(torch.isinf(got.depth).all())
