"""Colour transfer: known values, inverses, soft edges, packing."""

from __future__ import annotations

import numpy as np
import pytest

from gshead_backend.errors import ArgumentError
from gshead_backend.protocol import transfer as t


def test_known_srgb_values():
    # Midpoints that any colour calculator gives.
    assert t.srgb_to_linear(np.array([0.0, 0.5, 1.0])) == pytest.approx([0.0, 0.21404114, 1.0], abs=1e-6)
    assert t.linear_to_srgb(np.array([0.0, 0.18, 1.0])) == pytest.approx([0.0, 0.46135613, 1.0], abs=1e-6)
    assert t.srgb_to_linear(np.array([0.04045])) == pytest.approx([0.04045 / 12.92], rel=1e-5)


def test_transfer_functions_are_inverse_also_outside_the_unit_range():
    x = np.linspace(-0.5, 4.0, 1001, dtype=np.float32)
    assert np.abs(t.srgb_to_linear(t.linear_to_srgb(x)) - x).max() < 3e-6
    assert t.srgb_to_linear(x).dtype == np.float32


def test_premultiply_and_back():
    rng = np.random.default_rng(0)
    rgb, alpha = rng.random((50, 3), np.float32), rng.random(50, np.float32)
    assert np.allclose(t.unpremultiply(t.premultiply(rgb, alpha), alpha), rgb, atol=1e-5)
    assert (t.unpremultiply(rgb, np.zeros(50, np.float32)) == 0).all()


def test_a_soft_edge_keeps_its_hue_in_linear_light():
    straight = np.array([0.8, 0.4, 0.2], np.float32)
    for a in (0.01, 0.3, 0.9, 1.0):
        alpha = np.full((1, 1), a, np.float32)
        out = t.encoded_to_linear_premultiplied((straight * a)[None, None], alpha)[0, 0]
        assert np.allclose(out[:3], t.srgb_to_linear(straight) * a, atol=2e-5)
        assert out[3] == pytest.approx(a)


def test_uint8_decodes_to_linear_premultiplied():
    rng = np.random.default_rng(1)
    alpha = rng.random((32, 32), np.float32)
    alpha[:8] = 1.0
    alpha[8:12] = 0.0
    color = rng.random((32, 32, 3), np.float32) * alpha[..., None]
    linear = t.encoded_to_linear_premultiplied(color, alpha)
    decoded = t.unpack_linear(t.pack_frame(color, alpha, "uint8"))
    assert np.abs(t.linear_to_srgb(decoded[..., :3]) - t.linear_to_srgb(linear[..., :3])).max() < 0.6 / 255
    assert np.abs(decoded[..., 3] - alpha).max() < 0.51 / 255
    assert (decoded[8:12] == 0).all()
    opaque = t.pack_frame(color, alpha, "uint8")[:8, :, :3]
    assert np.array_equal(opaque, np.round(color[:8] * 255).astype(np.uint8))


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_packing(dtype):
    color, alpha = np.full((4, 5, 3), 2.0, np.float32), np.ones((4, 5), np.float32)
    packed = t.pack_frame(color, alpha, dtype)
    assert packed.dtype == np.dtype(dtype)
    assert packed.shape == (4, 5, 4)
    assert packed.flags.c_contiguous
    assert np.isfinite(packed.astype(np.float32)).all()
    assert t.unpack_linear(packed).dtype == np.float32


def test_only_frame_types_are_unpacked():
    with pytest.raises(ArgumentError):
        t.unpack_linear(np.zeros((2, 2, 4), np.float64))
