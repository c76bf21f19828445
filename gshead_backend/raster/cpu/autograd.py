"""The CPU rasterizer as a torch function. Gradients reach every splat parameter; the camera gets none."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...avatar.types import Splats
from ...camera import Camera
from ...errors import OutOfMemoryError
from ...parallel import NUMBA_LOCK, kernel_array
from ..compose import finish
from ..types import Rendered
from . import blending, layout, projection
from .pipeline import Tiles, blend, build_tiles, in_threes, rasterize_numpy, view_of


class _Rasterize(torch.autograd.Function):
    """(means, quats, scales, opacities, colors) -> colour sum (H, W, C), alpha (H, W), depth sum (H, W)."""

    @staticmethod
    def forward(ctx: Any, camera: Camera, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        splats = Splats(*(_array(t) for t in tensors))
        with NUMBA_LOCK:
            tiles = build_tiles(splats, camera, slots=True)
            images = blend(tiles, splats.colors, camera, None, finished=False)
        color, alpha, depth = (torch.from_numpy(a) for a in images)
        ctx.camera, ctx.tiles = camera, tiles
        ctx.save_for_backward(*tensors, color, alpha, depth)
        return color, alpha, depth

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        *tensors, color, alpha, depth = ctx.saved_tensors
        splats = Splats(*(_array(t) for t in tensors))
        g_color, g_alpha, g_depth = grads
        pixel = torch.cat([alpha[..., None], depth[..., None], color], -1)
        grad = torch.cat([g_alpha[..., None], g_depth[..., None], g_color], -1)
        try:
            out = _backward(splats, ctx.camera, ctx.tiles, pixel.numpy(), kernel_array(grad.numpy()))
        except MemoryError as e:
            raise OutOfMemoryError(
                f"Not enough memory for the gradients of {len(splats)} splats.", remedy="Use a lower quality."
            ) from e
        return None, *(torch.from_numpy(g) for g in out)


def _backward(
    splats: Splats, camera: Camera, tiles: Tiles, pixel: np.ndarray, grad: np.ndarray
) -> tuple[np.ndarray, ...]:
    given = (splats.means, splats.quats, splats.scales, splats.opacities, splats.colors)
    out = tuple(np.empty_like(a) for a in given)
    with NUMBA_LOCK:
        rows = _pair_gradients(splats.colors, tiles, pixel, grad)
        projection.gather_backward(
            splats.means, splats.quats, splats.scales, splats.opacities, *view_of(camera), bool(camera.orthographic),
            tiles.first_pair, rows, *out,
        )  # fmt: skip
    return out


def _pair_gradients(colors: np.ndarray, tiles: Tiles, pixel: np.ndarray, grad: np.ndarray) -> np.ndarray:
    """(P, 7 + C) gradient of every (tile, splat) pair. All of it is linear in ``grad``, so channels go by threes."""
    parts = []
    if colors.shape[1] == 3:
        return _three_channels(colors, tiles, pixel, grad)
    for k, part in enumerate(in_threes(colors)):
        here = slice(2 + 3 * k, 5 + 3 * k)
        image, g = np.zeros((*pixel.shape[:2], 5), np.float32), np.zeros((*pixel.shape[:2], 5), np.float32)
        count = pixel[..., here].shape[-1]
        image[..., 2 : 2 + count], g[..., 2 : 2 + count] = pixel[..., here], grad[..., here]
        if k == 0:  # alpha and depth count once
            image[..., :2], g[..., :2] = pixel[..., :2], grad[..., :2]
        parts.append(_three_channels(part, tiles, image, g))
    moments = sum(p[:, : layout.MOMENTS] for p in parts)
    return np.ascontiguousarray(np.concatenate([moments, *(p[:, layout.MOMENTS :] for p in parts)], 1))


def _three_channels(colors: np.ndarray, tiles: Tiles, pixel: np.ndarray, grad: np.ndarray) -> np.ndarray:
    rows = np.empty((tiles.members.size, layout.MOMENTS + 3), np.float32)
    blending.blend_rgb_backward(
        tiles.geometry,
        tiles.extent,
        colors,
        tiles.start,
        tiles.shares,
        tiles.members,
        tiles.slots,
        tiles.tiles_x,
        pixel,
        grad,
        rows,
    )
    return rows


def rasterize_torch(splats: Splats, camera: Camera, background: Tensor | None = None) -> Rendered:
    """Render CPU tensors; float32 inside, the result has the dtype of ``splats.means``."""
    tensors = [getattr(splats, n) for n in ("means", "quats", "scales", "opacities", "colors")]
    dtype = tensors[0].dtype
    needs = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    if not needs and (background is None or not background.requires_grad):
        behind = None if background is None else _array(background)
        done = rasterize_numpy(Splats(*(_array(t) for t in tensors)), camera, behind)
        return Rendered(*(torch.from_numpy(a).to(dtype) for a in (done.color, done.alpha, done.depth)))
    color, alpha, depth = _Rasterize.apply(camera, *(t.float() for t in tensors))  # pyright: ignore
    return finish(color.to(dtype), alpha.to(dtype), depth.to(dtype), background)


def _array(t: Tensor) -> np.ndarray:
    return kernel_array(t.detach().numpy())


def warm_up_gradients(splats: Splats, camera: Camera) -> None:
    """Compile the gradient kernels with one tiny picture."""
    tensors = [torch.tensor(getattr(splats, n)).requires_grad_() for n in Splats.__dataclass_fields__]
    rasterize_torch(Splats(*tensors), camera).color.sum().backward()
