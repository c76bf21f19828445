"""``protocol.transfer.pack_frame`` in torch, so that on a GPU only finished pixels cross to the host.

The formulas are those of the numpy twin; a test keeps both equal.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..avatar.shading_torch import linear_to_srgb, srgb_to_linear
from ..protocol.messages import Dtype
from ..protocol.transfer import ALPHA_FLOOR


def pack_frame(color: Tensor, alpha: Tensor, dtype: Dtype) -> Tensor:
    """(H, W, 3) encoded premultiplied colour and (H, W) alpha to the frame of that ``dtype``, (H, W, 4)."""
    a = alpha.clamp(0.0, 1.0)
    a = torch.where(a < ALPHA_FLOOR, 0.0, a)[..., None]
    linear = srgb_to_linear(color / a.clamp(min=ALPHA_FLOOR)) * a
    if dtype == "uint8":
        encoded = torch.cat([linear_to_srgb(linear), a], -1)
        return (encoded.clamp(0.0, 1.0) * 255.0 + 0.5).to(torch.uint8)
    out = torch.cat([linear, a], -1)
    return out if dtype == "float32" else out.clamp(-65504.0, 65504.0).to(torch.float16)
