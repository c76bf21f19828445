"""The raster for training: the same pictures as ``raster``, with gradients to every field of every Gaussian.

Rotations count as they come, of any length, so the vertices' rotations learn as in the public network. On a CPU the
kernels of the exact rasterizer walk once more for the gradient of what they blend; how places, rotations and scales
become ellipses of the picture is written in torch. On CUDA gsplat takes the covariances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...camera import Camera
from ...errors import ArgumentError
from ...parallel import NUMBA_LOCK, kernel_array
from ...raster.constants import BLUR
from . import raster_kernels as kernels
from .raster import Placed, Tiles, blended, chosen_backend, sorted_tiles

MARGIN = 1.3
ELLIPSE = 6
"""Columns of an ellipse's gradient: place x, y, inverse covariance xx, xy, yy, opacity."""


def turned_scales(rotations: Tensor, scales: Tensor) -> Tensor:
    """R S (N, 3, 3) of quaternions (N, 4) wxyz that are not normalised, and scales (N, 3)."""
    w, x, y, z = rotations.unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, 1).unflatten(1, (3, 3)) * scales[:, None, :]


def ellipses(placed: Placed, camera: Camera) -> tuple[Tensor, Tensor]:
    """Places (N, 2) in pixels, centres at integers, and inverse covariances (N, 3) xx, xy, yy: as the kernels project.

    Those behind the near limit get some finite numbers.
    """
    like = placed.xyz
    view, size, focal = like.new_tensor(camera.viewmat), camera.width, float(camera.K[0, 0])
    x, y, z = (like @ view[:3, :3].T + view[:3, 3]).unbind(1)
    z = torch.where(z > camera.near, z, torch.ones_like(z))
    limit = MARGIN * 0.5 * size / focal
    tx, ty, zero = (x / z).clamp(-limit, limit), (y / z).clamp(-limit, limit), torch.zeros_like(z)
    J = torch.stack([focal / z, zero, -focal * tx / z, zero, focal / z, -focal * ty / z], 1).unflatten(1, (2, 3))
    U = J @ (view[:3, :3] @ turned_scales(placed.rotations, placed.scales))
    xx, xy, yy = U[:, 0].square().sum(1) + BLUR, (U[:, 0] * U[:, 1]).sum(1), U[:, 1].square().sum(1) + BLUR
    det = xx * yy - xy * xy
    centre = 0.5 * size - 0.5
    places = torch.stack([focal * x / z + centre, focal * y / z + centre], 1)
    return places, torch.stack([yy / det, -xy / det, xx / det], 1)


class _Blend(torch.autograd.Function):
    """(places, inverse covariances, opacities, colours) -> colour (size, size, C). What is drawn are the kernels' own
    ellipses of ``placed``, which the first two equal but for rounding."""

    @staticmethod
    def forward(ctx: Any, placed: Placed, camera: Camera, *fields: Tensor) -> Tensor:
        del fields
        with NUMBA_LOCK:
            tiles = sorted_tiles(placed, camera, slots=True)
            out, _, _ = blended(tiles, camera.width)
        ctx.tiles, ctx.out = tiles, out
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows = torch.from_numpy(_pair_gradients(ctx.tiles, ctx.out, kernel_array(grads[0].numpy())))
        return None, None, rows[:, :2], rows[:, 2:5], rows[:, 5:ELLIPSE], rows[:, ELLIPSE:]


def _pair_gradients(tiles: Tiles, out: np.ndarray, grad: np.ndarray) -> np.ndarray:
    """(N, 6 + C) gradients of the ellipses, their opacities and colours."""
    wide = ELLIPSE + tiles.colors.shape[1]
    rows = np.zeros((tiles.members.size, wide), np.float32)
    total = np.zeros((len(tiles.geometry), wide), np.float32)
    with NUMBA_LOCK:
        kernels.blend_backward(
            tiles.geometry, tiles.colors, tiles.start, tiles.members, tiles.slots, tiles.columns, out, grad, rows
        )
        kernels.sum_pairs(tiles.first_pair, rows, total)
    return total


def rasterize_trainable(placed: Placed, camera: Camera, backend: str = "auto") -> Tensor:
    """The raster (C, size, size) float32, differentiable in every field of ``placed``.

    Args:
        placed: float32, rotations as the network tells them. camera: as ``raster.rasterize_exactly`` takes it.
        backend: "exact" on a CPU, "gsplat" on CUDA, or "auto".
    Raises:
        ArgumentError: another backend or camera. RenderError, OutOfMemoryError.
    """
    backend = chosen_backend(backend, placed.xyz.device)
    if backend == "exact":
        places, conics = ellipses(placed, camera)
        out: Tensor = _Blend.apply(placed, camera, places, conics, placed.opacities, placed.colors)  # pyright: ignore
        return out.permute(2, 0, 1)
    if backend != "gsplat":
        raise ArgumentError(f"There is no rasterizer '{backend}' to train with.", remedy="Use 'exact' or 'gsplat'.")
    return _on_cuda(placed, camera)


def _on_cuda(placed: Placed, camera: Camera) -> Tensor:
    from ...raster.gsplat_backend import CHANNELS_AT_ONCE, device_memory, require_cuda, views_on

    require_cuda()
    from gsplat import rasterization

    m = turned_scales(placed.rotations, placed.scales)
    viewmats, Ks = (v[0] for v in views_on(placed.xyz.device, [camera]))
    with device_memory(f"training on {len(placed.xyz)} Gaussians at {camera.width}x{camera.height}"):
        colors, _, _ = rasterization(
            means=placed.xyz, quats=None, scales=None, covars=m @ m.transpose(1, 2),  # pyright: ignore[reportArgumentType]
            opacities=placed.opacities[:, 0], colors=placed.colors, viewmats=viewmats, Ks=Ks, width=camera.width,
            height=camera.height, near_plane=camera.near, eps2d=BLUR, packed=False, channel_chunk=CHANNELS_AT_ONCE,
        )  # fmt: skip
    return colors[0].permute(2, 0, 1)
