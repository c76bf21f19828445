"""Numba kernels: splats to image ellipses, and the gradient of that.

Double precision inside: an elongated splat seen end on cancels almost all digits of its determinant.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from ..constants import ALPHA_MIN, BLUR, FRUSTUM_MARGIN, TILE
from .layout import DEPTH, MOMENTS, MX, MY, OPACITY, PX0, PX1, PY0, PY1, QXX, QXY, QYY

_LOG2E = math.log2(math.e)
_ZERO, _ONE = np.float32(0), np.float32(1)


@njit(forceinline=True, error_model="numpy")
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


@njit(forceinline=True, error_model="numpy")
def camera_point(means, i, view):
    """Mean of splat i in camera space, double precision."""
    x, y, z = np.float64(means[i, 0]), np.float64(means[i, 1]), np.float64(means[i, 2])
    return (
        view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3],
        view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3],
        view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3],
    )


@njit(forceinline=True, error_model="numpy")
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


@njit(forceinline=True, error_model="numpy")
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


@njit(forceinline=True, error_model="numpy")
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
        extent[i, PX0], extent[i, PX1] = np.int64(x0), np.int64(x1)
        extent[i, PY0], extent[i, PY1] = np.int64(y0), np.int64(y1)
        columns = np.int64(x1) // TILE - np.int64(x0) // TILE + 1
        rows = np.int64(y1) // TILE - np.int64(y0) // TILE + 1
        pairs[i] = rows * columns


@njit(parallel=True, cache=True, error_model="numpy")
def gather_backward(
    means, quats, scales, opacities, view, lens, width, height, ortho, first_pair, rows,
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
        g_means[i, 0], g_means[i, 1], g_means[i, 2] = _column(view, px, py, pz)
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
    # dL/dR = VT dL/d(V R S) S, column by column
    e00, e10, e20 = _column(view, d0[0], d1[0], d2[0])
    e01, e11, e21 = _column(view, d0[1], d1[1], d2[1])
    e02, e12, e22 = _column(view, d0[2], d1[2], d2[2])
    g_scales[i, 0] = e00 * r[0] + e10 * r[3] + e20 * r[6]
    g_scales[i, 1] = e01 * r[1] + e11 * r[4] + e21 * r[7]
    g_scales[i, 2] = e02 * r[2] + e12 * r[5] + e22 * r[8]
    s0, s1, s2 = np.float64(scales[i, 0]), np.float64(scales[i, 1]), np.float64(scales[i, 2])
    e00, e10, e20, e01, e11, e21, e02, e12, e22 = (
        e00 * s0, e10 * s0, e20 * s0, e01 * s1, e11 * s1, e21 * s1, e02 * s2, e12 * s2, e22 * s2
    )  # fmt: skip
    if n == 0:
        return
    w, x, y, z = q0 / n, q1 / n, q2 / n, q3 / n
    gw = 2 * (x * (e21 - e12) + y * (e02 - e20) + z * (e10 - e01))
    gx = 2 * (w * (e21 - e12) - 2 * x * (e11 + e22) + y * (e01 + e10) + z * (e02 + e20))
    gy = 2 * (w * (e02 - e20) + x * (e01 + e10) - 2 * y * (e00 + e22) + z * (e12 + e21))
    gz = 2 * (w * (e10 - e01) + x * (e02 + e20) + y * (e12 + e21) - 2 * z * (e00 + e11))
    along = gw * w + gx * x + gy * y + gz * z
    g_quats[i, 0], g_quats[i, 1] = (gw - along * w) / n, (gx - along * x) / n
    g_quats[i, 2], g_quats[i, 3] = (gy - along * y) / n, (gz - along * z) / n


@njit(forceinline=True, error_model="numpy")
def _column(view, x, y, z):
    """VT (x, y, z)."""
    return (
        view[0, 0] * x + view[1, 0] * y + view[2, 0] * z,
        view[0, 1] * x + view[1, 1] * y + view[2, 1] * z,
        view[0, 2] * x + view[1, 2] * y + view[2, 2] * z,
    )
