"""``packing_torch.pack_frame`` as one Triton kernel: a frame is read and written once instead of some twenty times.

Loads Triton, which there is on Linux only; ``packer_of`` gives the fastest packing that works on a device.
"""

# pyright: reportMissingImports=false, reportCallIssue=false, reportGeneralTypeIssues=false
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..protocol.messages import Dtype
from ..protocol.transfer import ALPHA_FLOOR

BLOCK = 512
FLOOR = tl.constexpr(ALPHA_FLOOR)
KINDS = {"uint8": (0, torch.uint8), "float16": (1, torch.float16), "float32": (2, torch.float32)}


def pack_frame(color: Tensor, alpha: Tensor, dtype: Dtype) -> Tensor:
    """(..., 3) float32 encoded premultiplied colour and (...) alpha to the frame of that ``dtype``, (..., 4)."""
    kind, wanted = KINDS[dtype]
    alpha = alpha.contiguous()
    stride = _pixel_stride(color)
    if stride is None:
        color, stride = color.contiguous(), 3
    out = torch.empty((*alpha.shape, 4), dtype=wanted, device=alpha.device)
    if alpha.numel():
        target = out.view(torch.int32) if kind == 0 else out  # four bytes of a pixel are written as one
        grid = (triton.cdiv(alpha.numel(), BLOCK),)
        _pack[grid](color, alpha, target, alpha.numel(), stride, KIND=kind, BLOCK=BLOCK, num_warps=4)
    return out


def _pixel_stride(color: Tensor) -> int | None:
    """Floats from one pixel to the next where they lie evenly, as the first channels of more do; else None."""
    stride = color.stride(-2)
    expected = stride
    for size, got in zip(reversed(color.shape[:-1]), reversed(color.stride()[:-1]), strict=True):
        if size > 1 and got != expected:
            return None
        expected *= size
    return stride if color.stride(-1) == 1 and stride >= 3 else None


@triton.jit
def _decoded(x):
    m = tl.abs(x)
    y = tl.where(m <= 0.04045, m / 12.92, tl.exp2(2.4 * tl.log2((m + 0.055) / 1.055)))
    return tl.where(x < 0.0, -y, y)


@triton.jit
def _byte(linear):
    """The sRGB-encoded level of a linear value; what is no number becomes 0."""
    x = tl.where(linear > 0.0, linear, 0.0)
    y = tl.where(x <= 0.0031308, x * 12.92, 1.055 * tl.exp2(tl.log2(tl.maximum(x, 1e-10)) / 2.4) - 0.055)
    return (tl.minimum(y, 1.0) * 255.0 + 0.5).to(tl.int32)


@triton.jit
def _pack(color, alpha, out, count, stride, KIND: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    real = i < count
    a = tl.load(alpha + i, mask=real, other=0.0)
    a = tl.where(a >= FLOOR, tl.minimum(a, 1.0), 0.0)
    inverse = 1.0 / tl.maximum(a, FLOOR)
    at = color + i * stride
    r = _decoded(tl.load(at, mask=real, other=0.0) * inverse) * a
    g = _decoded(tl.load(at + 1, mask=real, other=0.0) * inverse) * a
    b = _decoded(tl.load(at + 2, mask=real, other=0.0) * inverse) * a
    if KIND == 0:
        level = (a * 255.0 + 0.5).to(tl.int32)
        tl.store(out + i, _byte(r) | (_byte(g) << 8) | (_byte(b) << 16) | (level << 24), mask=real)
    else:
        if KIND == 1:
            r = tl.minimum(tl.maximum(r, -65504.0), 65504.0)
            g = tl.minimum(tl.maximum(g, -65504.0), 65504.0)
            b = tl.minimum(tl.maximum(b, -65504.0), 65504.0)
        kind = out.dtype.element_ty
        tl.store(out + i * 4, r.to(kind), mask=real)
        tl.store(out + i * 4 + 1, g.to(kind), mask=real)
        tl.store(out + i * 4 + 2, b.to(kind), mask=real)
        tl.store(out + i * 4 + 3, a.to(kind), mask=real)
