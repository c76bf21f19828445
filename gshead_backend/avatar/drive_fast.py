"""``drive`` with numba: the same splats on all cores in a tenth of the time. For processes that render on the CPU.

Loads numba, so it is no part of the light room; a test keeps it equal to ``drive``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit, prange

from ..head.pose import HeadPose
from ..head.rotation import axis_angle_to_matrix
from ..head.skinning import joint_transforms
from ..parallel import NUMBA_LOCK, kernel_array
from .binding import SCALE_RANGE
from .drive import binding_of, checked_vertices
from .last_frame_fast import NEVER, LastFrame, room
from .residual_fast import appearance_fast, code_of
from .residual_fast import warm_up as warm_up_residual
from .types import Avatar, Splats

_TINY = np.float32(1e-20)
_LOW, _HIGH = np.float32(SCALE_RANGE[0]), np.float32(SCALE_RANGE[1])
_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
_SLIVER, _CLOSE = np.float32(1e-3), np.float32(0.1)


@dataclass(frozen=True)
class _Skinning:
    """A person's head as flat arrays: (3C, E) expressions, subdivision rows, (V, 3) rest, (V, 5) weights."""

    expressions: np.ndarray
    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    rest: np.ndarray
    weights: np.ndarray


def _skinning_of(avatar: Avatar) -> _Skinning:
    if "fast_skinning" not in avatar._cache:
        head, v = avatar.head, avatar.head.vertex_count
        f32, i32 = kernel_array, (lambda a: kernel_array(a, np.int32))
        sparse = head.subdivision
        rows = (
            (np.ones(v), np.arange(v), np.arange(v + 1))
            if sparse is None
            else (sparse.data, sparse.indices, sparse.indptr)
        )
        avatar._cache["fast_skinning"] = _Skinning(
            f32(head.expression_dirs).reshape(-1, head.expression_count), f32(rows[0]), i32(rows[1]), i32(rows[2]),
            f32(avatar.personal.rest), f32(head.skin_weights),
        )  # fmt: skip
    return avatar._cache["fast_skinning"]


def vertices_fast(avatar: Avatar, pose: HeadPose) -> np.ndarray:
    """(V, 3) float32 like ``avatar.personal.vertices(pose)``."""
    person = avatar.personal
    person.check(pose)
    k = _skinning_of(avatar)
    delta = (k.expressions @ (pose.expression * person.gain)).reshape(-1, 3)
    rest = k.rest
    if person.model.pose_correctives is not None:
        feature = (axis_angle_to_matrix(pose.rotations[1:]) - np.eye(3)).reshape(-1).astype(np.float32)
        rest = kernel_array(rest + person.model.pose_correctives @ feature)
    A = joint_transforms(axis_angle_to_matrix(pose.rotations), person.joints)
    A[:, :, 3] += pose.translation  # weights sum to 1
    out = np.empty_like(k.rest)
    with NUMBA_LOCK:
        _skin(delta, k.data, k.indices, k.indptr, rest, k.weights, A.astype(np.float32), out)
    return out


def drive_fast(avatar: Avatar, pose: HeadPose, last: LastFrame | None = None) -> Splats:
    """:func:`~gshead_backend.avatar.drive.drive`, on all cores."""
    return drive_vertices_fast(avatar, vertices_fast(avatar, pose), pose, last)


def drive_vertices_fast(
    avatar: Avatar, vertices: np.ndarray, pose: HeadPose | None = None, last: LastFrame | None = None
) -> Splats:
    """:func:`~gshead_backend.avatar.drive.drive_vertices`, on all cores."""
    b = binding_of(avatar)
    vertices = kernel_array(checked_vertices(avatar, vertices))
    n = b.slot.size
    if last is None:
        still = changed = NEVER
        looks, (means, quats, scales) = appearance_fast(avatar, code_of(avatar, pose)), room(n)
    else:
        still = last.still(avatar, vertices)
        looks, changed = last.appearance(avatar, pose)
        means, quats, scales = last.room(n)
    offset, rotation, scale, opacity, color = looks
    with NUMBA_LOCK:
        kept = _place(
            vertices, still, changed, b.corners, b.slot, b.rest_area, b.bary, offset, rotation, scale,
            means, quats, scales,
        )  # fmt: skip
    if last is not None:
        last.kept = int(kept)
    return Splats(means, quats, scales, opacity, color)


def warm_up() -> None:
    """Compile (or load from numba's cache) what a frame needs."""
    f32, i32 = np.zeros((3, 3), np.float32), np.zeros(4, np.int32)
    with NUMBA_LOCK:
        _skin(f32, f32[0], i32, i32, f32, np.zeros((3, 5), np.float32), np.zeros((5, 3, 4), np.float32), f32.copy())
        _place(
            f32, NEVER, NEVER, np.zeros((3, 1), np.int64), np.zeros(1, np.int64), np.zeros(1, np.float32),
            f32[:, :1].copy(), f32[:, :1].copy(), np.zeros((4, 1), np.float32), f32[:1], f32[:1].copy(),
            np.zeros((1, 4), np.float32), f32[:1].copy(),
        )  # fmt: skip
    warm_up_residual()


@njit(parallel=True, cache=True, error_model="numpy")
def _skin(delta, data, indices, indptr, rest, weights, A, out):
    """out[v] = sum over joints of weight * A [rest + subdivision row . delta, 1]."""
    for v in prange(rest.shape[0]):
        x, y, z = rest[v, 0], rest[v, 1], rest[v, 2]
        for k in range(indptr[v], indptr[v + 1]):
            w, c = data[k], indices[k]
            x += w * delta[c, 0]
            y += w * delta[c, 1]
            z += w * delta[c, 2]
        for i in range(3):
            total = _ZERO
            for j in range(5):
                total += weights[v, j] * (A[j, i, 0] * x + A[j, i, 1] * y + A[j, i, 2] * z + A[j, i, 3])
            out[v, i] = total


@njit(forceinline=True, error_model="numpy")
def _cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@njit(forceinline=True, error_model="numpy")
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(forceinline=True, error_model="numpy")
def _over(a, length):
    i = _ONE / max(length, _TINY)
    return a[0] * i, a[1] * i, a[2] * i


@njit(forceinline=True, error_model="numpy")
def _perpendicular(x, near):
    """A unit vector perpendicular to unit x, as close to ``near`` as can be; see ``binding``."""
    d = _dot(x, near)
    out = (near[0] - x[0] * d, near[1] - x[1] * d, near[2] - x[2] * d)
    if math.sqrt(_dot(out, out)) <= _CLOSE:
        ax, ay, az = abs(x[0]), abs(x[1]), abs(x[2])
        if ax <= ay and ax <= az:
            axis = (_ONE, _ZERO, _ZERO)
        elif ay <= az:
            axis = (_ZERO, _ONE, _ZERO)
        else:
            axis = (_ZERO, _ZERO, _ONE)
        out = _cross(x, axis)
    return _over(out, math.sqrt(_dot(out, out)))


@njit(forceinline=True, error_model="numpy")
def _quat(x, y, z):
    """Quaternion of the rotation with columns x, y, z; the same branch of Shepperd's method as ``binding``."""
    d0, d1 = _ONE + x[0] + y[1] + z[2], _ONE + x[0] - y[1] - z[2]
    d2, d3 = _ONE - x[0] + y[1] - z[2], _ONE - x[0] - y[1] + z[2]
    wx, wy, wz = y[2] - z[1], z[0] - x[2], x[1] - y[0]
    xy, xz, yz = y[0] + x[1], z[0] + x[2], z[1] + y[2]
    if d0 >= d1 and d0 >= d2 and d0 >= d3:
        a, b, c, d = d0, wx, wy, wz
    elif d1 >= d2 and d1 >= d3:
        a, b, c, d = wx, d1, xy, xz
    elif d2 >= d3:
        a, b, c, d = wy, xy, d2, yz
    else:
        a, b, c, d = wz, xz, yz, d3
    i = _ONE / math.sqrt(a * a + b * b + c * c + d * d)
    return a * i, b * i, c * i, d * i


@njit(parallel=True, cache=True, error_model="numpy")
def _place(vertices, still, changed, corners, slot, rest_area, bary, offset, rotation, scale, means, quats, scales):
    """Returns how many splats were left as they are: the three vertices of their triangle are ``still``, and they have
    not ``changed`` themselves."""
    kept = 0
    for n in prange(slot.size):
        i0, i1, i2 = corners[0, n], corners[1, n], corners[2, n]
        if still.size and still[i0] and still[i1] and still[i2] and not (changed.size and changed[n]):
            kept += 1
            continue
        v0 = (vertices[i0, 0], vertices[i0, 1], vertices[i0, 2])
        v1 = (vertices[i1, 0], vertices[i1, 1], vertices[i1, 2])
        v2 = (vertices[i2, 0], vertices[i2, 1], vertices[i2, 2])
        e1 = (v1[0] - v0[0], v1[1] - v0[1], v1[2] - v0[2])
        e2 = (v2[0] - v0[0], v2[1] - v0[1], v2[2] - v0[2])
        normal = _cross(e1, e2)
        length, edge = math.sqrt(_dot(normal, normal)), math.sqrt(_dot(e1, e1))
        x = _over(e1, edge) if edge > _TINY else (_ONE, _ZERO, _ZERO)
        z = _over(normal, length)
        if length <= _SLIVER * edge * math.sqrt(_dot(e2, e2)):
            z = _perpendicular(x, z)
        y = _cross(z, x)
        rest = rest_area[slot[n]]
        s = math.sqrt(_HALF * length / rest) if rest > _TINY else _ONE
        s = min(max(s, _LOW), _HIGH)
        o0, o1, o2 = offset[0, n] * s, offset[1, n] * s, offset[2, n] * s
        b0, b1, b2 = bary[0, n], bary[1, n], bary[2, n]
        for i in range(3):
            means[n, i] = b0 * v0[i] + b1 * v1[i] + b2 * v2[i] + o0 * x[i] + o1 * y[i] + o2 * z[i]
            scales[n, i] = scale[n, i] * s
        aw, ax, ay, az = _quat(x, y, z)
        bw, bx, by, bz = rotation[0, n], rotation[1, n], rotation[2, n], rotation[3, n]
        quats[n, 0] = aw * bw - ax * bx - ay * by - az * bz
        quats[n, 1] = aw * bx + ax * bw + ay * bz - az * by
        quats[n, 2] = aw * by - ax * bz + ay * bw + az * bx
        quats[n, 3] = aw * bz + ax * by - ay * bx + az * bw
    return kept
