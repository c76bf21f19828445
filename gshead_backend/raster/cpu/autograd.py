"""The CPU rasterizer as a torch function. Gradients reach every splat parameter; the camera gets none."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...avatar.types import Splats
from ...camera import Camera
from ...errors import OutOfMemoryError
from ..compose import finish
from ..types import Rendered
from . import blending, layout, projection
from .pipeline import LOCK, Tiles, blend, build_tiles, lens_of, rasterize_numpy


class _Rasterize(torch.autograd.Function):
    """(means, quats, scales, opacities, colors) -> colour sum (H, W, C), alpha (H, W), depth sum (H, W)."""

    @staticmethod
    def forward(ctx: Any, camera: Camera, *tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        splats = Splats(*(_array(t) for t in tensors))
        with LOCK:
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
            out = _backward(splats, ctx.camera, ctx.tiles, pixel.numpy(), np.ascontiguousarray(grad.numpy()))
        except MemoryError as e:
            raise OutOfMemoryError(
                f"Not enough memory for the gradients of {len(splats)} splats.", remedy="Use a lower quality."
            ) from e
        return None, *(torch.from_numpy(g) for g in out)


def _backward(
    splats: Splats, camera: Camera, tiles: Tiles, pixel: np.ndarray, grad: np.ndarray
) -> tuple[np.ndarray, ...]:
    rows = np.empty((tiles.members.size, layout.MOMENTS + splats.colors.shape[1]), np.float32)
    given = (splats.means, splats.quats, splats.scales, splats.opacities, splats.colors)
    out = tuple(np.empty_like(a) for a in given)
    blend_backward = blending.blend_rgb_backward if splats.colors.shape[1] == 3 else blending.blend_any_backward
    with LOCK:
        blend_backward(
            tiles.geometry, tiles.extent, splats.colors, tiles.start, tiles.members, tiles.slots, tiles.tiles_x,
            pixel, grad, rows,
        )  # fmt: skip
        projection.gather_backward(
            splats.means, splats.quats, splats.scales, splats.opacities, camera.viewmat, lens_of(camera),
            float(camera.width), float(camera.height), camera.orthographic, tiles.first_pair, rows,
            *out,
        )  # fmt: skip
    return out


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
    return np.ascontiguousarray(t.detach().numpy(), np.float32)


def warm_up_gradients(splats: Splats, camera: Camera) -> None:
    """Compile the gradient kernels with one tiny picture."""
    tensors = [torch.tensor(getattr(splats, n)).requires_grad_() for n in Splats.__dataclass_fields__]
    rasterize_torch(Splats(*tensors), camera).color.sum().backward()
