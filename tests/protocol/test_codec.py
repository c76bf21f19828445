"""Frames packed for a network come back: exactly without loss, nearly as JPEG, and damage is an error."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gshead_backend.errors import ProtocolError
from gshead_backend.protocol import codec
from gshead_backend.protocol.messages import FrameInfo


def _picture(height: int = 61, width: int = 83) -> np.ndarray:
    """A shaded disc with a soft edge on nothing, as the backend packs it."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    alpha = np.clip((0.4 * height - np.hypot(x - width / 2, y - height / 2)) / 4, 0, 1)
    color = np.stack([0.5 + 0.4 * np.sin(x / 9), 0.4 + 0.3 * np.cos(y / 7), 0.3 + x / width / 2], -1)
    return (np.concatenate([color * alpha[..., None], alpha[..., None]], -1) * 255 + 0.5).astype(np.uint8)


def _info(array: np.ndarray, name: str, parts: tuple[str, ...] = ("rgba",)) -> FrameInfo:
    return FrameInfo(array.shape[1], array.shape[0], array.dtype.name, parts=list(parts), codec=name)


def test_everything_is_readable_where_the_packages_are():
    assert codec.readable() == ["raw", "lz4", "jpeg"]


@pytest.mark.parametrize("name", ["raw", "lz4"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_frames_without_loss_come_back_bit_by_bit(name, dtype):
    rgba = _picture().astype(dtype)
    depth = np.where(rgba[..., 3] > 0, np.float32(0.7), np.float32(np.inf))
    info = _info(rgba, name, ("rgba", "depth"))
    parts = codec.encode(info, [rgba, depth], 0)
    got = codec.decode(info, [bytes(p) for p in parts])
    assert got[0].tobytes() == rgba.tobytes()
    assert got[1].tobytes() == depth.tobytes()
    if name == "lz4":
        assert sum(map(len, parts)) < 0.5 * (rgba.nbytes + depth.nbytes)


def test_jpeg_keeps_alpha_exactly_colours_nearly_and_nothing_outside():
    rgba = _picture(240, 320)
    info = _info(rgba, "jpeg", ("rgba", "depth"))
    depth = np.full(rgba.shape[:2], 2.0, np.float32)
    sizes = []
    for quality, error in ((95, 2.5), (70, 6.0)):
        parts = codec.encode(info, [rgba, depth], quality)
        got, depth_bytes = codec.decode(info, parts)
        got = got.reshape(rgba.shape)
        assert (got[..., 3] == rgba[..., 3]).all()
        assert not got[rgba[..., 3] == 0].any()
        inside = rgba[..., 3] > 0
        assert np.abs(got[inside].astype(int) - rgba[inside]).mean() < error
        assert depth_bytes.tobytes() == depth.tobytes()
        sizes.append(sum(map(len, parts)))
    assert sizes[1] < sizes[0] < 0.1 * rgba.nbytes


def test_a_frame_that_is_not_what_its_header_says_is_an_error():
    rgba = _picture()
    jpeg, lz4 = _info(rgba, "jpeg"), _info(rgba, "lz4")
    parts = codec.encode(jpeg, [rgba], 90)
    larger = FrameInfo(500, 400, "uint8", parts=["rgba"], codec="jpeg")
    with pytest.raises(ProtocolError, match="500x400"):
        codec.decode(larger, parts)
    with pytest.raises(ProtocolError, match="2 payload parts"):
        codec.decode(jpeg, parts[:1])
    with pytest.raises(ProtocolError, match="cannot hold"):
        codec.decode(FrameInfo(83, 61, "float32", parts=["rgba"], codec="jpeg"), parts)
    with pytest.raises(ProtocolError, match="did not ask"):
        codec.decode(_info(rgba, "brotli"), [b"x"])
    small = codec.encode(_info(rgba[:10], "lz4"), [rgba[:10]], 0)
    with pytest.raises(ProtocolError, match="lz4"):
        codec.decode(lz4, small)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["lz4", "jpeg"]), st.integers(0, 10**6), st.binary(min_size=1, max_size=8), st.booleans())
def test_damaged_payloads_raise_nothing_but_protocol_errors(name, where, junk, cut):
    rgba = _picture(24, 32)
    info = _info(rgba, name)
    parts = [bytearray(p) for p in codec.encode(info, [rgba], 80)]
    part = parts[where % len(parts)]
    at = where % len(part)
    part[at : at + len(junk)] = junk
    if cut:
        del part[at:]
    with contextlib.suppress(ProtocolError):
        assert codec.decode(info, [bytes(p) for p in parts])[0].size == rgba.size
