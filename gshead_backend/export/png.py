"""The PNG format, with nothing but the standard library."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np


def encode_png(pixels: np.ndarray, text: Mapping[str, str] | None = None) -> bytes:
    """The PNG file of (H, W, 3) or (H, W, 4) integers, uint8 or 16 bits.

    ``text``: facts by keyword (1 to 79 Latin letters), which picture programs show.
    """
    height, width, channels = pixels.shape
    step = channels * pixels.dtype.itemsize
    rows = np.ascontiguousarray(pixels, ">u2" if pixels.dtype.itemsize == 2 else np.uint8).view(np.uint8)
    rows = rows.reshape(height, width * step)
    filtered = np.empty((height, width * step + 1), np.uint8)
    filtered[:, 0] = 2  # filter "up": each byte minus the one above it
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, {3: 2, 4: 6}[channels], 0, 0, 0)
    told = [(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + value.encode()) for key, value in (text or {}).items()]
    data = zlib.compress(filtered.tobytes(), 6)
    chunks = ((b"IHDR", header), (b"sRGB", b"\0"), *told, (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
