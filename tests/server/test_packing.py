"""The torch packing of frames equals the numpy one."""

from __future__ import annotations

import numpy as np
import pytest

from gshead_backend.protocol.transfer import pack_frame


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_torch_and_numpy_pack_the_same_pixels(dtype):
    import torch

    from gshead_backend.server.packing_torch import pack_frame as pack_torch

    rng = np.random.default_rng(2)
    alpha = rng.random((40, 50), np.float32) ** 4
    alpha[:5], alpha[5:10] = 0.0, 1.0
    color = rng.random((40, 50, 3), np.float32) * 1.2 * alpha[..., None]
    expected = pack_frame(color, alpha, dtype)
    got = pack_torch(torch.from_numpy(color), torch.from_numpy(alpha), dtype).numpy()
    assert got.dtype == expected.dtype
    step = {"uint8": 1.0, "float16": 2e-3, "float32": 2e-5}[dtype]
    assert np.abs(got.astype(np.float64) - expected).max() <= step
