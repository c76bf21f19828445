"""Numba kernels of the CPU rasterizer: projection, depth sort, tiles, blending.

Every tile is blended by one thread in depth order, so the picture does not depend on the number of threads. Inner loops
run over the 16 pixels of one tile row without branches, in single precision, on one buffer: that is what lets LLVM turn
them into vector instructions. Literals in arithmetic must be float32 constants; a Python float would promote to double.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from ..constants import ALPHA_MAX, ALPHA_MIN, BLUR, FRUSTUM_MARGIN, TILE, TRANSMITTANCE_STOP

# No "nnan": NaN must compare false, so that bad splats are skipped.
FAST = {"contract", "reassoc", "arcp", "nsz"}

_ALPHA_MAX, _ALPHA_MIN = np.float32(ALPHA_MAX), np.float32(ALPHA_MIN)
_STOP = np.float32(TRANSMITTANCE_STOP)
_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
_LOG2E = math.log2(math.e)
_LOWEST, _EIGHTH = np.float32(-8), np.float32(0.125)  # 2^-8 < 1/255: nothing below matters
# 2^x on [-1, 0], least relative error (Lawson fit), 8e-8; evaluated at x / 8 and squared three times.
_E5, _E4, _E3 = np.float32(0.0009387883353844744), np.float32(0.009188611846557226), np.float32(0.05527972282684571)
_E2, _E1, _E0 = np.float32(0.24017218941986163), np.float32(0.6931422526372534), np.float32(0.999999925066585)

# Columns of a projected splat: pixel mean, exponent (base 2) coefficients of dx², dx dy, dy², opacity, depth.
MX, MY, QXX, QXY, QYY, OPACITY, DEPTH = range(7)
GEOMETRY_WIDTH = 8
# Columns of its extent: first and last tile column, first and last pixel row; TX1 < TX0 when it is not drawn.
TX0, TX1, PY0, PY1 = range(4)


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def rotation_of(q0, q1, q2, q3):
    """Rotation matrix of a wxyz quaternion (normalised here) as nine numbers, row by row; zeros for a zero one."""
    n = q0 * q0 + q1 * q1 + q2 * q2 + q3 * q3
    i = 1.0 / math.sqrt(n) if n > 0 else 0.0
    w, x, y, z = q0 * i, q1 * i, q2 * i, q3 * i
    return (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def camera_point(means, i, view):
    """Mean of splat i in camera space, double precision."""
    x, y, z = np.float64(means[i, 0]), np.float64(means[i, 1]), np.float64(means[i, 2])
    return (
        view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3],
        view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3],
        view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3],
    )


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def camera_axes(quats, scales, i, view):
    """V R S of splat i: nine numbers, row by row; its camera-space covariance is this times its transpose."""
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = rotation_of(
        np.float64(quats[i, 0]), np.float64(quats[i, 1]), np.float64(quats[i, 2]), np.float64(quats[i, 3])
    )
    s0, s1, s2 = np.float64(scales[i, 0]), np.float64(scales[i, 1]), np.float64(scales[i, 2])
    return (
        (view[0, 0] * r00 + view[0, 1] * r10 + view[0, 2] * r20) * s0,
        (view[0, 0] * r01 + view[0, 1] * r11 + view[0, 2] * r21) * s1,
        (view[0, 0] * r02 + view[0, 1] * r12 + view[0, 2] * r22) * s2,
        (view[1, 0] * r00 + view[1, 1] * r10 + view[1, 2] * r20) * s0,
        (view[1, 0] * r01 + view[1, 1] * r11 + view[1, 2] * r21) * s1,
        (view[1, 0] * r02 + view[1, 1] * r12 + view[1, 2] * r22) * s2,
        (view[2, 0] * r00 + view[2, 1] * r10 + view[2, 2] * r20) * s0,
        (view[2, 0] * r01 + view[2, 1] * r11 + view[2, 2] * r21) * s1,
        (view[2, 0] * r02 + view[2, 1] * r12 + view[2, 2] * r22) * s2,
    )


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def jacobian(x, y, z, lens, width, height, ortho):
    """d(pixel)/d(camera point) as J00, J02, J11, J12, and whether x, y were held at the frustum's margin.

    ``lens`` is fx, fy, cx, cy. The clamp is 3D Gaussian splatting's guard against splats far outside the image.
    """
    fx, fy, cx, cy = lens
    if ortho:
        return fx, 0.0, fy, 0.0, False, False
    margin_x, margin_y = FRUSTUM_MARGIN * 0.5 * width / fx, FRUSTUM_MARGIN * 0.5 * height / fy
    u, v = x / z, y / z
    cu = min(max(u, -cx / fx - margin_x), (width - cx) / fx + margin_x)
    cv = min(max(v, -cy / fy - margin_y), (height - cy) / fy + margin_y)
    return fx / z, -fx * cu / z, fy / z, -fy * cv / z, cu != u, cv != v


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def image_covariance(j00, j02, j11, j12, axes):
    """Blurred 2D covariance (xx, xy, yy) and the two rows of U = J (V R S)."""
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = axes
    u0, u1, u2 = j00 * m00 + j02 * m20, j00 * m01 + j02 * m21, j00 * m02 + j02 * m22
    v0, v1, v2 = j11 * m10 + j12 * m20, j11 * m11 + j12 * m21, j11 * m12 + j12 * m22
    xx = u0 * u0 + u1 * u1 + u2 * u2 + BLUR
    yy = v0 * v0 + v1 * v1 + v2 * v2 + BLUR
    return xx, u0 * v0 + u1 * v1 + u2 * v2, yy, (u0, u1, u2), (v0, v1, v2)


@njit(parallel=True, cache=True, error_model="numpy")
def project(means, quats, scales, opacities, view, lens, width, height, near, far, ortho, geometry, extent, pairs):
    """Fill ``geometry`` (N, 8), ``extent`` (N, 4) and ``pairs`` (N,): how many tiles each splat touches."""
    for i in prange(means.shape[0]):
        pairs[i] = 0
        extent[i, TX0], extent[i, TX1] = 0, -1
        x, y, z = camera_point(means, i, view)
        opacity = min(np.float64(opacities[i]), 1.0)
        if not (near <= z <= far and opacity >= ALPHA_MIN):
            continue
        j00, j02, j11, j12, _, _ = jacobian(x, y, z, lens, width, height, ortho)
        xx, xy, yy, _, _ = image_covariance(j00, j02, j11, j12, camera_axes(quats, scales, i, view))
        mx = lens[0] * (x if ortho else x / z) + lens[2]
        my = lens[1] * (y if ortho else y / z) + lens[3]
        det = xx * yy - xy * xy
        if not (0 < det < 1e300 and abs(mx) < 1e9 and abs(my) < 1e9):
            continue
        reach = math.sqrt(2 * math.log(opacity / ALPHA_MIN))
        rx, ry = reach * math.sqrt(xx) + 0.01, reach * math.sqrt(yy) + 0.01
        # first and last pixel whose centre is inside
        x0, x1 = math.ceil(max(mx - rx - 0.5, 0.0)), math.floor(min(mx + rx - 0.5, width - 1.0))
        y0, y1 = math.ceil(max(my - ry - 0.5, 0.0)), math.floor(min(my + ry - 0.5, height - 1.0))
        if x0 > x1 or y0 > y1:
            continue
        geometry[i, MX], geometry[i, MY] = mx, my
        geometry[i, QXX] = -0.5 * _LOG2E * yy / det
        geometry[i, QXY] = _LOG2E * xy / det
        geometry[i, QYY] = -0.5 * _LOG2E * xx / det
        geometry[i, OPACITY], geometry[i, DEPTH] = opacity, z
        extent[i, TX0], extent[i, TX1] = np.int64(x0) // TILE, np.int64(x1) // TILE
        extent[i, PY0], extent[i, PY1] = np.int64(y0), np.int64(y1)
        rows = np.int64(y1) // TILE - np.int64(y0) // TILE + 1
        pairs[i] = rows * (extent[i, TX1] - extent[i, TX0] + 1)


@njit(cache=True)
def depth_order(pairs, depth_bits):
    """(M,) int32: drawn splats, nearest first, equal depths by index. Radix sort of the float's bits (all positive)."""
    m = 0
    for i in range(pairs.size):
        m += pairs[i] > 0
    index, other = np.empty(m, np.int32), np.empty(m, np.int32)
    key, other_key = np.empty(m, np.uint32), np.empty(m, np.uint32)
    counts = np.zeros((3, 2048), np.int64)
    m = 0
    for i in range(pairs.size):
        if pairs[i] > 0:
            k = depth_bits[i]
            index[m], key[m] = i, k
            counts[0, k & 2047] += 1
            counts[1, (k >> 11) & 2047] += 1
            counts[2, k >> 22] += 1
            m += 1
    for digit in range(3):
        count = counts[digit]
        total = 0
        for b in range(2048):
            total, count[b] = total + count[b], total
        shift = np.uint32(11 * digit)
        for j in range(m):
            b = (key[j] >> shift) & np.uint32(2047)
            to = count[b]
            count[b] = to + 1
            other[to], other_key[to] = index[j], key[j]
        index, other = other, index
        key, other_key = other_key, key
    return index


@njit(cache=True)
def fill_tiles(order, extent, first_pair, tiles_x, tiles_y, members, slots):
    """Sort (tile, splat) pairs by tile, keeping depth order (a counting sort).

    Args:
        first_pair: (N,) number of pairs before each splat, in splat order.
        members: (P,) int32 out, splats of every tile, nearest first.
        slots: (P,) int32 out, the pair's place in splat order; empty (0,) when not wanted.
    Returns:
        (tiles + 1,) int64: where each tile's members start.
    """
    start = np.zeros(tiles_x * tiles_y + 1, np.int64)
    for i in order:
        for ty in range(extent[i, PY0] // TILE, extent[i, PY1] // TILE + 1):
            for tx in range(extent[i, TX0], extent[i, TX1] + 1):
                start[ty * tiles_x + tx + 1] += 1
    for t in range(tiles_x * tiles_y):
        start[t + 1] += start[t]
    at = start[:-1].copy()
    wanted = slots.size > 0
    for i in order:
        slot = first_pair[i]
        for ty in range(extent[i, PY0] // TILE, extent[i, PY1] // TILE + 1):
            for tx in range(extent[i, TX0], extent[i, TX1] + 1):
                t = ty * tiles_x + tx
                members[at[t]] = i
                if wanted:
                    slots[at[t]] = slot
                at[t] += 1
                slot += 1
    return start


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def power_of_two(x):
    """2^x for x in [-8, 0]."""
    x = x * _EIGHTH
    p = ((((_E5 * x + _E4) * x + _E3) * x + _E2) * x + _E1) * x + _E0
    p = p * p
    p = p * p
    return p * p


@njit(parallel=True, cache=True, fastmath=FAST, error_model="numpy")
def blend_rgb(geometry, extent, colors, start, members, tiles_x, background, finished, color, alpha, depth):
    """Blend three channels into ``color`` (H, W, 3), ``alpha`` (H, W), ``depth`` (H, W).

    ``background`` is (1 or H, 1 or W, 3) and is composited when ``finished``; otherwise colour stays premultiplied and
    depth stays the weighted sum.
    """
    height, width = alpha.shape
    for t in prange(start.size - 1):
        x0, y0 = (t % tiles_x) * TILE, (t // tiles_x) * TILE
        state = np.zeros((TILE, 6 * TILE), np.float32)  # transmittance, alpha, depth, red, green, blue
        state[: min(TILE, height - y0), : min(TILE, width - x0)] = _ONE
        for k in range(start[t], start[t + 1]):
            if (k - start[t]) % 16 == 15 and _exhausted(state):
                break
            i = members[k]
            fx, fy = np.float32(x0) + _HALF - geometry[i, MX], np.float32(y0) + _HALF - geometry[i, MY]
            qxx, qxy, qyy = geometry[i, QXX], geometry[i, QXY], geometry[i, QYY]
            opacity, z = geometry[i, OPACITY], geometry[i, DEPTH]
            red, green, blue = colors[i, 0], colors[i, 1], colors[i, 2]
            for y in range(max(extent[i, PY0] - y0, 0), min(extent[i, PY1] - y0, TILE - 1) + 1):
                row = state[y]
                dy = np.float32(y) + fy
                slope, constant = qxy * dy, qyy * dy * dy
                for x in range(TILE):
                    dx = np.float32(x) + fx
                    a = opacity * power_of_two(min(max((qxx * dx + slope) * dx + constant, _LOWEST), _ZERO))
                    a = min(a, _ALPHA_MAX)
                    a = a if a >= _ALPHA_MIN else _ZERO
                    before = row[x]
                    after = before - before * a
                    live = after > _STOP
                    w = before - after if live else _ZERO
                    row[x] = after if live else _ZERO
                    row[TILE + x] += w
                    row[2 * TILE + x] += w * z
                    row[3 * TILE + x] += w * red
                    row[4 * TILE + x] += w * green
                    row[5 * TILE + x] += w * blue
        _store(state, x0, y0, background, finished, color, alpha, depth)


@njit(parallel=True, cache=True, fastmath=FAST, error_model="numpy")
def blend_any(geometry, extent, colors, start, members, tiles_x, background, finished, color, alpha, depth):
    """:func:`blend_rgb` for any number of channels."""
    height, width = alpha.shape
    channels = colors.shape[1]
    for t in prange(start.size - 1):
        x0, y0 = (t % tiles_x) * TILE, (t // tiles_x) * TILE
        state = np.zeros((TILE, (3 + channels) * TILE), np.float32)
        weight = np.zeros(TILE, np.float32)
        state[: min(TILE, height - y0), : min(TILE, width - x0)] = _ONE
        for k in range(start[t], start[t + 1]):
            if (k - start[t]) % 16 == 15 and _exhausted(state):
                break
            i = members[k]
            fx, fy = np.float32(x0) + _HALF - geometry[i, MX], np.float32(y0) + _HALF - geometry[i, MY]
            qxx, qxy, qyy = geometry[i, QXX], geometry[i, QXY], geometry[i, QYY]
            opacity, z = geometry[i, OPACITY], geometry[i, DEPTH]
            for y in range(max(extent[i, PY0] - y0, 0), min(extent[i, PY1] - y0, TILE - 1) + 1):
                row = state[y]
                dy = np.float32(y) + fy
                slope, constant = qxy * dy, qyy * dy * dy
                for x in range(TILE):
                    dx = np.float32(x) + fx
                    a = opacity * power_of_two(min(max((qxx * dx + slope) * dx + constant, _LOWEST), _ZERO))
                    a = min(a, _ALPHA_MAX)
                    a = a if a >= _ALPHA_MIN else _ZERO
                    before = row[x]
                    after = before - before * a
                    live = after > _STOP
                    w = before - after if live else _ZERO
                    weight[x] = w
                    row[x] = after if live else _ZERO
                    row[TILE + x] += w
                    row[2 * TILE + x] += w * z
                for c in range(channels):
                    value = colors[i, c]
                    channel = row[(3 + c) * TILE : (4 + c) * TILE]
                    for x in range(TILE):
                        channel[x] += weight[x] * value
        _store(state, x0, y0, background, finished, color, alpha, depth)


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def _exhausted(state):
    """Whether no pixel of the tile lets light through."""
    most = _ZERO
    for y in range(TILE):
        row = state[y]
        for x in range(TILE):
            most = max(most, row[x])
    return most == _ZERO


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def _store(state, x0, y0, background, finished, color, alpha, depth):
    height, width = alpha.shape
    channels = color.shape[2]
    for y in range(min(TILE, height - y0)):
        by = min(y0 + y, background.shape[0] - 1)
        for x in range(min(TILE, width - x0)):
            bx = min(x0 + x, background.shape[1] - 1)
            a, d = state[y, TILE + x], state[y, 2 * TILE + x]
            rest = _ONE - a if finished else _ZERO
            for c in range(channels):
                color[y0 + y, x0 + x, c] = state[y, (3 + c) * TILE + x] + rest * background[by, bx, c]
            alpha[y0 + y, x0 + x] = a
            if finished:
                d = d / a if a >= _ALPHA_MIN else np.float32(np.inf)
            depth[y0 + y, x0 + x] = d
