"""One ``rasterize`` for every backend. Heavy packages are imported only by the backend that needs them."""

from __future__ import annotations

from collections.abc import Sequence
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


def rasterize_many(splats: Splats, cameras: Sequence[Camera], *, backend: str = "auto", views: Any = None) -> Rendered:
    """Render B frames at once: frame i of the splats through camera i. On CUDA they share one pass of the kernels.

    Args:
        splats: every array with a leading dimension B: ``means`` (B, N, 3), ``opacities`` (B, N) and so on.
        cameras: B cameras of the same size, clip range and projection.
        backend: as in :func:`rasterize`; all but "gsplat" draw one frame after another.
        views: (viewmats, Ks) of ``gsplat_backend.views_of`` where the cameras are on the device already.

    Returns:
        A ``Rendered`` whose arrays have the leading dimension B, equal to B calls of :func:`rasterize`.

    Raises:
        ArgumentError, RenderError, OutOfMemoryError: as :func:`rasterize`, and for cameras that do not go together.
    """
    count = int(splats.means.shape[0])
    if count < 1 or count != len(cameras):
        raise ArgumentError(f"{count} frames of splats and {len(cameras)} cameras do not go together.")
    if len({(c.width, c.height, c.near, c.far, c.orthographic) for c in cameras}) > 1:
        raise ArgumentError("Frames drawn at once share size, clip range and projection; these cameras differ.")
    if any(int(getattr(splats, f.name).shape[0]) != count for f in fields(splats)):
        raise ArgumentError(f"Every array of {count} frames of splats has {count} as its first dimension.")
    _check(_frame(splats, 0), cameras[0])
    for camera in cameras[1:]:
        _check_skew(camera)
    on_gpu = is_torch(splats.means) and splats.means.is_cuda
    if on_gpu and backend in ("auto", "gsplat"):
        from .gsplat_backend import rasterize_gsplat_many, require_cuda

        require_cuda()
        return rasterize_gsplat_many(splats, cameras, views)
    drawn = [rasterize(_frame(splats, i), camera, backend=backend) for i, camera in enumerate(cameras)]
    if is_torch(splats.means):
        import torch

        return Rendered(*(torch.stack([getattr(r, f.name) for r in drawn]) for f in fields(Rendered)))
    return Rendered(*(np.stack([getattr(r, f.name) for r in drawn]) for f in fields(Rendered)))


def _frame(splats: Splats, i: int) -> Splats:
    return Splats(*(getattr(splats, f.name)[i] for f in fields(splats)))


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
    _check_skew(camera)


def _check_skew(camera: Camera) -> None:
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
