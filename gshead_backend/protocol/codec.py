"""Frames on their way over a network: as they are, without loss (lz4), or for moving views as JPEG.

JPEG and lz4 come with the extension and the backend, but nothing depends on them: a client says in its ``hello`` what
it can read, and one that lacks them gets raw frames. They are imported on use.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..errors import ProtocolError
from .limits import frame_sizes
from .messages import FrameInfo

RAW, LZ4, JPEG = "raw", "lz4", "jpeg"
FULL_CHROMA = 90
"""From this JPEG quality on colours keep their full resolution."""


def readable() -> list[str]:
    """The codecs that this process can read and write, ``raw`` always among them."""
    codecs = [RAW]
    if find_spec("lz4") is not None:
        codecs.append(LZ4)
        if find_spec("simplejpeg") is not None:
            codecs.append(JPEG)
    return codecs


def encode(info: FrameInfo, arrays: Sequence[np.ndarray], quality: int) -> list[Any]:
    """The payload of a frame by ``info.codec``.

    ``raw``: a part for each array. ``lz4``: the same, each an lz4 block. ``jpeg`` (uint8 only): a JPEG of the colours
    and an lz4 block of alpha in place of ``rgba``; ``depth`` is an lz4 block.

    Args:
        arrays: what ``info.parts`` names. quality: of JPEG, 1..100.
    """
    if info.codec == RAW:
        return [np.ascontiguousarray(a).reshape(-1).view(np.uint8).data for a in arrays]
    if info.codec == LZ4:
        return [_packed(a) for a in arrays]
    rgba = np.ascontiguousarray(arrays[0])
    subsampling = "444" if quality >= FULL_CHROMA else "420"
    picture = _jpeg().encode_jpeg(
        rgba, quality=quality, colorspace="RGBX", colorsubsampling=subsampling, fastdct=True
    )  # fmt: skip
    return [picture, _packed(rgba[..., 3]), *(_packed(a) for a in arrays[1:])]


def decode(info: FrameInfo, parts: Sequence[Any]) -> list[np.ndarray]:
    """The bytes of each array of ``info.parts``, uint8, writable, from a frame's payload.

    Raises:
        ProtocolError: unknown codec, wrong number of parts, or data that is not what ``info`` promises.
    """
    sizes = frame_sizes(info)
    expected = len(sizes) + (info.codec == JPEG)
    if len(parts) != expected:
        raise ProtocolError(f"A {info.codec} frame must have {expected} payload parts, it has {len(parts)}.")
    if info.codec == RAW:
        return [np.frombuffer(part, np.uint8).copy() for part in parts]
    if info.codec not in readable():
        raise ProtocolError(f"A frame came as '{info.codec}', which this client did not ask for.")
    if info.codec == LZ4:
        return [_unpacked(part, size) for part, size in zip(parts, sizes, strict=True)]
    if info.dtype != "uint8":
        raise ProtocolError(f"A JPEG frame cannot hold {info.dtype}.")
    rgba = _pictured(parts[0], info)
    alpha = _unpacked(parts[1], sizes[0] // 4).reshape(rgba.shape[:2])
    rgba[..., 3] = alpha
    rgba.view(np.uint32)[..., 0] *= alpha != 0  # ringing around the outline would glow on an empty background
    depths = [_unpacked(part, size) for part, size in zip(parts[2:], sizes[1:], strict=True)]
    return [rgba.reshape(-1), *depths]


def _packed(array: np.ndarray) -> bytes:
    return _lz4().compress(np.ascontiguousarray(array), store_size=False)


def _unpacked(part: Any, size: int) -> np.ndarray:
    try:
        data = _lz4().decompress(part, uncompressed_size=size, return_bytearray=True)
    except _lz4().LZ4BlockError as error:
        raise ProtocolError(f"A frame's lz4 block is damaged ({error}).") from None
    if len(data) != size:
        raise ProtocolError(f"A frame's lz4 block holds {len(data)} bytes, expected {size}.")
    return np.frombuffer(data, np.uint8)


def _pictured(part: Any, info: FrameInfo) -> np.ndarray:
    try:
        height, width = _jpeg().decode_jpeg_header(part, strict=True)[:2]  # before anything is allocated
        if (height, width) != (info.height, info.width):
            raise ProtocolError(f"A frame's JPEG is {width}x{height}, its header says {info.width}x{info.height}.")
        return _jpeg().decode_jpeg(part, colorspace="RGBA", fastdct=True, fastupsample=True)
    except ValueError as error:
        raise ProtocolError(f"A frame's JPEG is damaged ({str(error)[:100]}).") from None


def _lz4() -> Any:
    return importlib.import_module("lz4.block")


def _jpeg() -> Any:
    return importlib.import_module("simplejpeg")
