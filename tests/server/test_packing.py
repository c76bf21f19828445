"""The torch and numba packings of frames equal the numpy one."""

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


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_numba_and_numpy_pack_the_same_pixels(dtype):
    from gshead_backend.server.packing_cpu import pack_frame as pack_fast

    rng = np.random.default_rng(3)
    alpha = rng.random((61, 47), np.float32) ** 4
    alpha[:5], alpha[5:10], alpha[10:15] = 0.0, 1.0, 1.0000001
    alpha[15] = 1e-6  # below the floor
    color = (rng.random((61, 47, 3), np.float32) * 1.3 - 0.05) * alpha[..., None]
    expected, got = pack_frame(color, alpha, dtype), pack_fast(color, alpha, dtype)
    assert got.dtype == expected.dtype
    step = {"uint8": 1.0, "float16": 2e-3, "float32": 1e-6}[dtype]
    difference = np.abs(got.astype(np.float64) - expected)
    assert difference.max() <= step
    if dtype == "uint8":  # a level apart only where rounding falls the other way
        assert (difference > 0).mean() < 1e-3


def test_numba_packing_of_pixels_that_are_not_numbers():
    from gshead_backend.server.packing_cpu import pack_frame as pack_fast

    color = np.full((1, 3, 3), np.nan, np.float32)
    alpha = np.array([[np.nan, 0.5, 1.0]], np.float32)
    seen = pack_fast(color, alpha, "uint8")
    assert (seen[..., :3] == 0).all()
    assert seen[0, :, 3].tolist() == [0, 128, 255]


def test_a_frame_packed_while_it_is_blended_equals_one_packed_afterwards():
    from splat_fixtures import random_splats

    from gshead_backend.camera import Camera
    from gshead_backend.raster import rasterize
    from gshead_backend.server.packing_cpu import draw_frame

    view = np.eye(4)
    view[2, 3] = 0.5
    splats = random_splats(400, seed=5)
    camera = Camera(75, 50, np.array([[120.0, 0, 37], [0, 120, 25], [0, 0, 1]]), view)
    rendered = rasterize(splats, camera, backend="reference")
    expected = pack_frame(rendered.color, rendered.alpha, "uint8")
    got, depth = draw_frame(splats, camera)
    seen = np.isfinite(rendered.depth)
    assert (np.isfinite(depth) == seen).mean() > 0.999
    np.testing.assert_allclose(depth[seen], rendered.depth[seen], rtol=1e-3)
    assert got.shape == (50, 75, 4)
    assert 0.1 < (got[..., 3] > 0).mean() < 1.0
    difference = np.abs(got.astype(np.int32) - expected)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.02
