"""``drive`` for several poses at once in three Triton kernels and one matrix product, all into memory kept for it.

A frame of a head with V vertices, E expressions and N splats is: joints (one program a pose), shapes (E x 3V product),
skin (a vertex a lane), place (a splat a lane, which computes its triangle's frame itself: reading three corners is
cheaper than writing frames out and gathering them). Nothing is allocated and nothing waits, so that a CUDA graph can
hold it.

The branches are those of ``drive_fast``; tests run the kernels in Triton's interpreter, without a GPU. Loads Triton,
which there is on Linux only.
"""

# pyright: reportMissingImports=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from .binding import SCALE_RANGE
from .drive import binding_of
from .drive_batch_torch import POSE_TAIL, dense_shapes, pose_gain
from .types import Avatar, Splats

BLOCK = 128
LOW, HIGH = (tl.constexpr(x) for x in SCALE_RANGE)


class TritonBatch:
    """An avatar's arrays and the results of ``batch`` poses, kept on a device.

    Every call writes to the same tensors and returns them.
    """

    def __init__(self, avatar: Avatar, batch: int, device: torch.device) -> None:
        b, head, person, n = binding_of(avatar), avatar.head, avatar.personal, len(avatar)
        self._batch, self._count, self._vertex_count = batch, n, head.vertex_count
        self._expressions = head.expression_count

        def put(array: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(array), dtype=dtype, device=device)

        def room(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float32, device=device)

        self._joints, self._rest = put(person.joints), put(person.rest)
        self._weights, self._shapes = put(head.skin_weights.T), put(dense_shapes(avatar))
        self._transforms, self._vertices = room(batch, 60), room(batch, head.vertex_count, 3)
        self._correctives, self._feature = None, room(batch, 36)
        if head.pose_correctives is not None:
            self._correctives = put(head.pose_correctives.reshape(-1, 36).T)
        # One coordinate per row: neighbouring lanes then read neighbouring addresses.
        self._corners, self._rest_area = put(b.corners, torch.int32), put(b.rest_area[b.slot])
        self._bary, self._offset, self._scale = put(b.bary), put(b.offset), put(b.scale.T)
        self._rotation = put(b.rotation)
        self._out = Splats(
            room(batch, n, 3), room(batch, n, 4), room(batch, n, 3),
            put(np.tile(b.opacity, (batch, 1))), put(np.tile(b.color, (batch, 1, 1))),
        )  # fmt: skip
        self._dynamic = avatar.dynamic is not None
        # Without a residual the kernel gets these as addresses that it never reads.
        self._row, self._delta = put(np.zeros(1), torch.int32), room(1)
        self._raw, self._logit, self._color, self._moving = room(1), room(1), room(1), 1
        if avatar.dynamic is not None:
            d = avatar.dynamic
            row = np.full(n, -1)
            row[d.index] = np.arange(d.index.size)
            self._moving = max(1, d.index.size)
            self._row, self._color = put(row, torch.int32), put(b.color.T)
            self._raw, self._logit = put(avatar.rotation.T), put(avatar.opacity_logit)
            self._basis = put(d.basis.transpose(2, 1, 0).reshape(d.basis.shape[2], -1))
            self._gain, self._bias = put(pose_gain(avatar)), put(d.bias)
            self._coefficients, self._delta = room(batch, d.bias.size), room(batch, 14 * d.index.size)

    def vertices(self, poses: Tensor) -> Tensor:
        """(B, V, 3) of pose vectors (B, E + 18), as ``PersonalHead.vertices``; B is the batch given at the start."""
        e, v, batch = self._expressions, self._vertex_count, self._batch
        flat = self._vertices.view(batch, 3 * v)
        _joints[(batch,)](poses, self._joints, self._transforms, self._feature, e, e + POSE_TAIL, num_warps=1)
        torch.mm(poses[:, :e], self._shapes, out=flat)
        if self._correctives is not None:
            flat.addmm_(self._feature, self._correctives)
        _skin[(triton.cdiv(v, BLOCK), batch)](
            self._vertices, self._rest, self._weights, self._transforms, v, BLOCK=BLOCK, num_warps=4
        )
        return self._vertices

    def from_poses(self, poses: Tensor) -> Splats:
        """Splats with a leading dimension B of pose vectors (B, E + 18)."""
        return self.from_vertices(self.vertices(poses), poses)

    def from_vertices(self, vertices: Tensor, poses: Tensor) -> Splats:
        """Splats on meshes (B, V, 3), contiguous; the poses drive the dynamic residual only."""
        if self._count == 0:
            return self._out
        if self._dynamic:
            torch.addmm(self._bias, poses[:, : self._expressions + 9], self._gain, out=self._coefficients)
            torch.mm(self._coefficients, self._basis, out=self._delta)
        o = self._out
        _place[(triton.cdiv(self._count, BLOCK), self._batch)](
            vertices, self._corners, self._rest_area, self._bary, self._offset, self._rotation, self._scale,
            self._row, self._delta, self._raw, self._logit, self._color,
            o.means, o.quats, o.scales, o.opacities, o.colors,
            self._count, self._vertex_count, self._moving, DYNAMIC=self._dynamic, BLOCK=BLOCK, num_warps=4,
        )  # fmt: skip
        return self._out


@triton.jit
def _rodrigues(x, y, z):
    """The rotation by an axis-angle vector, row by row."""
    angle = tl.sqrt(x * x + y * y + z * z)
    inverse = tl.where(angle < 1e-8, 0.0, 1.0 / tl.maximum(angle, 1e-8))
    x, y, z = x * inverse, y * inverse, z * inverse
    half = tl.sin(0.5 * angle)
    s, c = tl.sin(angle), 2.0 * half * half  # 1 - cos, without losing digits near zero
    return (
        1.0 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y,
        c * x * y + s * z, 1.0 - c * (x * x + z * z), c * y * z - s * x,
        c * x * z - s * y, c * y * z + s * x, 1.0 - c * (x * x + y * y),
    )  # fmt: skip


@triton.jit
def _joints(poses, joints, transforms, feature, expressions, stride):
    """``skinning.joint_transforms`` of one pose, its translation added: (5, 3, 4); and R - I of joints 1 to 4."""
    b = tl.program_id(0)
    pose = poses + b * stride + expressions
    out, wanted = transforms + b * 60, feature + b * 36
    lane = tl.arange(0, 4)  # jaw, left eye, right eye, nothing
    real = lane < 3
    tx, ty, tz = tl.load(pose + 15), tl.load(pose + 16), tl.load(pose + 17)

    # root
    r0, r1, r2, r3, r4, r5, r6, r7, r8 = _rodrigues(tl.load(pose), tl.load(pose + 1), tl.load(pose + 2))
    jx, jy, jz = tl.load(joints), tl.load(joints + 1), tl.load(joints + 2)
    tl.store(out + 0, r0)
    tl.store(out + 1, r1)
    tl.store(out + 2, r2)
    tl.store(out + 3, jx - (r0 * jx + r1 * jy + r2 * jz) + tx)
    tl.store(out + 4, r3)
    tl.store(out + 5, r4)
    tl.store(out + 6, r5)
    tl.store(out + 7, jy - (r3 * jx + r4 * jy + r5 * jz) + ty)
    tl.store(out + 8, r6)
    tl.store(out + 9, r7)
    tl.store(out + 10, r8)
    tl.store(out + 11, jz - (r6 * jx + r7 * jy + r8 * jz) + tz)

    # neck: n = root * own, at p
    a0, a1, a2, a3, a4, a5, a6, a7, a8 = _rodrigues(tl.load(pose + 3), tl.load(pose + 4), tl.load(pose + 5))
    tl.store(wanted + 0, a0 - 1.0)
    tl.store(wanted + 1, a1)
    tl.store(wanted + 2, a2)
    tl.store(wanted + 3, a3)
    tl.store(wanted + 4, a4 - 1.0)
    tl.store(wanted + 5, a5)
    tl.store(wanted + 6, a6)
    tl.store(wanted + 7, a7)
    tl.store(wanted + 8, a8 - 1.0)
    n0, n1, n2 = r0 * a0 + r1 * a3 + r2 * a6, r0 * a1 + r1 * a4 + r2 * a7, r0 * a2 + r1 * a5 + r2 * a8
    n3, n4, n5 = r3 * a0 + r4 * a3 + r5 * a6, r3 * a1 + r4 * a4 + r5 * a7, r3 * a2 + r4 * a5 + r5 * a8
    n6, n7, n8 = r6 * a0 + r7 * a3 + r8 * a6, r6 * a1 + r7 * a4 + r8 * a7, r6 * a2 + r7 * a5 + r8 * a8
    kx, ky, kz = tl.load(joints + 3), tl.load(joints + 4), tl.load(joints + 5)
    dx, dy, dz = kx - jx, ky - jy, kz - jz
    px = r0 * dx + r1 * dy + r2 * dz + jx + tx
    py = r3 * dx + r4 * dy + r5 * dz + jy + ty
    pz = r6 * dx + r7 * dy + r8 * dz + jz + tz
    tl.store(out + 12, n0)
    tl.store(out + 13, n1)
    tl.store(out + 14, n2)
    tl.store(out + 15, px - (n0 * kx + n1 * ky + n2 * kz))
    tl.store(out + 16, n3)
    tl.store(out + 17, n4)
    tl.store(out + 18, n5)
    tl.store(out + 19, py - (n3 * kx + n4 * ky + n5 * kz))
    tl.store(out + 20, n6)
    tl.store(out + 21, n7)
    tl.store(out + 22, n8)
    tl.store(out + 23, pz - (n6 * kx + n7 * ky + n8 * kz))

    # the neck's three children, a lane each
    at = pose + 6 + 3 * lane
    a0, a1, a2, a3, a4, a5, a6, a7, a8 = _rodrigues(
        tl.load(at, mask=real, other=0.0), tl.load(at + 1, mask=real, other=0.0), tl.load(at + 2, mask=real, other=0.0)
    )
    row = wanted + 9 + 9 * lane
    tl.store(row + 0, a0 - 1.0, mask=real)
    tl.store(row + 1, a1, mask=real)
    tl.store(row + 2, a2, mask=real)
    tl.store(row + 3, a3, mask=real)
    tl.store(row + 4, a4 - 1.0, mask=real)
    tl.store(row + 5, a5, mask=real)
    tl.store(row + 6, a6, mask=real)
    tl.store(row + 7, a7, mask=real)
    tl.store(row + 8, a8 - 1.0, mask=real)
    w0, w1, w2 = n0 * a0 + n1 * a3 + n2 * a6, n0 * a1 + n1 * a4 + n2 * a7, n0 * a2 + n1 * a5 + n2 * a8
    w3, w4, w5 = n3 * a0 + n4 * a3 + n5 * a6, n3 * a1 + n4 * a4 + n5 * a7, n3 * a2 + n4 * a5 + n5 * a8
    w6, w7, w8 = n6 * a0 + n7 * a3 + n8 * a6, n6 * a1 + n7 * a4 + n8 * a7, n6 * a2 + n7 * a5 + n8 * a8
    joint = joints + 6 + 3 * lane
    cx = tl.load(joint, mask=real, other=0.0)
    cy = tl.load(joint + 1, mask=real, other=0.0)
    cz = tl.load(joint + 2, mask=real, other=0.0)
    dx, dy, dz = cx - kx, cy - ky, cz - kz
    row = out + 24 + 12 * lane
    tl.store(row + 0, w0, mask=real)
    tl.store(row + 1, w1, mask=real)
    tl.store(row + 2, w2, mask=real)
    tl.store(row + 3, n0 * dx + n1 * dy + n2 * dz + px - (w0 * cx + w1 * cy + w2 * cz), mask=real)
    tl.store(row + 4, w3, mask=real)
    tl.store(row + 5, w4, mask=real)
    tl.store(row + 6, w5, mask=real)
    tl.store(row + 7, n3 * dx + n4 * dy + n5 * dz + py - (w3 * cx + w4 * cy + w5 * cz), mask=real)
    tl.store(row + 8, w6, mask=real)
    tl.store(row + 9, w7, mask=real)
    tl.store(row + 10, w8, mask=real)
    tl.store(row + 11, n6 * dx + n7 * dy + n8 * dz + pz - (w6 * cx + w7 * cy + w8 * cz), mask=real)


@triton.jit
def _skin(vertices, rest, weights, transforms, count, BLOCK: tl.constexpr):
    """vertices[b, v] = sum over joints of weight * A [rest + vertices[b, v], 1], in place."""
    v = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    b = tl.program_id(1).to(tl.int64)
    real = v < count
    at = vertices + b * count * 3 + v * 3
    x = tl.load(at, mask=real, other=0.0) + tl.load(rest + v * 3, mask=real, other=0.0)
    y = tl.load(at + 1, mask=real, other=0.0) + tl.load(rest + v * 3 + 1, mask=real, other=0.0)
    z = tl.load(at + 2, mask=real, other=0.0) + tl.load(rest + v * 3 + 2, mask=real, other=0.0)
    ox, oy, oz = tl.zeros_like(x), tl.zeros_like(x), tl.zeros_like(x)
    for j in range(5):
        A = transforms + b * 60 + j * 12
        w = tl.load(weights + j * count + v, mask=real, other=0.0)
        ox += w * (tl.load(A) * x + tl.load(A + 1) * y + tl.load(A + 2) * z + tl.load(A + 3))
        oy += w * (tl.load(A + 4) * x + tl.load(A + 5) * y + tl.load(A + 6) * z + tl.load(A + 7))
        oz += w * (tl.load(A + 8) * x + tl.load(A + 9) * y + tl.load(A + 10) * z + tl.load(A + 11))
    tl.store(at, ox, mask=real)
    tl.store(at + 1, oy, mask=real)
    tl.store(at + 2, oz, mask=real)


@triton.jit
def _place(
    vertices, corners, rest_areas, bary, offsets, rotations, sizes, rows, deltas, raw, logits, colors_at_rest,
    means, quats, scales, opacities, colors, count, vertex_count, moving, DYNAMIC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One lane a splat: its triangle's frame, then mean, quaternion and scale."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    b = tl.program_id(1).to(tl.int64)
    real = n < count
    mesh = vertices + b * vertex_count * 3
    at = mesh + tl.load(corners + n, mask=real, other=0) * 3
    ax, ay, az = (
        tl.load(at, mask=real, other=0.0),
        tl.load(at + 1, mask=real, other=0.0),
        tl.load(at + 2, mask=real, other=0.0),
    )
    at = mesh + tl.load(corners + count + n, mask=real, other=0) * 3
    bx, by, bz = (
        tl.load(at, mask=real, other=0.0),
        tl.load(at + 1, mask=real, other=0.0),
        tl.load(at + 2, mask=real, other=0.0),
    )
    at = mesh + tl.load(corners + 2 * count + n, mask=real, other=0) * 3
    cx, cy, cz = (
        tl.load(at, mask=real, other=0.0),
        tl.load(at + 1, mask=real, other=0.0),
        tl.load(at + 2, mask=real, other=0.0),
    )

    # the triangle's axes x, y, z, in columns; see ``binding``
    ex, ey, ez = bx - ax, by - ay, bz - az
    fx, fy, fz = cx - ax, cy - ay, cz - az
    zx, zy, zz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
    length = tl.sqrt(zx * zx + zy * zy + zz * zz)
    edge = tl.sqrt(ex * ex + ey * ey + ez * ez)
    other = tl.sqrt(fx * fx + fy * fy + fz * fz)
    inverse = 1.0 / tl.maximum(edge, 1e-20)
    long = edge > 1e-20
    xx, xy, xz = tl.where(long, ex * inverse, 1.0), tl.where(long, ey * inverse, 0.0), tl.where(long, ez * inverse, 0.0)
    inverse = 1.0 / tl.maximum(length, 1e-20)
    zx, zy, zz = zx * inverse, zy * inverse, zz * inverse
    # Where the edges are nearly parallel the normal is mostly rounding error: the nearest direction perpendicular to x,
    # or, where that says nothing, perpendicular to x and the axis that is farthest from it.
    sliver = length <= 1e-3 * edge * other
    d = xx * zx + xy * zy + xz * zz
    sx, sy, sz = zx - xx * d, zy - xy * d, zz - xz * d
    close = tl.sqrt(sx * sx + sy * sy + sz * sz) <= 0.1
    mx, my, mz = tl.abs(xx), tl.abs(xy), tl.abs(xz)
    first = (mx <= my) & (mx <= mz)
    second = (my <= mz) & (mx > tl.minimum(my, mz))
    ux = tl.where(first, 1.0, 0.0)
    uy = tl.where(second, 1.0, 0.0)
    uz = 1.0 - ux - uy
    sx = tl.where(close, xy * uz - xz * uy, sx)
    sy = tl.where(close, xz * ux - xx * uz, sy)
    sz = tl.where(close, xx * uy - xy * ux, sz)
    inverse = 1.0 / tl.maximum(tl.sqrt(sx * sx + sy * sy + sz * sz), 1e-20)
    zx = tl.where(sliver, sx * inverse, zx)
    zy = tl.where(sliver, sy * inverse, zy)
    zz = tl.where(sliver, sz * inverse, zz)
    yx, yy, yz = zy * xz - zz * xy, zz * xx - zx * xz, zx * xy - zy * xx

    rest = tl.load(rest_areas + n, mask=real, other=0.0)
    s = tl.where(rest > 1e-20, tl.sqrt(0.5 * length / tl.maximum(rest, 1e-20)), 1.0)
    s = tl.minimum(tl.maximum(s, LOW), HIGH)

    ox = tl.load(offsets + n, mask=real, other=0.0)
    oy = tl.load(offsets + count + n, mask=real, other=0.0)
    oz = tl.load(offsets + 2 * count + n, mask=real, other=0.0)
    qw = tl.load(rotations + n, mask=real, other=1.0)
    qx = tl.load(rotations + count + n, mask=real, other=0.0)
    qy = tl.load(rotations + 2 * count + n, mask=real, other=0.0)
    qz = tl.load(rotations + 3 * count + n, mask=real, other=0.0)
    hx = tl.load(sizes + n, mask=real, other=1.0)
    hy = tl.load(sizes + count + n, mask=real, other=1.0)
    hz = tl.load(sizes + 2 * count + n, mask=real, other=1.0)
    if DYNAMIC:
        row = tl.load(rows + n, mask=real, other=-1)
        has = real & (row >= 0)
        delta = deltas + b * moving * 14 + row
        ox += tl.load(delta, mask=has, other=0.0)
        oy += tl.load(delta + moving, mask=has, other=0.0)
        oz += tl.load(delta + 2 * moving, mask=has, other=0.0)
        rw = tl.load(raw + n, mask=has, other=1.0) + tl.load(delta + 3 * moving, mask=has, other=0.0)
        rx = tl.load(raw + count + n, mask=has, other=0.0) + tl.load(delta + 4 * moving, mask=has, other=0.0)
        ry = tl.load(raw + 2 * count + n, mask=has, other=0.0) + tl.load(delta + 5 * moving, mask=has, other=0.0)
        rz = tl.load(raw + 3 * count + n, mask=has, other=0.0) + tl.load(delta + 6 * moving, mask=has, other=0.0)
        norm = tl.sqrt(rw * rw + rx * rx + ry * ry + rz * rz)
        inverse = tl.where(norm > 1e-12, 1.0 / tl.maximum(norm, 1e-12), 0.0)
        qw = tl.where(has, tl.where(norm > 1e-12, rw * inverse, 1.0), qw)
        qx, qy, qz = tl.where(has, rx * inverse, qx), tl.where(has, ry * inverse, qy), tl.where(has, rz * inverse, qz)
        hx *= tl.exp(tl.load(delta + 7 * moving, mask=has, other=0.0))
        hy *= tl.exp(tl.load(delta + 8 * moving, mask=has, other=0.0))
        hz *= tl.exp(tl.load(delta + 9 * moving, mask=has, other=0.0))
        logit = tl.load(logits + n, mask=has, other=0.0) + tl.load(delta + 10 * moving, mask=has, other=0.0)
        tl.store(opacities + b * count + n, 1.0 / (1.0 + tl.exp(-logit)), mask=has)
        color = colors + (b * count + n) * 3
        for c in range(3):
            base = tl.load(colors_at_rest + c * count + n, mask=has, other=0.0)
            tl.store(color + c, base + tl.load(delta + (11 + c) * moving, mask=has, other=0.0), mask=has)

    ba = tl.load(bary + n, mask=real, other=0.0)
    bb = tl.load(bary + count + n, mask=real, other=0.0)
    bc = tl.load(bary + 2 * count + n, mask=real, other=0.0)
    ox, oy, oz = ox * s, oy * s, oz * s
    mean = means + (b * count + n) * 3
    tl.store(mean, ba * ax + bb * bx + bc * cx + ox * xx + oy * yx + oz * zx, mask=real)
    tl.store(mean + 1, ba * ay + bb * by + bc * cy + ox * xy + oy * yy + oz * zy, mask=real)
    tl.store(mean + 2, ba * az + bb * bz + bc * cz + ox * xz + oy * yz + oz * zz, mask=real)
    scale = scales + (b * count + n) * 3
    tl.store(scale, hx * s, mask=real)
    tl.store(scale + 1, hy * s, mask=real)
    tl.store(scale + 2, hz * s, mask=real)

    # quaternion of the rotation with columns x, y, z: the best conditioned of four (Shepperd 1978)
    d0, d1 = 1.0 + xx + yy + zz, 1.0 + xx - yy - zz
    d2, d3 = 1.0 - xx + yy - zz, 1.0 - xx - yy + zz
    wx, wy, wz = yz - zy, zx - xz, xy - yx
    vxy, vxz, vyz = yx + xy, zx + xz, zy + yz
    is0 = (d0 >= d1) & (d0 >= d2) & (d0 >= d3)
    is1 = (d1 >= d2) & (d1 >= d3)
    is2 = d2 >= d3
    pw = tl.where(is0, d0, tl.where(is1, wx, tl.where(is2, wy, wz)))
    px = tl.where(is0, wx, tl.where(is1, d1, tl.where(is2, vxy, vxz)))
    py = tl.where(is0, wy, tl.where(is1, vxy, tl.where(is2, d2, vyz)))
    pz = tl.where(is0, wz, tl.where(is1, vxz, tl.where(is2, vyz, d3)))
    inverse = 1.0 / tl.sqrt(pw * pw + px * px + py * py + pz * pz)
    pw, px, py, pz = pw * inverse, px * inverse, py * inverse, pz * inverse
    quat = quats + (b * count + n) * 4
    tl.store(quat, pw * qw - px * qx - py * qy - pz * qz, mask=real)
    tl.store(quat + 1, pw * qx + px * qw + py * qz - pz * qy, mask=real)
    tl.store(quat + 2, pw * qy - px * qz + py * qw + pz * qx, mask=real)
    tl.store(quat + 3, pw * qz + px * qy - py * qx + pz * qw, mask=real)
