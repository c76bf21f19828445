"""Numba kernels of the CPU rasterizer's gradient.

One pass over the same tiles, front to back. With u = dL/d(pixel) . features of a splat and w its weight, the gradient
of its alpha at a pixel is T u - rest / (1 - alpha), where rest = sum of w u over everything behind. The sum over all
splats is dL/d(pixel) . final pixel, so the final image is all that has to be kept. Each (tile, splat) pair writes its
own row; rows of a splat are consecutive in ``slots`` order and are added up by one thread: no atomics, one result.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from ..constants import ALPHA_MAX, ALPHA_MIN, TILE, TRANSMITTANCE_STOP
from .forward import (
    DEPTH,
    FAST,
    MX,
    MY,
    OPACITY,
    PY0,
    PY1,
    QXX,
    QXY,
    QYY,
    camera_axes,
    camera_point,
    image_covariance,
    jacobian,
    power_of_two,
    rotation_of,
)

_ALPHA_MAX, _ALPHA_MIN = np.float32(ALPHA_MAX), np.float32(ALPHA_MIN)
_STOP = np.float32(TRANSMITTANCE_STOP)
_ZERO, _ONE, _HALF, _LOWEST = np.float32(0), np.float32(1), np.float32(0.5), np.float32(-8)

MOMENTS = 7
"""Columns before the colours in a pair's row: sums of v, v dx, v dy, v dx², v dx dy, v dy² with v = dL/d(exponent), and
of the weight times dL/d(depth sum)."""


@njit(parallel=True, cache=True, fastmath=FAST, error_model="numpy")
def blend_backward(geometry, extent, colors, start, members, slots, tiles_x, pixel, grad, rows):
    """Fill ``rows`` (P, 7 + C) with every pair's gradient.

    ``pixel`` and ``grad`` are (H, W, 2 + C): final alpha, depth sum, colours and the loss gradient of each.
    """
    channels = colors.shape[1]
    for t in prange(start.size - 1):
        x0, y0 = (t % tiles_x) * TILE, (t // tiles_x) * TILE
        # per row of the tile: transmittance, rest, then gradients of alpha, depth sum and colours
        state = np.zeros((TILE, (4 + channels) * TILE), np.float32)
        sums = np.zeros((MOMENTS + channels) * TILE, np.float32)
        scratch = np.zeros(2 * TILE, np.float32)  # u and w of one row
        _load(state, x0, y0, pixel, grad)
        end = start[t + 1]
        for k in range(start[t], start[t + 1]):
            if (k - start[t]) % 16 == 15 and _exhausted(state):
                end = k
                break
            i = members[k]
            fx, fy = np.float32(x0) + _HALF - geometry[i, MX], np.float32(y0) + _HALF - geometry[i, MY]
            qxx, qxy, qyy = geometry[i, QXX], geometry[i, QXY], geometry[i, QYY]
            opacity, z = geometry[i, OPACITY], geometry[i, DEPTH]
            for j in range(sums.size):
                sums[j] = _ZERO
            for y in range(max(extent[i, PY0] - y0, 0), min(extent[i, PY1] - y0, TILE - 1) + 1):
                row = state[y]
                dy = np.float32(y) + fy
                slope, constant = qxy * dy, qyy * dy * dy
                for x in range(TILE):
                    scratch[x] = row[2 * TILE + x] + z * row[3 * TILE + x]
                for c in range(channels):
                    value = colors[i, c]
                    part = row[(4 + c) * TILE : (5 + c) * TILE]
                    for x in range(TILE):
                        scratch[x] += value * part[x]
                for x in range(TILE):
                    dx = np.float32(x) + fx
                    raw = opacity * power_of_two(min(max((qxx * dx + slope) * dx + constant, _LOWEST), _ZERO))
                    a = min(raw, _ALPHA_MAX)
                    a = a if a >= _ALPHA_MIN else _ZERO
                    before = row[x]
                    after = before - before * a
                    live = after > _STOP
                    w = before - after if live else _ZERO
                    u = scratch[x]
                    rest = row[TILE + x] - w * u
                    row[x] = after if live else _ZERO
                    row[TILE + x] = rest
                    v = w * u - rest * a / (_ONE - a)  # alpha dL/d(alpha) = dL/d(ln alpha)
                    v = v if live and raw <= _ALPHA_MAX else _ZERO
                    scratch[TILE + x] = w
                    sums[x] += v
                    sums[TILE + x] += v * dx
                    sums[2 * TILE + x] += v * dy
                    sums[3 * TILE + x] += v * dx * dx
                    sums[4 * TILE + x] += v * dx * dy
                    sums[5 * TILE + x] += v * dy * dy
                    sums[6 * TILE + x] += w * row[3 * TILE + x]
                for c in range(channels):
                    part = row[(4 + c) * TILE : (5 + c) * TILE]
                    total = sums[(MOMENTS + c) * TILE : (MOMENTS + c + 1) * TILE]
                    for x in range(TILE):
                        total[x] += scratch[TILE + x] * part[x]
            out = rows[slots[k]]
            for c in range(MOMENTS + channels):
                total = sums[c * TILE : (c + 1) * TILE]
                s = _ZERO
                for x in range(TILE):
                    s += total[x]
                out[c] = s
        for k in range(end, start[t + 1]):
            rows[slots[k]] = _ZERO


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def _load(state, x0, y0, pixel, grad):
    height, width, features = pixel.shape
    for y in range(min(TILE, height - y0)):
        for x in range(min(TILE, width - x0)):
            state[y, x] = _ONE
            rest = _ZERO
            for f in range(features):
                g = grad[y0 + y, x0 + x, f]
                rest += g * pixel[y0 + y, x0 + x, f]
                state[y, (2 + f) * TILE + x] = g
            state[y, TILE + x] = rest


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def _exhausted(state):
    most = _ZERO
    for y in range(TILE):
        row = state[y]
        for x in range(TILE):
            most = max(most, row[x])
    return most == _ZERO


@njit(parallel=True, cache=True, error_model="numpy")
def gather_backward(
    means, quats, scales, opacities, view, lens, width, height, ortho, geometry, first_pair, rows,
    g_means, g_quats, g_scales, g_opacities, g_colors,
):  # fmt: skip
    """Add up each splat's rows and carry them through the projection to all parameters (every splat is written)."""
    channels = g_colors.shape[1]
    for i in prange(means.shape[0]):
        g_means[i] = _ZERO
        g_quats[i] = _ZERO
        g_scales[i] = _ZERO
        g_opacities[i] = _ZERO
        g_colors[i] = _ZERO
        if first_pair[i] == first_pair[i + 1]:
            continue
        s0, sx, sy, sxx, sxy, syy, sz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(first_pair[i], first_pair[i + 1]):
            row = rows[k]
            s0 += row[0]
            sx += row[1]
            sy += row[2]
            sxx += row[3]
            sxy += row[4]
            syy += row[5]
            sz += row[6]
            for c in range(channels):
                g_colors[i, c] += row[MOMENTS + c]
        if opacities[i] <= _ONE:
            g_opacities[i] = s0 / opacities[i]
        x, y, z = camera_point(means, i, view)
        axes = camera_axes(quats, scales, i, view)
        j00, j02, j11, j12, held_x, held_y = jacobian(x, y, z, lens, width, height, ortho)
        xx, xy, yy, u, v = image_covariance(j00, j02, j11, j12, axes)
        det = xx * yy - xy * xy
        ca, cb, cc = yy / det, -xy / det, xx / det
        # exponent = -(ca dx² + 2 cb dx dy + cc dy²) / 2 with d = pixel - mean
        g_mx, g_my = ca * sx + cb * sy, cb * sx + cc * sy
        g_cov = _inverse_vjp(ca, cb, cc, -0.5 * sxx, -0.5 * sxy, -0.5 * syy)
        du, dv = _twice(g_cov[0], u, g_cov[1], v), _twice(g_cov[1], u, g_cov[2], v)
        d0 = (j00 * du[0], j00 * du[1], j00 * du[2])
        d1 = (j11 * dv[0], j11 * dv[1], j11 * dv[2])
        d2 = (j02 * du[0] + j12 * dv[0], j02 * du[1] + j12 * dv[1], j02 * du[2] + j12 * dv[2])
        m0, m1, m2 = axes[0:3], axes[3:6], axes[6:9]
        g_j00, g_j02, g_j11, g_j12 = _dot(du, m0), _dot(du, m2), _dot(dv, m1), _dot(dv, m2)
        px, py, pz = _point_vjp(x, y, z, lens, ortho, j00, j02, j11, j12, held_x, held_y, g_mx, g_my,
                                g_j00, g_j02, g_j11, g_j12)  # fmt: skip
        pz += sz
        for a in range(3):
            g_means[i, a] = view[0, a] * px + view[1, a] * py + view[2, a] * pz
        _shape_vjp(i, quats, scales, view, d0, d1, d2, g_quats, g_scales)


@njit(forceinline=True, error_model="numpy")
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(forceinline=True, error_model="numpy")
def _twice(p, a, q, b):
    """2 (p a + q b) for three-vectors."""
    return 2 * (p * a[0] + q * b[0]), 2 * (p * a[1] + q * b[1]), 2 * (p * a[2] + q * b[2])


@njit(forceinline=True, error_model="numpy")
def _inverse_vjp(ca, cb, cc, ga, gb, gc):
    """-K G K for symmetric K = [[ca, cb], [cb, cc]] and G = [[ga, gb], [gb, gc]]."""
    p00, p01 = ca * ga + cb * gb, ca * gb + cb * gc
    p10, p11 = cb * ga + cc * gb, cb * gb + cc * gc
    return -(p00 * ca + p01 * cb), -(p00 * cb + p01 * cc), -(p10 * cb + p11 * cc)


@njit(forceinline=True, error_model="numpy")
def _point_vjp(
    x, y, z, lens, ortho, j00, j02, j11, j12, held_x, held_y, g_mx, g_my, g_j00, g_j02, g_j11, g_j12
):  # fmt: skip
    """Gradient of the camera-space mean from those of the pixel mean and of the Jacobian."""
    fx, fy = lens[0], lens[1]
    if ortho:
        return fx * g_mx, fy * g_my, 0.0
    i = 1.0 / z
    px, py = fx * i * g_mx, fy * i * g_my
    pz = -(fx * x * g_mx + fy * y * g_my) * i * i
    pz -= (j00 * g_j00 + j11 * g_j11) * i
    # j02 = -fx x / z², or -fx limit / z at the margin
    if held_x:
        pz -= j02 * i * g_j02
    else:
        px -= fx * i * i * g_j02
        pz -= 2 * j02 * i * g_j02
    if held_y:
        pz -= j12 * i * g_j12
    else:
        py -= fy * i * i * g_j12
        pz -= 2 * j12 * i * g_j12
    return px, py, pz


@njit(forceinline=True, error_model="numpy")
def _shape_vjp(i, quats, scales, view, d0, d1, d2, g_quats, g_scales):
    """Gradients of quaternion and scales from that of V R S (rows d0, d1, d2)."""
    q0, q1, q2, q3 = (
        np.float64(quats[i, 0]), np.float64(quats[i, 1]), np.float64(quats[i, 2]), np.float64(quats[i, 3])
    )  # fmt: skip
    n = math.sqrt(q0 * q0 + q1 * q1 + q2 * q2 + q3 * q3)
    r = rotation_of(q0, q1, q2, q3)
    e = np.empty((3, 3))  # dL/dR
    for a in range(3):
        for b in range(3):
            e[a, b] = view[0, a] * d0[b] + view[1, a] * d1[b] + view[2, a] * d2[b]
    for b in range(3):
        g_scales[i, b] = e[0, b] * r[b] + e[1, b] * r[3 + b] + e[2, b] * r[6 + b]
        s = np.float64(scales[i, b])
        for a in range(3):
            e[a, b] *= s
    if n == 0:
        return
    w, x, y, z = q0 / n, q1 / n, q2 / n, q3 / n
    gw = 2 * (x * (e[2, 1] - e[1, 2]) + y * (e[0, 2] - e[2, 0]) + z * (e[1, 0] - e[0, 1]))
    gx = 2 * (w * (e[2, 1] - e[1, 2]) - 2 * x * (e[1, 1] + e[2, 2]) + y * (e[0, 1] + e[1, 0]) + z * (e[0, 2] + e[2, 0]))
    gy = 2 * (w * (e[0, 2] - e[2, 0]) + x * (e[0, 1] + e[1, 0]) - 2 * y * (e[0, 0] + e[2, 2]) + z * (e[1, 2] + e[2, 1]))
    gz = 2 * (w * (e[1, 0] - e[0, 1]) + x * (e[0, 2] + e[2, 0]) + y * (e[1, 2] + e[2, 1]) - 2 * z * (e[0, 0] + e[1, 1]))
    along = gw * w + gx * x + gy * y + gz * z
    g_quats[i, 0], g_quats[i, 1] = (gw - along * w) / n, (gx - along * x) / n
    g_quats[i, 2], g_quats[i, 3] = (gy - along * y) / n, (gz - along * z) / n
