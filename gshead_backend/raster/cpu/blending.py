"""Numba kernels: splats of a tile blended front to back, and the gradient of that.

Every tile belongs to one thread and is walked in depth order, so nothing depends on the number of threads. The inner
loops run over half a tile row without branches, in single precision, on one buffer: that is what lets LLVM turn them
into vector instructions (loops this short get no run-time alias checks, so a second buffer would make them scalar).
Literals in arithmetic must be float32 constants; a Python float would promote to double.

The gradient walks the same way. With u = dL/d(pixel) . features of a splat and w its weight, dL/d(alpha) at a pixel is
T u - rest / (1 - alpha), where rest is the sum of w u over everything behind. Its start, the sum over all splats, is
dL/d(pixel) . final pixel: the final image is all that has to be kept. Each (tile, splat) pair writes its own row, and
rows of a splat are consecutive in ``slots`` order for one thread to add up: no atomics, always the same result.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from ..constants import ALPHA_MAX, ALPHA_MIN, TILE, TRANSMITTANCE_STOP
from .layout import DEPTH, FAST, MOMENTS, MX, MY, OPACITY, PX0, PX1, PY0, PY1, QXX, QXY, QYY
from .pixels import OPAQUE, level, packed, to_srgb8, together

HALF = TILE // 2
_ALPHA_MAX, _ALPHA_MIN = np.float32(ALPHA_MAX), np.float32(ALPHA_MIN)
_STOP = np.float32(TRANSMITTANCE_STOP)
_ZERO, _ONE, _CENTRE = np.float32(0), np.float32(1), np.float32(0.5)
_LOWEST, _EIGHTH = np.float32(-8), np.float32(0.125)  # 2^-8 < 1/255: nothing below matters
# 2^x on [-1, 0], least relative error (Lawson fit), 8e-8; evaluated at x / 8 and squared three times.
_E5, _E4, _E3 = np.float32(0.0009387883353844744), np.float32(0.009188611846557226), np.float32(0.05527972282684571)
_E2, _E1, _E0 = np.float32(0.24017218941986163), np.float32(0.6931422526372534), np.float32(0.999999925066585)


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def raw_alpha(opacity, qxx, slope, constant, dx):
    """opacity 2^(qxx dx² + slope dx + constant); wrong but below 1/255 where the power is below -8."""
    x = min(max((qxx * dx + slope) * dx + constant, _LOWEST), _ZERO) * _EIGHTH
    p = ((((_E5 * x + _E4) * x + _E3) * x + _E2) * x + _E1) * x + _E0
    p = p * p
    p = p * p
    return opacity * p * p


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def clipped(raw):
    """The alpha that counts."""
    a = min(raw, _ALPHA_MAX)
    return a if a >= _ALPHA_MIN else _ZERO


@njit(forceinline=True, error_model="numpy")
def window(extent, i, x0, y0):
    """Which half rows and rows of the tile at x0, y0 splat i touches: first half, past last, first row, past last."""
    return (
        max(extent[i, PX0] - x0, 0) // HALF,
        min(extent[i, PX1] - x0, TILE - 1) // HALF + 1,
        max(extent[i, PY0] - y0, 0),
        min(extent[i, PY1] - y0, TILE - 1) + 1,
    )


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def exhausted(state):
    """Whether no pixel of the tile lets light through any more."""
    most = _ZERO
    for y in range(TILE):
        row = state[y]
        for x in range(TILE):
            most = max(most, row[x])
    return most == _ZERO


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def store(state, x0, y0, background, finished, color, alpha, depth):
    """Write a tile's state into the image."""
    height, width = alpha.shape
    for y in range(min(TILE, height - y0)):
        by = min(y0 + y, background.shape[0] - 1)
        for x in range(min(TILE, width - x0)):
            bx = min(x0 + x, background.shape[1] - 1)
            a, d = state[y, TILE + x], state[y, 2 * TILE + x]
            rest = _ONE - a if finished else _ZERO
            for c in range(3):
                color[y0 + y, x0 + x, c] = state[y, (3 + c) * TILE + x] + rest * background[by, bx, c]
            alpha[y0 + y, x0 + x] = a
            if finished:
                d = d / a if a >= _ALPHA_MIN else np.float32(np.inf)
            depth[y0 + y, x0 + x] = d


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def store_srgb8(state, x0, y0, tables, out, depth):
    """Write a tile's state into the image as ``pixels.to_srgb8`` has it, and its depth as ``store`` does if wanted."""
    width = min(TILE, out.shape[1] - x0)
    for y in range(min(TILE, out.shape[0] - y0)):
        row, line = state[y], out[y0 + y, x0 : x0 + width]
        least, most = _ONE, _ZERO
        for x in range(TILE):
            least, most = min(least, row[TILE + x]), max(most, row[TILE + x])
        if not most > _ZERO:
            line[:] = 0
        elif least >= OPAQUE and width == TILE:  # most of a head: no tables, so that it becomes vector instructions
            for x in range(TILE):
                line[x] = packed(row[3 * TILE + x], row[4 * TILE + x], row[5 * TILE + x], row[TILE + x])
        else:
            for x in range(width):
                a = row[TILE + x]
                if a > _ZERO:
                    red = to_srgb8(row[3 * TILE + x], a, tables[0], tables[1])
                    green = to_srgb8(row[4 * TILE + x], a, tables[0], tables[1])
                    blue = to_srgb8(row[5 * TILE + x], a, tables[0], tables[1])
                    line[x] = together(red, green, blue, level(a))
                else:
                    line[x] = 0
        if depth.size:
            for x in range(width):
                a = row[TILE + x]
                depth[y0 + y, x0 + x] = row[2 * TILE + x] / a if a >= _ALPHA_MIN else np.float32(np.inf)


@njit(parallel=True, cache=True, fastmath=FAST, error_model="numpy")
def blend_rgb(
    geometry, extent, colors, start, shares, members, tiles_x, height, width, background, finished, color, alpha, depth,
    tables, srgb8,
):  # fmt: skip
    """Blend the three channels of ``colors`` (N, 3) into ``color`` (H, W, 3), ``alpha`` (H, W), ``depth`` (H, W).

    ``background`` is (1 or H, 1 or W, 3) and is composited when ``finished``; otherwise colour stays premultiplied and
    depth stays the weighted sum. Or, where ``srgb8`` is not empty, into that, (H, W) uint32 of four bytes each, by the
    ``tables`` (2, K) of decoding and encoding, and ``depth`` (empty when not wanted); then the other outputs may be
    empty. One kernel for both: the inner loops are vectorised only here, not in a function that two kernels inline.
    """
    for share in prange(shares.size - 1):
        for t in range(shares[share], shares[share + 1]):
            x0, y0 = (t % tiles_x) * TILE, (t // tiles_x) * TILE
            state = np.zeros((TILE, 6 * TILE), np.float32)  # transmittance, alpha, depth, red, green, blue
            state[: min(TILE, height - y0), : min(TILE, width - x0)] = _ONE
            for k in range(start[t], start[t + 1]):
                if (k - start[t]) % 16 == 15 and exhausted(state):
                    break
                i = members[k]
                fx, fy = np.float32(x0) + _CENTRE - geometry[i, MX], np.float32(y0) + _CENTRE - geometry[i, MY]
                qxx, qxy, qyy = geometry[i, QXX], geometry[i, QXY], geometry[i, QYY]
                opacity, z = geometry[i, OPACITY], geometry[i, DEPTH]
                red, green, blue = colors[i, 0], colors[i, 1], colors[i, 2]
                h0, h1, y1, y2 = window(extent, i, x0, y0)
                for y in range(y1, y2):
                    dy = np.float32(y) + fy
                    slope, constant = qxy * dy, qyy * dy * dy
                    for h in range(h0, h1):
                        row = state[y][h * HALF :]
                        hx = fx + np.float32(h * HALF)
                        for x in range(HALF):
                            a = clipped(raw_alpha(opacity, qxx, slope, constant, np.float32(x) + hx))
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
            if srgb8.size:
                store_srgb8(state, x0, y0, tables, srgb8, depth)
            else:
                store(state, x0, y0, background, finished, color, alpha, depth)


@njit(forceinline=True, fastmath=FAST, error_model="numpy")
def load(state, x0, y0, pixel, grad):
    """Start of the backward walk: transmittance 1, rest = grad . pixel, and the pixels' gradients."""
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


@njit(parallel=True, cache=True, fastmath=FAST, error_model="numpy")
def blend_rgb_backward(geometry, extent, colors, start, shares, members, slots, tiles_x, pixel, grad, rows):
    """Fill ``rows`` (P, 10) with every pair's gradient.

    ``pixel`` and ``grad`` are (H, W, 5): final alpha, depth sum, colours, and the loss gradient of each.
    """
    for share in prange(shares.size - 1):
        for t in range(shares[share], shares[share + 1]):
            x0, y0 = (t % tiles_x) * TILE, (t // tiles_x) * TILE
            state = np.zeros((TILE, 7 * TILE), np.float32)  # transmittance, rest, gradients of alpha, depth, r, g, b
            load(state, x0, y0, pixel, grad)
            end = start[t + 1]
            for k in range(start[t], start[t + 1]):
                if (k - start[t]) % 16 == 15 and exhausted(state):
                    end = k
                    break
                i = members[k]
                fx, fy = np.float32(x0) + _CENTRE - geometry[i, MX], np.float32(y0) + _CENTRE - geometry[i, MY]
                qxx, qxy, qyy = geometry[i, QXX], geometry[i, QXY], geometry[i, QYY]
                opacity, z = geometry[i, OPACITY], geometry[i, DEPTH]
                red, green, blue = colors[i, 0], colors[i, 1], colors[i, 2]
                h0, h1, y1, y2 = window(extent, i, x0, y0)
                m, mx, my, mxx, mxy, myy = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
                m_depth, m_red, m_green, m_blue = _ZERO, _ZERO, _ZERO, _ZERO
                for y in range(y1, y2):
                    dy = np.float32(y) + fy
                    slope, constant = qxy * dy, qyy * dy * dy
                    s, sx, sxx = _ZERO, _ZERO, _ZERO
                    for h in range(h0, h1):
                        row = state[y][h * HALF :]
                        hx = fx + np.float32(h * HALF)
                        for x in range(HALF):
                            dx = np.float32(x) + hx
                            raw = raw_alpha(opacity, qxx, slope, constant, dx)
                            a = clipped(raw)
                            before = row[x]
                            after = before - before * a
                            live = after > _STOP
                            w = before - after if live else _ZERO
                            g_depth, g_red = row[3 * TILE + x], row[4 * TILE + x]
                            g_green, g_blue = row[5 * TILE + x], row[6 * TILE + x]
                            u = row[2 * TILE + x] + z * g_depth + red * g_red + green * g_green + blue * g_blue
                            rest = row[TILE + x] - w * u
                            row[x] = after if live else _ZERO
                            row[TILE + x] = rest
                            v = w * u - rest * a / (_ONE - a)  # alpha dL/d(alpha) = dL/d(ln alpha)
                            v = v if live and raw <= _ALPHA_MAX else _ZERO
                            s += v
                            sx += v * dx
                            sxx += v * dx * dx
                            m_depth += w * g_depth
                            m_red += w * g_red
                            m_green += w * g_green
                            m_blue += w * g_blue
                    m += s
                    mx += sx
                    my += s * dy
                    mxx += sxx
                    mxy += sx * dy
                    myy += s * dy * dy
                out = rows[slots[k]]
                out[0], out[1], out[2], out[3], out[4], out[5] = m, mx, my, mxx, mxy, myy
                out[6], out[MOMENTS], out[MOMENTS + 1], out[MOMENTS + 2] = m_depth, m_red, m_green, m_blue
            for k in range(end, start[t + 1]):
                rows[slots[k]] = _ZERO
