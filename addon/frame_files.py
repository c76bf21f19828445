"""A frame of the viewport as a file, and the key under which it is found again. No bpy here."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from gshead_backend import __version__
from gshead_backend.camera import Camera
from gshead_backend.errors import FileFormatError

from .texels import Texels

FORMAT = 1
_MAGIC = b"GSFC"
_HEADER = struct.Struct("<4sB3x8I16s")  # magic, format, frame size, place, bytes of color and depth, checksum
_LARGEST_SIDE = 16384


def frame_key(heads: Sequence[tuple[Any, bytes]], camera: Camera) -> str:
    """32 hex digits that name the full-quality frame of wire heads (``final.wire_heads``) seen by a camera."""
    digest = hashlib.blake2b(f"{FORMAT} {__version__} {camera.width} {camera.height}".encode(), digest_size=16)
    digest.update(struct.pack("<2d?I", camera.near, camera.far, camera.orthographic, len(heads)))
    digest.update(np.ascontiguousarray(camera.K, np.float64).tobytes())
    digest.update(np.ascontiguousarray(camera.viewmat, np.float64).tobytes())
    for instance, _ in heads:
        digest.update(instance.avatar_id.encode())
        for values in (instance.matrix, instance.pose, instance.vertices):
            array = np.ascontiguousarray(() if values is None else values, np.float64 if values is None else None)
            digest.update(struct.pack("<I", array.nbytes))
            digest.update(array.tobytes())
        if instance.light is not None:
            digest.update(np.ascontiguousarray(instance.light, np.float64).tobytes())
            digest.update(struct.pack("<d", instance.light_strength))
    return digest.hexdigest()


def can_pack() -> bool:
    """Whether lz4, which comes with the extension, is there."""
    return find_spec("lz4") is not None


def frame_to_bytes(frame: Texels) -> bytes:
    """A frame as the content of a file, without loss."""
    from lz4 import block

    color = block.compress(np.ascontiguousarray(frame.color, np.float32), store_size=False)
    depth = b""
    if frame.depth is not None:
        depth = block.compress(np.ascontiguousarray(frame.depth, np.float32), store_size=False)
    check = hashlib.blake2b(color + depth, digest_size=16).digest()
    return _HEADER.pack(_MAGIC, FORMAT, *frame.size, *frame.place, len(color), len(depth), check) + color + depth


def frame_from_bytes(data: bytes) -> Texels:
    """The frame of a file. Raises ``FileFormatError`` for anything that ``frame_to_bytes`` did not write."""
    from lz4 import block

    if len(data) < _HEADER.size:
        raise FileFormatError(f"A cached frame has {len(data)} bytes.")
    magic, version, width, height, left, top, w, h, color_bytes, depth_bytes, check = _HEADER.unpack_from(data)
    payload = memoryview(data)[_HEADER.size :]
    fits = 0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE and w and h
    fits = fits and left + w <= width and top + h <= height and color_bytes + depth_bytes == len(payload)
    if magic != _MAGIC or version != FORMAT or not fits:
        raise FileFormatError("A cached frame has a header that does not hold together.")
    if hashlib.blake2b(payload, digest_size=16).digest() != check:
        raise FileFormatError("A cached frame is damaged.")
    rows = h + -(-h // 3)
    try:
        color = block.decompress(payload[:color_bytes], uncompressed_size=4 * rows * w)
        depth = block.decompress(payload[color_bytes:], uncompressed_size=4 * h * w) if depth_bytes else None
        return Texels(
            (width, height), (left, top, w, h), np.frombuffer(color, np.float32).reshape(rows, w),
            None if depth is None else np.frombuffer(depth, np.float32).reshape(h, w),
        )  # fmt: skip
    except (ValueError, block.LZ4BlockError) as error:
        raise FileFormatError(f"A cached frame cannot be unpacked: {error}.") from error
