"""The CUDA rasterizer: gsplat's kernels behind our signature."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..avatar.types import Splats
from ..camera import Camera
from ..errors import OutOfMemoryError, RenderError
from .compose import finish
from .constants import BLUR
from .types import Rendered

CHANNELS_AT_ONCE = 32
"""gsplat has compiled kernels for up to this many channels (and a few larger round numbers)."""


@functools.cache
def require_cuda() -> None:
    """Make sure gsplat can run; compiles its kernels on the first call of a machine (1 to 5 minutes).

    Raises ``RenderError`` with the cause and what to do. Success is remembered, failure is tried again.
    """
    remedy = "Render with backend='cpu', which needs no GPU."
    if not torch.cuda.is_available():
        built = (
            f"this torch was built for CUDA {torch.version.cuda}" if torch.version.cuda else "this torch has no CUDA"
        )
        raise RenderError(
            f"gsplat needs a CUDA device and torch sees none ({built}, torch {torch.__version__}).", remedy=remedy
        )
    try:
        import gsplat  # noqa: F401
    except ImportError as e:
        raise RenderError(f"gsplat is not installed ({e}).", remedy=f"pip install 'gsplat>=1.5,<2'. {remedy}") from e
    toolkit = "Install the CUDA toolkit of torch's CUDA version and set CUDA_HOME to it."
    try:
        with _one_build_at_a_time():
            from gsplat.cuda import _backend
    except Exception as e:
        last = str(e).strip().splitlines()[-1:] or [type(e).__name__]
        raise RenderError(f"gsplat's CUDA kernels could not be built: {last[0]}", remedy=f"{toolkit} {remedy}") from e
    if _backend._C is None:
        raise RenderError(
            "gsplat has no compiled kernels and finds no CUDA toolkit to build them.", remedy=f"{toolkit} {remedy}"
        )


@contextlib.contextmanager
def _one_build_at_a_time() -> Iterator[None]:
    """Two processes that build gsplat at the same time break each other's build: hold a file lock."""
    try:
        import fcntl
    except ImportError:  # Windows: the build directory's own lock has to do
        yield
        return
    user = os.getuid()
    handle = os.open(Path(tempfile.gettempdir()) / f"gshead-gsplat-build-{user}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def device_memory(what: str) -> Iterator[None]:
    """Turn torch's out-of-memory error into ours and give cached memory back, so that the process lives on."""
    try:
        yield
    except torch.OutOfMemoryError as e:
        message = str(e).splitlines()[0] if str(e) else "no more memory"
        e.__traceback__ = None  # its frames hold the tensors that filled the memory
    else:
        return
    torch.cuda.empty_cache()
    raise OutOfMemoryError(
        f"The GPU's memory is too small for {what}: {message}", remedy="Render fewer pixels or a lower quality."
    )


def rasterize_gsplat(splats: Splats, camera: Camera, background: Tensor | None = None) -> Rendered:
    """Render CUDA tensors; differentiable. float32 inside; the result has the dtype of ``splats.means``.

    Raises ``OutOfMemoryError``.
    """
    device, dtype = splats.means.device, splats.means.dtype
    h, w = camera.height, camera.width
    if len(splats) == 0:
        empty = splats.means.sum() + splats.colors.sum() + torch.zeros(h, w, device=device, dtype=dtype)
        return finish(empty[..., None].expand(h, w, splats.colors.shape[1]), empty, empty, background)
    with device_memory(f"{len(splats)} splats at {w}x{h}"):
        viewmats, Ks = views_on(device, [camera])
        sums, alpha = _sums(splats, viewmats[0], Ks[0], camera)
        sums, alpha = sums[0].to(dtype), alpha[0, ..., 0].to(dtype)
        return finish(sums[..., :-1], alpha, sums[..., -1], background)


def rasterize_gsplat_many(
    splats: Splats, cameras: Sequence[Camera], views: tuple[Tensor, Tensor] | None = None
) -> Rendered:
    """Render B frames of B x N splats at once, each with its own camera; see ``rasterize_many``.

    ``views``: what ``views_on`` gives for the cameras, where the caller has it on the device already.
    """
    b, n = splats.means.shape[:2]
    device, dtype, first = splats.means.device, splats.means.dtype, cameras[0]
    h, w = first.height, first.width
    if n == 0:
        empty = torch.zeros(b, h, w, device=device, dtype=dtype)
        return finish(empty[..., None].expand(b, h, w, splats.colors.shape[2]), empty, empty, None)
    with device_memory(f"{b} frames of {n} splats at {w}x{h}"):
        sums, alpha = _sums(splats, *(views or views_on(device, cameras)), first)
        sums, alpha = sums[:, 0].to(dtype), alpha[:, 0, ..., 0].to(dtype)
        return finish(sums[..., :-1], alpha, sums[..., -1], None)


def views_array(cameras: Sequence[Camera]) -> np.ndarray:
    """(B, 25) float32: world to camera, row by row, then K; what ``views_of`` takes apart."""
    rows = [np.concatenate([c.viewmat.reshape(-1), c.K.reshape(-1)]) for c in cameras]
    return np.stack(rows).astype(np.float32)


def views_of(packed: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 25) to gsplat's viewmats (B, 1, 4, 4) and Ks (B, 1, 3, 3)."""
    return packed[:, None, :16].unflatten(-1, (4, 4)), packed[:, None, 16:].unflatten(-1, (3, 3))


def views_on(device: torch.device, cameras: Sequence[Camera]) -> tuple[Tensor, Tensor]:
    """``views_of`` the cameras on a device, in one copy."""
    return views_of(torch.from_numpy(views_array(cameras)).to(device))


def _sums(splats: Splats, viewmats: Tensor, Ks: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Blended colours with depth as the last channel, and alphas: (..., 1, H, W, C + 1), (..., 1, H, W, 1)."""
    from gsplat import rasterization

    sums, alpha, _ = rasterization(
        means=splats.means.float(),
        quats=splats.quats.float(),
        scales=splats.scales.float(),
        opacities=splats.opacities.float().clamp(max=1.0),
        colors=splats.colors.float(),
        viewmats=viewmats,
        Ks=Ks,
        width=camera.width,
        height=camera.height,
        near_plane=camera.near,
        far_plane=camera.far,
        eps2d=BLUR,
        packed=False,
        render_mode="RGB+D",
        channel_chunk=CHANNELS_AT_ONCE,
        camera_model="ortho" if camera.orthographic else "pinhole",
    )
    return sums, alpha
