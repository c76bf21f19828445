"""Numba kernels of the rasterizer that the public network was trained with: its limits, any number of channels.

They differ from the project's own rasterizer where that one follows gsplat: opacity is capped at 0.99, a splat ends
with the 16 x 16 tiles that three deviations reach, quaternions are taken as they come, and a pixel is finished before
the splat that would take its transmittance below 1e-4. Most of all, one walk over a tile blends all channels.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

TILE = 16
MX, MY, CXX, CXY, CYY, OPACITY, DEPTH, REACH_X, REACH_Y = range(9)
GEOMETRY_WIDTH = 9
_HALF, _ZERO, _ONE = np.float32(0.5), np.float32(0), np.float32(1)
_ALPHA_MAX, _ALPHA_MIN, _STOP = np.float32(0.99), np.float32(1 / 255), np.float32(1e-4)
_BLUR, _DEVIATIONS, _LEAST_ROOT = 0.3, 3.0, 0.1
_MARGIN = 1.3


@njit(forceinline=True, error_model="numpy")
def _row(v0, v1, v2, q, s):
    """A row of the view's rotation times R S, R from the quaternion as it is: three numbers."""
    w, x, y, z = np.float64(q[0]), np.float64(q[1]), np.float64(q[2]), np.float64(q[3])
    return (
        (v0 * (1 - 2 * (y * y + z * z)) + v1 * 2 * (x * y + w * z) + v2 * 2 * (x * z - w * y)) * s[0],
        (v0 * 2 * (x * y - w * z) + v1 * (1 - 2 * (x * x + z * z)) + v2 * 2 * (y * z + w * x)) * s[1],
        (v0 * 2 * (x * z + w * y) + v1 * 2 * (y * z - w * x) + v2 * (1 - 2 * (x * x + y * y))) * s[2],
    )


@njit(forceinline=True, error_model="numpy")
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(parallel=True, cache=True, error_model="numpy")
def project(means, quats, scales, opacities, view, focal, size, near, geometry, extent, pairs):
    """Fill ``geometry`` (N, 9) float32, ``extent`` (N, 4) int32 (first and last tile column and row, times 16) and
    ``pairs`` (N,) int64, how many tiles each splat touches.

    Pixel (0, 0) has its centre at 0, as in the public rasterizer.
    """
    tiles = (size + TILE - 1) // TILE
    centre = 0.5 * size - 0.5
    limit = _MARGIN * 0.5 * size / focal
    view32 = view.astype(np.float32)
    for i in prange(means.shape[0]):
        pairs[i] = 0
        px, py, pz = means[i, 0], means[i, 1], means[i, 2]
        # depth decides the order of nearly equal ones: single precision, in the public kernel's order of additions
        z32 = view32[2, 0] * px + view32[2, 1] * py + view32[2, 2] * pz + view32[2, 3]
        if not z32 > np.float32(near):
            continue
        x = view[0, 0] * px + view[0, 1] * py + view[0, 2] * pz + view[0, 3]
        y = view[1, 0] * px + view[1, 1] * py + view[1, 2] * pz + view[1, 3]
        z = np.float64(z32)
        m0 = _row(view[0, 0], view[0, 1], view[0, 2], quats[i], scales[i])
        m1 = _row(view[1, 0], view[1, 1], view[1, 2], quats[i], scales[i])
        m2 = _row(view[2, 0], view[2, 1], view[2, 2], quats[i], scales[i])
        tx, ty = min(max(x / z, -limit), limit), min(max(y / z, -limit), limit)
        a, b = focal / z, -focal * tx / z
        d = -focal * ty / z
        u = (a * m0[0] + b * m2[0], a * m0[1] + b * m2[1], a * m0[2] + b * m2[2])
        v = (a * m1[0] + d * m2[0], a * m1[1] + d * m2[1], a * m1[2] + d * m2[2])
        xx, xy, yy = _dot(u, u) + _BLUR, _dot(u, v), _dot(v, v) + _BLUR
        det = xx * yy - xy * xy
        mx, my = focal * x / z + centre, focal * y / z + centre
        if not (det > 0 and abs(mx) < 1e9 and abs(my) < 1e9):
            continue
        middle = 0.5 * (xx + yy)
        radius = math.ceil(_DEVIATIONS * math.sqrt(middle + math.sqrt(max(_LEAST_ROOT, middle * middle - det))))
        # a tile counts from its first column to the one before the next tile's first
        x0, x1 = min(max(int((mx - radius) / TILE), 0), tiles), min(max(int((mx + radius + TILE - 1) / TILE), 0), tiles)
        y0, y1 = min(max(int((my - radius) / TILE), 0), tiles), min(max(int((my + radius + TILE - 1) / TILE), 0), tiles)
        if x0 >= x1 or y0 >= y1:
            continue
        geometry[i, MX], geometry[i, MY], geometry[i, DEPTH] = mx, my, z32
        geometry[i, CXX], geometry[i, CXY], geometry[i, CYY] = yy / det, -xy / det, xx / det
        geometry[i, OPACITY] = opacities[i]
        # beyond these pixels it is below 1/255; only to save work inside its tiles
        geometry[i, REACH_X], geometry[i, REACH_Y] = math.sqrt(12 * xx) + 0.01, math.sqrt(12 * yy) + 0.01
        extent[i, 0], extent[i, 1] = x0 * TILE, (x1 - 1) * TILE
        extent[i, 2], extent[i, 3] = y0 * TILE, (y1 - 1) * TILE
        pairs[i] = (x1 - x0) * (y1 - y0)


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def blend(geometry, colors, start, members, tiles_x, out, alpha, depth):
    """Blend ``colors`` (N, C) front to back into ``out`` (H, W, C).

    ``alpha`` (H, W) is what they cover, ``depth`` (H, W) the sum of their depths by weight.
    """
    height, width, channels = out.shape
    for t in prange(start.size - 1):
        x0, y0 = (t % tiles_x) * TILE, (t // tiles_x) * TILE
        h, w = min(TILE, height - y0), min(TILE, width - x0)
        through = np.ones((TILE, TILE), np.float32)
        far = np.zeros((TILE, TILE), np.float32)
        done = np.zeros((TILE, TILE), np.bool_)
        left = h * w
        for k in range(start[t], start[t + 1]):
            if left == 0:
                break
            i = members[k]
            mx, my, opacity = geometry[i, MX], geometry[i, MY], geometry[i, OPACITY]
            cxx, cxy, cyy = geometry[i, CXX], geometry[i, CXY], geometry[i, CYY]
            rx, ry, color = geometry[i, REACH_X], geometry[i, REACH_Y], colors[i]
            distance = geometry[i, DEPTH]
            first_x, last_x = max(0, math.ceil(mx - rx) - x0), min(w, math.floor(mx + rx) + 1 - x0)
            first_y, last_y = max(0, math.ceil(my - ry) - y0), min(h, math.floor(my + ry) + 1 - y0)
            for y in range(first_y, last_y):
                dy = my - np.float32(y0 + y)
                for x in range(first_x, last_x):
                    if done[y, x]:
                        continue
                    dx = mx - np.float32(x0 + x)
                    power = -_HALF * (cxx * dx * dx + cyy * dy * dy) - cxy * dx * dy
                    if power > _ZERO or power < np.float32(-6):  # e^-6 < 1/255
                        continue
                    a = min(_ALPHA_MAX, opacity * math.exp(power))
                    if a < _ALPHA_MIN:
                        continue
                    after = through[y, x] * (_ONE - a)
                    if after < _STOP:
                        done[y, x] = True
                        left -= 1
                        continue
                    share = a * through[y, x]
                    pixel = out[y0 + y, x0 + x]
                    for c in range(channels):
                        pixel[c] += share * color[c]
                    through[y, x] = after
                    far[y, x] += share * distance
        for y in range(h):
            for x in range(w):
                alpha[y0 + y, x0 + x] = _ONE - through[y, x]
                depth[y0 + y, x0 + x] = far[y, x]


@njit(parallel=True, cache=True, error_model="numpy", fastmath={"contract"})
def blend_backward(geometry, colors, start, members, slots, tiles_x, out, grad, rows):
    """The gradient of ``blend``'s colours: every (tile, splat) pair fills its own row of ``rows`` (P, 6 + C), zeros
    before, with the gradients of place x and y, inverse covariance xx, xy and yy, opacity, and colours.

    Args:
        slots: (P,) the row of every pair. out: (H, W, C) what ``blend`` made. grad: (H, W, C) of it.
    """
    height, width, channels = out.shape
    for t in prange(start.size - 1):
        x0, y0 = (t % tiles_x) * TILE, (t // tiles_x) * TILE
        h, w = min(TILE, height - y0), min(TILE, width - x0)
        through = np.ones((TILE, TILE), np.float32)
        rest = np.zeros((TILE, TILE), np.float32)  # the gradient times what lies behind
        done = np.zeros((TILE, TILE), np.bool_)
        left = h * w
        for y in range(h):
            for x in range(w):
                for c in range(channels):
                    rest[y, x] += grad[y0 + y, x0 + x, c] * out[y0 + y, x0 + x, c]
        for k in range(start[t], start[t + 1]):
            if left == 0:
                break
            i = members[k]
            row = rows[slots[k]]
            mx, my, opacity = geometry[i, MX], geometry[i, MY], geometry[i, OPACITY]
            cxx, cxy, cyy = geometry[i, CXX], geometry[i, CXY], geometry[i, CYY]
            rx, ry, color = geometry[i, REACH_X], geometry[i, REACH_Y], colors[i]
            first_x, last_x = max(0, math.ceil(mx - rx) - x0), min(w, math.floor(mx + rx) + 1 - x0)
            first_y, last_y = max(0, math.ceil(my - ry) - y0), min(h, math.floor(my + ry) + 1 - y0)
            for y in range(first_y, last_y):
                dy = my - np.float32(y0 + y)
                for x in range(first_x, last_x):
                    if done[y, x]:
                        continue
                    dx = mx - np.float32(x0 + x)
                    power = -_HALF * (cxx * dx * dx + cyy * dy * dy) - cxy * dx * dy
                    if power > _ZERO or power < np.float32(-6):
                        continue
                    fall = math.exp(power)
                    a = min(_ALPHA_MAX, opacity * fall)
                    if a < _ALPHA_MIN:
                        continue
                    after = through[y, x] * (_ONE - a)
                    if after < _STOP:
                        done[y, x] = True
                        left -= 1
                        continue
                    share, told = a * through[y, x], grad[y0 + y, x0 + x]
                    seen = _ZERO
                    for c in range(channels):
                        seen += told[c] * color[c]
                        row[6 + c] += share * told[c]
                    rest[y, x] -= share * seen
                    if opacity * fall < _ALPHA_MAX:
                        by_alpha = through[y, x] * seen - rest[y, x] / (_ONE - a)
                        by_power = by_alpha * a
                        row[5] += by_alpha * fall
                        row[0] -= by_power * (cxx * dx + cxy * dy)
                        row[1] -= by_power * (cyy * dy + cxy * dx)
                        row[2] -= _HALF * by_power * dx * dx
                        row[3] -= by_power * dx * dy
                        row[4] -= _HALF * by_power * dy * dy
                    through[y, x] = after


@njit(parallel=True, cache=True)
def sum_pairs(first_pair, rows, out):
    """Add up the rows of every splat, ``first_pair`` (N + 1,), into ``out`` (N, 6 + C), in one order always."""
    for i in prange(out.shape[0]):
        for p in range(first_pair[i], first_pair[i + 1]):
            for c in range(out.shape[1]):
                out[i, c] += rows[p, c]
