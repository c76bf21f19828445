"""One ``rasterize`` for every backend. Heavy packages are imported only by the backend that needs them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from ..avatar.splats import is_torch
from ..avatar.types import Splats
from ..camera import Camera
from ..errors import ArgumentError
from .types import Rendered

BACKENDS = ("auto", "cpu", "gsplat", "reference")


def rasterize(splats: Splats, camera: Camera, *, background: Any = None, backend: str = "auto") -> Rendered:
    """Render splats; numpy in, numpy out, torch in, torch out on the same device, differentiable.

    Splats that are not finite, are outside the clip range or have an opacity below 1/255 are not drawn. ``viewmat`` may
    hold any affine map, so a head's world matrix can be multiplied into it instead of moving the splats.

    Args:
        splats: N >= 0 splats with any number C >= 1 of channels; opacities above 1 count as 1.
        background: (C,) or (H, W, C), composited behind the splats; None leaves premultiplied colour.
        backend: "auto" is "gsplat" for CUDA tensors and "cpu" otherwise; "reference" is for tests.

    Raises:
        ArgumentError: shapes do not fit, or the camera has a skew.
        RenderError: the backend is not available, e.g. no CUDA device.
        OutOfMemoryError: the frame does not fit into the device's memory.
    """
    _check(splats, camera)
    on_torch = is_torch(splats.means)
    if backend == "auto":
        backend = "gsplat" if on_torch and splats.means.is_cuda else "cpu"
    if backend not in BACKENDS:
        raise ArgumentError(f"There is no rasterizer '{backend}'.", remedy=f"Use one of: {', '.join(BACKENDS)}.")
    if background is not None:
        background = _check_background(background, splats, camera)
    if backend == "cpu" and not on_torch:
        from .cpu import rasterize_numpy

        return rasterize_numpy(splats, camera, background)
    return _with_torch(splats, camera, background, backend)


def _with_torch(splats: Splats, camera: Camera, background: Any, backend: str) -> Rendered:
    import torch

    on_torch = is_torch(splats.means)
    home = splats.means.device if on_torch else torch.device("cpu")
    if backend == "gsplat":
        from .gsplat_backend import rasterize_gsplat, require_cuda

        require_cuda()
        work, render = home if home.type == "cuda" else torch.device("cuda"), rasterize_gsplat
    elif backend == "cpu":
        from .cpu.autograd import rasterize_torch

        work, render = torch.device("cpu"), rasterize_torch
    else:
        from .reference import rasterize_reference

        work, render = home, rasterize_reference
    moved = Splats(*(torch.as_tensor(getattr(splats, f.name), device=work) for f in fields(splats)))
    behind = None if background is None else torch.as_tensor(background, dtype=moved.means.dtype, device=work)
    result = render(moved, camera, behind)
    back = [getattr(result, f.name) for f in fields(result)]
    return Rendered(*((a.to(home) if on_torch else a.detach().cpu().numpy()) for a in back))


def _check(splats: Splats, camera: Camera) -> None:
    n = len(splats)
    if len(splats.colors.shape) != 2 or splats.colors.shape[1] < 1:
        raise ArgumentError(f"Splats.colors must have shape (N, C) with C >= 1, got {tuple(splats.colors.shape)}.")
    wanted = {
        "means": (n, 3),
        "quats": (n, 4),
        "scales": (n, 3),
        "opacities": (n,),
        "colors": (n, splats.colors.shape[1]),
    }
    for name, shape in wanted.items():
        got = tuple(getattr(splats, name).shape)
        if got != shape:
            raise ArgumentError(f"Splats.{name} must have shape {shape}, got {got}.")
    if abs(camera.K[0, 1]) + abs(camera.K[1, 0]) > 1e-9 * camera.K[0, 0]:
        raise ArgumentError("The rasterizer takes no skew: K[0, 1] and K[1, 0] must be zero.")


def _check_background(background: Any, splats: Splats, camera: Camera) -> Any:
    if not is_torch(background):
        background = np.asarray(background, np.float32)
    elif not is_torch(splats.means):
        background = background.detach().cpu().numpy()
    shape, c = tuple(background.shape), int(splats.colors.shape[1])
    if shape not in ((c,), (camera.height, camera.width, c)):
        raise ArgumentError(f"background must have shape ({c},) or (H, W, {c}) of the camera, got {shape}.")
    return background
