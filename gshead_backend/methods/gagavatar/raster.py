"""Gaussians to a raster of features, on a CPU exactly as the public network did, on CUDA through gsplat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...avatar.types import Splats
from ...camera import Camera
from ...errors import ArgumentError, OutOfMemoryError
from ...parallel import NUMBA_LOCK, kernel_array
from ...raster.compose import finish
from ...raster.cpu import sorting
from ...raster.rasterize import rasterize
from ...raster.types import Rendered
from . import raster_kernels as kernels

MAX_PAIRS = 1 << 28


@dataclass(frozen=True)
class Placed:
    """N Gaussians in space; tensors of one device.

    Attributes:
        xyz: (N, 3) in the network's units. colors: (N, C). opacities: (N, 1). scales: (N, 3). rotations: (N, 4) wxyz of
            any length, as the public rasterizer takes them.
        unit: the rotations have length one, see ``unit_rotations``.
    """

    xyz: Tensor
    colors: Tensor
    opacities: Tensor
    scales: Tensor
    rotations: Tensor
    unit: bool = False


def chosen_backend(backend: str, device: torch.device) -> str:
    """What "auto" stands for: "gsplat" on CUDA, "exact" elsewhere."""
    if backend != "auto":
        return backend
    return "gsplat" if device.type == "cuda" else "exact"


def unit_rotations(rotations: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """The same ellipsoids, (N, 4) and (N, 3), with quaternions of length one.

    A quaternion that is not of length one makes another matrix than a rotation, so the ellipsoid has other axes; they
    are found from its covariance. Rows that have length one already stay as they are.
    """
    out, sizes = rotations.clone(), scales.clone()
    odd = ((rotations.double().square().sum(1) - 1).abs() > 1e-5).nonzero()[:, 0]
    if len(odd) == 0:
        return out, sizes
    q = rotations[odd].double().cpu()
    w, x, y, z = q.unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    m = torch.stack(rows, 1).reshape(-1, 3, 3) * scales[odd].double().cpu()[:, None, :]
    values, axes = torch.linalg.eigh(m @ m.transpose(1, 2))
    axes = axes * torch.linalg.det(axes)[:, None, None]
    out[odd] = _quaternions(axes).to(out)
    sizes[odd] = values.clamp(min=0).sqrt().to(sizes)
    return out, sizes


def _quaternions(R: Tensor) -> Tensor:
    """(N, 3, 3) rotations to (N, 4) wxyz, by the eigenvector that belongs to each (Bar-Itzhack 2000)."""
    t = R.transpose(1, 2)
    K = R.new_zeros(R.shape[0], 4, 4)
    K[:, 1:, 1:] = R + t - torch.eye(3, dtype=R.dtype) * R.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    K[:, 0, 0] = R.diagonal(dim1=1, dim2=2).sum(1)
    for i, (a, b) in enumerate(((2, 1), (0, 2), (1, 0)), 1):
        K[:, 0, i] = K[:, i, 0] = R[:, a, b] - R[:, b, a]
    return torch.linalg.eigh(K)[1][:, :, -1]


@dataclass(frozen=True)
class Tiles:
    """Gaussians projected and sorted into tiles: what the kernels read.

    Attributes:
        geometry: (N, 9) float32, see ``raster_kernels``. colors: (N, C) float32. first_pair: (N + 1,) int64.
        start: (tiles + 1,) int64. members: (P,) int32. slots: (P,) int32, or (0,) when not asked for.
        columns: tiles a row.
    """

    geometry: np.ndarray
    colors: np.ndarray
    first_pair: np.ndarray
    start: np.ndarray
    members: np.ndarray
    slots: np.ndarray
    columns: int


def sorted_tiles(placed: Placed, camera: Camera, *, slots: bool = False) -> Tiles:
    """Project and sort. The caller holds ``NUMBA_LOCK``. Raises as ``rasterize_exactly``."""
    arrays = [
        kernel_array(x.detach().float().cpu().numpy())
        for x in (placed.xyz, placed.rotations, placed.scales, placed.opacities[:, 0], placed.colors)
    ]
    means, quats, scales, opacities, colors = arrays
    size, focal = camera.width, float(camera.K[0, 0])
    middle = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    if camera.height != size or camera.orthographic or not np.allclose(camera.K, middle, rtol=1e-9):
        raise ArgumentError("The public rasterizer's camera is square and looks through its middle.")
    n, columns = len(means), -(-size // kernels.TILE)
    view = kernel_array(camera.viewmat, np.float64)
    geometry, extent = np.empty((n, kernels.GEOMETRY_WIDTH), np.float32), np.empty((n, 4), np.int32)
    pairs = np.empty(n, np.int64)
    kernels.project(means, quats, scales, opacities, view, focal, size, camera.near, geometry, extent, pairs)
    total = int(pairs.sum())
    if total > MAX_PAIRS:
        raise OutOfMemoryError(f"{n} Gaussians cover {total} tiles of a picture, the limit is {MAX_PAIRS}.")
    before = np.zeros(n + 1, np.int64)
    np.cumsum(pairs, out=before[1:])
    order = sorting.depth_order(pairs, geometry[:, kernels.DEPTH].view(np.uint32))
    members, places = np.empty(total, np.int32), np.empty(total if slots else 0, np.int32)
    start = sorting.fill_tiles(order, extent, before, columns, columns, members, places)
    return Tiles(geometry, colors, before, start, members, places, columns)


def blended(tiles: Tiles, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour (size, size, C), coverage and sum of depths (size, size). The caller holds ``NUMBA_LOCK``."""
    out = np.zeros((size, size, tiles.colors.shape[1]), np.float32)
    alpha, depth = np.empty((size, size), np.float32), np.empty((size, size), np.float32)
    kernels.blend(tiles.geometry, tiles.colors, tiles.start, tiles.members, tiles.columns, out, alpha, depth)
    return out, alpha, depth


def rasterize_exactly(placed: Placed, camera: Camera) -> Rendered:
    """The raster as ``color``, what is covered, and depths, float32 on the CPU, with the public rasterizer's limits.

    Args:
        camera: square, its axis through the middle, in the network's units.
    Raises:
        ArgumentError: the camera is another. OutOfMemoryError: the Gaussians cover too many tiles.
    """
    with NUMBA_LOCK:
        out, alpha, depth = blended(sorted_tiles(placed, camera), camera.width)
    return finish(torch.from_numpy(out), torch.from_numpy(alpha), torch.from_numpy(depth), None)


def rasterize_features(placed: Placed, camera: Camera, backend: str = "auto") -> Rendered:
    """The raster as ``color`` (size, size, C), what is covered, and depths, on the device of the Gaussians.

    Args:
        backend: "exact" is ``rasterize_exactly``; any other is the project's rasterizer of that name, whose limits are
            gsplat's; "auto" is "exact" on a CPU and "gsplat" on CUDA.
    Raises:
        ArgumentError, RenderError, OutOfMemoryError.
    """
    if placed.colors.shape[0] != placed.xyz.shape[0]:
        raise ArgumentError(f"{placed.xyz.shape[0]} places and {placed.colors.shape[0]} colours do not go together.")
    backend = chosen_backend(backend, placed.xyz.device)
    if backend == "exact":
        drawn, device = rasterize_exactly(placed, camera), placed.xyz.device
        return Rendered(drawn.color.to(device), drawn.alpha.to(device), drawn.depth.to(device))
    rotations, scales = placed.rotations, placed.scales
    if not placed.unit:
        rotations, scales = unit_rotations(rotations, scales)
    splats = Splats(placed.xyz, rotations, scales, placed.opacities[:, 0], placed.colors)
    return rasterize(splats, camera, backend=backend)
