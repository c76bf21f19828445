"""Host side of the CPU rasterizer: arrays in, kernels in order, arrays out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from ...avatar.types import Splats
from ...camera import Camera
from ...errors import OutOfMemoryError
from ...parallel import NUMBA_LOCK, kernel_array
from ..constants import TILE
from ..types import Rendered
from . import blending, layout, projection, sorting

_NO_COLOR, _NO_ALPHA = np.zeros((1, 1, 3), np.float32), np.zeros((1, 1), np.float32)
_NO_TABLES, _NO_BYTES = np.zeros((2, 0), np.float32), np.zeros((0, 0), np.uint32)
MAX_PAIRS = 1 << 28
"""Most (tile, splat) pairs of one frame: 1 GiB of indices. A head at 1080p has about a million."""


@dataclass(frozen=True)
class Tiles:
    """Splats projected and sorted into tiles; what both passes read.

    Attributes:
        geometry: (N, 8) float32 and extent: (N, 4) int32, see ``layout``.
        first_pair: (N + 1,) int64 running number of (tile, splat) pairs.
        start: (tiles + 1,) int64. shares: (S + 1,) int64, the tiles that a thread takes together.
        members: (P,) int32. slots: (P,) int32, or (0,) when not asked for.
        tiles_x: tiles per row.
    """

    geometry: np.ndarray
    extent: np.ndarray
    first_pair: np.ndarray
    start: np.ndarray
    shares: np.ndarray
    members: np.ndarray
    slots: np.ndarray
    tiles_x: int


def view_of(camera: Camera) -> tuple[np.ndarray, tuple[float, float, float, float], float, float]:
    """What kernels take of a camera: view matrix, (fx, fy, cx, cy), width, height."""
    K = camera.K
    lens = (float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]))
    return kernel_array(camera.viewmat, np.float64), lens, float(camera.width), float(camera.height)


def build_tiles(splats: Splats, camera: Camera, *, slots: bool) -> Tiles:
    """Project and sort float32 C-contiguous arrays. The caller holds ``NUMBA_LOCK``."""
    n = len(splats)
    tiles_x, tiles_y = -(-camera.width // TILE), -(-camera.height // TILE)
    geometry = np.empty((n, layout.GEOMETRY_WIDTH), np.float32)
    extent = np.empty((n, 4), np.int32)
    pairs = np.empty(n, np.int64)
    projection.project(
        splats.means, splats.quats, splats.scales, splats.opacities, *view_of(camera),
        float(camera.near), float(camera.far), bool(camera.orthographic), geometry, extent, pairs,
    )  # fmt: skip
    first_pair = np.zeros(n + 1, np.int64)
    np.cumsum(pairs, out=first_pair[1:])
    total = int(first_pair[-1])
    if total > MAX_PAIRS:
        raise OutOfMemoryError(
            f"{n} splats cover {total} tiles of a {camera.width}x{camera.height} frame, the limit is {MAX_PAIRS}.",
            remedy="Move the camera away from the head, or render fewer pixels.",
        )
    order = sorting.depth_order(pairs, geometry[:, layout.DEPTH].view(np.uint32))
    members = np.empty(total, np.int32)
    places = np.empty(total if slots else 0, np.int32)
    start = sorting.fill_tiles(order, extent, first_pair, tiles_x, tiles_y, members, places)
    return Tiles(geometry, extent, first_pair, start, sorting.equal_shares(start), members, places, tiles_x)


def in_threes(array: np.ndarray) -> list[np.ndarray]:
    """(..., C) as ceil(C / 3) contiguous (..., 3) arrays, the last padded with zeros: what the kernels take."""
    c = array.shape[-1]
    if c == 3:
        return [array]
    padded = np.zeros((*array.shape[:-1], -(-c // 3) * 3), np.float32)
    padded[..., :c] = array
    return [np.ascontiguousarray(padded[..., k : k + 3]) for k in range(0, padded.shape[-1], 3)]


def blend(
    tiles: Tiles, colors: np.ndarray, camera: Camera, background: np.ndarray | None, *, finished: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour (H, W, C), alpha (H, W) and depth (H, W); sums only unless ``finished``. The caller holds ``NUMBA_LOCK``.

    Three channels are blended at a time.
    """
    h, w, c = camera.height, camera.width, colors.shape[1]
    behind = np.zeros(c, np.float32) if background is None else kernel_array(background)
    behind = behind.reshape(1, 1, c) if behind.ndim == 1 else behind
    alpha, depth = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    parts = []
    for part, part_behind in zip(in_threes(colors), in_threes(behind), strict=True):
        parts.append(np.empty((h, w, 3), np.float32))
        blending.blend_rgb(
            tiles.geometry, tiles.extent, part, tiles.start, tiles.shares, tiles.members, tiles.tiles_x, h, w,
            part_behind, finished, parts[-1], alpha, depth, _NO_TABLES, _NO_BYTES,
        )  # fmt: skip
    color = parts[0] if c == 3 else np.ascontiguousarray(np.concatenate(parts, -1)[..., :c])
    return color, alpha, depth


def as_arrays(splats: Splats) -> Splats:
    """The same splats as arrays the kernels take."""
    return Splats(*(kernel_array(getattr(splats, f.name)) for f in fields(Splats)))


def rasterize_numpy(splats: Splats, camera: Camera, background: np.ndarray | None = None) -> Rendered:
    """Render numpy splats; torch is not touched."""
    splats = as_arrays(splats)
    with _memory_for(splats, camera), NUMBA_LOCK:
        tiles = build_tiles(splats, camera, slots=False)
        return Rendered(*blend(tiles, splats.colors, camera, background, finished=True))


def rasterize_srgb8(
    splats: Splats, camera: Camera, tables: np.ndarray, *, depth: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Numpy splats with three channels: (H, W, 4) uint8 sRGB encoding of linear, premultiplied colour; (H, W) depth, or
    (0, 0) when it is not wanted.

    Args:
        tables: (2, ``pixels.BINS`` + 2) float32, the transfer function's decoding and encoding.
    """
    splats = as_arrays(splats)
    with _memory_for(splats, camera), NUMBA_LOCK:
        tiles = build_tiles(splats, camera, slots=False)
        out = np.empty((camera.height, camera.width), np.uint32)
        depths = np.empty(out.shape if depth else (0, 0), np.float32)
        blending.blend_rgb(
            tiles.geometry, tiles.extent, splats.colors, tiles.start, tiles.shares, tiles.members, tiles.tiles_x,
            *out.shape, _NO_COLOR, True, _NO_COLOR, _NO_ALPHA, depths, tables, out,
        )  # fmt: skip
        return out.view(np.uint8).reshape(*out.shape, 4), depths


@contextlib.contextmanager
def _memory_for(splats: Splats, camera: Camera) -> Iterator[None]:
    try:
        yield
    except MemoryError as e:
        raise OutOfMemoryError(
            f"Not enough memory for {len(splats)} splats at {camera.width}x{camera.height}.",
            remedy="Render a smaller frame.",
        ) from e


def warm_up(*, gradients: bool = False) -> None:
    """Compile (or load from numba's cache) every kernel a frame needs; with ``gradients``, those of a fit too.

    Takes up to a minute the first time on a machine, about a second later.
    """
    camera = Camera(20, 20, np.array([[20.0, 0, 10], [0, 20, 10], [0, 0, 1]]), np.eye(4))
    f32 = lambda *values: np.array([values, values], np.float32)  # noqa: E731  two: one's columns are compiled otherwise
    splats = Splats(f32(0, 0, 1), f32(1, 0, 0, 0), f32(0.1, 0.1, 0.1), np.ones(2, np.float32), f32(1, 1, 1))
    rasterize_numpy(splats, camera)
    if gradients:
        from .autograd import warm_up_gradients

        warm_up_gradients(splats, camera)
