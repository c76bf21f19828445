"""Triangle frames: how splats hang on the head's mesh.

Every triangle with corners v0, v1, v2 carries an orthonormal frame: x along the edge v0 -> v1, z along the outward
normal (v1 - v0) x (v2 - v0), y = z x x. A splat remembers its offset, rotation and size in that frame, so it follows
whatever moves the mesh. Arrays are kept one coordinate per row ("planar"): numpy then works on contiguous memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A triangle that collapses must not make its splats vanish from a log-scale export, nor explode them.
SCALE_RANGE = (1e-3, 1e3)
CHUNK = 8192
"""Triangles or splats worked on at a time, so that temporaries stay in the processor's cache."""

_TINY = 1e-20


@dataclass(frozen=True)
class TriangleFrames:
    """Frames of T triangles.

    Attributes:
        axes: (3, 3, T) float32; ``axes[j, i]`` is world coordinate i of local axis j (so column j of the rotation).
        quat: (4, T) float32 unit wxyz of the same rotation.
        area: (T,) float32 square metres.
    """

    axes: np.ndarray
    quat: np.ndarray
    area: np.ndarray


def triangle_frames(vertices: np.ndarray, faces: np.ndarray) -> TriangleFrames:
    """Frames of the triangles ``faces`` (T, 3) over ``vertices`` (V, 3) metres.

    Degenerate triangles get some finite orthonormal frame.
    """
    planar = np.ascontiguousarray(vertices.T)
    count = faces.shape[0]
    out = TriangleFrames(
        np.empty((3, 3, count), np.float32), np.empty((4, count), np.float32), np.empty(count, np.float32)
    )
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        axes, out.area[part] = _axes(*(np.stack([c[faces[part, k]] for c in planar]) for k in range(3)))
        out.axes[:, :, part] = axes
        out.quat[:, part] = quats_from_axes(axes)
    return out


def _axes(v0: np.ndarray, v1: np.ndarray, v2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes (3, 3, T) and areas (T,) of triangles with corners (3, T)."""
    e1, e2 = v1 - v0, v2 - v0
    normal = _cross(e1, e2)
    length = np.sqrt(_dot(normal, normal))
    edge = np.sqrt(_dot(e1, e1))
    x = _unit(e1, edge)
    x[:, edge <= _TINY] = [[1.0], [0.0], [0.0]]
    z = _unit(normal, length)
    sliver = np.flatnonzero(length <= 1e-3 * edge * np.sqrt(_dot(e2, e2)))
    if sliver.size:  # the cross product of nearly parallel edges is mostly rounding error
        z[:, sliver] = _perpendicular(x[:, sliver], z[:, sliver])
    return np.stack([x, _cross(z, x), z]), 0.5 * length


def relative_scale(area: np.ndarray, rest_area: np.ndarray) -> np.ndarray:
    """s = sqrt(area / rest area), 1 where the rest triangle is degenerate, clipped to ``SCALE_RANGE``."""
    safe = np.where(rest_area > _TINY, rest_area, np.float32(1))
    ratio = np.where(rest_area > _TINY, area / safe, np.float32(1))
    return np.clip(np.sqrt(ratio), *SCALE_RANGE).astype(np.float32)


def quats_from_axes(axes: np.ndarray) -> np.ndarray:
    """(3, 3, T) axes (see :class:`TriangleFrames`) to (4, T) unit wxyz quaternions.

    The outer product 4 q qT is linear in the matrix; its column with the largest diagonal entry is q up to scale
    (Shepperd 1978), so no case is near a singularity.
    """
    (m00, m10, m20), (m01, m11, m21), (m02, m12, m22) = axes
    d = np.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22])
    wx, wy, wz = m21 - m12, m02 - m20, m10 - m01
    xy, xz, yz = m01 + m10, m02 + m20, m12 + m21
    columns = (
        np.stack([d[0], wx, wy, wz]), np.stack([wx, d[1], xy, xz]),
        np.stack([wy, xy, d[2], yz]), np.stack([wz, xz, yz, d[3]]),
    )  # fmt: skip
    pick = np.argmax(d, 0)
    q = columns[0]
    for k in (1, 2, 3):
        np.copyto(q, columns[k], where=pick == k)
    return q / np.sqrt(_dot(q, q))


def multiply_planar(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of (4, N) wxyz quaternions."""
    (aw, ax, ay, az), (bw, bx, by, bz) = a, b
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw,
        ]
    )  # fmt: skip


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("it,it->t", a, b)


def _unit(v: np.ndarray, length: np.ndarray) -> np.ndarray:
    return v / np.maximum(length, np.float32(_TINY))


def _perpendicular(x: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(3, T) unit vectors perpendicular to unit ``x``, as close to ``near`` as can be; any where that says nothing."""
    axis = np.zeros_like(x)
    axis[np.argmin(np.abs(x), 0), np.arange(x.shape[1])] = 1.0
    fallback = _cross(x, axis)
    out = near - x * _dot(x, near)
    length = np.sqrt(_dot(out, out))
    out = np.where(length > 0.1, out, fallback)
    return _unit(out, np.sqrt(_dot(out, out)))
