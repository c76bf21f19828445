"""The raster that training goes through: the exact one's picture, and the gradient that plain arithmetic gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from gshead_backend.camera import Camera
from gshead_backend.errors import ArgumentError
from gshead_backend.methods.gagavatar.lifting import opencv_camera
from gshead_backend.methods.gagavatar.raster import Placed, rasterize_exactly
from gshead_backend.methods.gagavatar.raster_gradient import rasterize_trainable

SIZE, CHANNELS = 40, 5
FIELDS = ("xyz", "colors", "opacities", "scales", "rotations")


def camera() -> Camera:
    a = 0.3
    R = np.diag([-1.0, 1, -1]) @ np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    return opencv_camera(np.column_stack([R, [0.05, -0.03, 10.5]]), SIZE)


def scene(count: int = 60, seed: int = 0) -> Placed:
    """Thin and thick Gaussians with quaternions of any length; some opaque, one behind the camera."""
    g = torch.Generator().manual_seed(seed)
    xyz = torch.randn(count, 3, generator=g) * 0.35
    xyz[0] = torch.tensor([0.0, 0.0, 30.0])
    return Placed(
        xyz, torch.randn(count, CHANNELS, generator=g), torch.rand(count, 1, generator=g) * 1.02,
        0.02 + 0.15 * torch.rand(count, 3, generator=g), torch.randn(count, 4, generator=g) * 0.4,
    )  # fmt: skip


def plain(p: Placed, view: Camera) -> Tensor:
    """The public rasterizer's rules, pixel by pixel, one Gaussian after another, in float64. (H, W, C)"""
    focal, V = float(view.K[0, 0]), torch.tensor(view.viewmat)
    x, y, z = (p.xyz @ V[:3, :3].T + V[:3, 3]).unbind(1)
    w, i, j, k = p.rotations.unbind(1)
    R = torch.stack([
        1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j), 2 * (i * j + w * k), 1 - 2 * (i * i + k * k),
        2 * (j * k - w * i), 2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j),
    ], 1).reshape(-1, 3, 3)  # fmt: skip
    covariance = R @ torch.diag_embed(p.scales**2) @ R.transpose(1, 2)
    limit = 1.3 * 0.5 * SIZE / focal
    rows, columns = torch.meshgrid(torch.arange(SIZE).double(), torch.arange(SIZE).double(), indexing="ij")
    through, out = torch.ones(SIZE, SIZE).double(), torch.zeros(SIZE, SIZE, CHANNELS).double()
    open_ = torch.ones(SIZE, SIZE, dtype=torch.bool)
    for n in z.detach().argsort(stable=True).tolist():
        if z[n] <= 0.2:
            continue
        tx, ty = (x[n] / z[n]).clamp(-limit, limit), (y[n] / z[n]).clamp(-limit, limit)
        J = torch.stack([focal / z[n], 0 * tx, -focal * tx / z[n], 0 * tx, focal / z[n], -focal * ty / z[n]])
        J = J.reshape(2, 3) @ V[:3, :3]
        flat = J @ covariance[n] @ J.T + 0.3 * torch.eye(2).double()
        mx, my = focal * x[n] / z[n] + SIZE / 2 - 0.5, focal * y[n] / z[n] + SIZE / 2 - 0.5
        radius = float((3 * torch.linalg.eigvalsh(flat.detach()).max().sqrt()).ceil())
        tiles = [int(min(max((float(m.detach()) + s) // 16, 0), 3)) for m in (mx, my) for s in (-radius, radius + 15)]
        inside = (columns >= 16 * tiles[0]) & (columns < 16 * tiles[1])
        inside &= (rows >= 16 * tiles[2]) & (rows < 16 * tiles[3])
        d = torch.stack([columns - mx, rows - my], -1)
        power = -0.5 * torch.einsum("hwa,ab,hwb->hw", d, torch.linalg.inv(flat), d)
        alpha = (p.opacities[n, 0] * power.exp()).clamp(max=0.99)
        drawn = inside & open_ & (alpha >= 1 / 255) & (power >= -6)
        after = through * (1 - alpha)
        open_ = open_ & ~(drawn & (after < 1e-4))
        drawn = drawn & open_
        out = out + torch.where(drawn, alpha * through, 0.0)[..., None] * p.colors[n]
        through = torch.where(drawn, after, through)
    return out


def test_the_picture_is_the_exact_rasterizers() -> None:
    placed = scene()
    trained = rasterize_trainable(placed, camera())
    assert torch.equal(trained.permute(1, 2, 0), rasterize_exactly(placed, camera()).color)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_field_gets_the_gradient_of_plain_arithmetic(seed: int) -> None:
    placed, view = scene(seed=seed), camera()
    weight = torch.randn(SIZE, SIZE, CHANNELS, generator=torch.Generator().manual_seed(9))
    ours = dataclasses.replace(placed, **{f: getattr(placed, f).clone().requires_grad_() for f in FIELDS})
    twin = dataclasses.replace(placed, **{f: getattr(placed, f).double().requires_grad_() for f in FIELDS})
    drawn, wanted = rasterize_trainable(ours, view).permute(1, 2, 0), plain(twin, view)
    assert float((drawn - wanted).detach().abs().max()) < 2e-4
    (drawn * weight).sum().backward()
    (wanted * weight).sum().backward()
    for name in FIELDS:
        mine, theirs = getattr(ours, name).grad, getattr(twin, name).grad
        assert float(theirs.abs().max()) > 0.1, name
        assert float((mine - theirs).norm() / theirs.norm()) < 2e-3, name
        assert float(mine[0].abs().max()) == 0, name  # behind the camera


def test_the_same_scene_gives_the_same_gradient_again() -> None:
    found = []
    for _ in range(2):
        xyz = scene().xyz.requires_grad_()
        rasterize_trainable(dataclasses.replace(scene(), xyz=xyz), camera()).square().sum().backward()
        found.append(xyz.grad)
    assert torch.equal(*found)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("default")  # torch's extension loader warns about its environment
def test_gsplat_gives_nearly_the_same_picture_and_gradient() -> None:
    """Its limits differ (opacity up to 0.999, smaller extents), so the scene keeps away from them."""
    calm = dataclasses.replace(scene(), opacities=scene().opacities * 0.5)
    weight = torch.randn(CHANNELS, SIZE, SIZE, generator=torch.Generator().manual_seed(9))
    grads, drawn = [], []
    for device in ("cpu", "cuda"):
        placed = dataclasses.replace(calm, **{f: getattr(calm, f).to(device).requires_grad_() for f in FIELDS})
        drawn.append(rasterize_trainable(placed, camera()).cpu())
        (drawn[-1] * weight).sum().backward()
        grads.append([getattr(placed, f).grad.cpu() for f in FIELDS])
    assert float((drawn[0] - drawn[1]).detach().norm() / drawn[0].detach().norm()) < 0.02
    for name, mine, theirs in zip(FIELDS, *grads, strict=True):
        assert float((mine - theirs).norm() / mine.norm()) < 0.05, name


def test_another_rasterizer_is_refused() -> None:
    with pytest.raises(ArgumentError, match="'cpu'"):
        rasterize_trainable(scene(), camera(), "cpu")
