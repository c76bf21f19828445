"""SPZ version 3 (Niantic, 2024): splats in a tenth of a PLY's size. numpy only.

Inside one gzip stream: a 16-byte header, then attribute by attribute positions (24-bit fixed point), opacities, colours
and log scales (8 bits each), rotations (the three smallest components, 10 bits each). Axes are x right, y up, z back:
head space as it is.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from ..avatar.types import Splats
from ..errors import ArgumentError
from ..files import write_atomic
from .ply import ply_records

VERSION = 3
_MAGIC = 0x5053474E
_POSITION_BITS = 23  # of 24; one is the sign
_MOST_FRACTIONAL_BITS = 20  # a micrometre
_COLOR_SCALE = 0.15  # the format's: colours may reach a little beyond 0..1
_LARGEST = 1 / np.sqrt(2)  # of a component that is not the largest


def spz_bytes(splats: Splats) -> bytes:
    """The SPZ file of splats in head space; the same splats give the same bytes.

    Exact to about a micrometre (positions within 8 m), 3 % of a splat's size, 0.2 degrees, and half an 8-bit step of
    opacity; colours to 1.2 %. Sizes below 0.045 mm become 0.045 mm.

    Raises:
        ArgumentError: the splats are not RGB, not finite, or farther than 8 km away.
    """
    table = ply_records(splats)
    means, color, logit, log_scale, quats = (table[:, a:b] for a, b in ((0, 3), (6, 9), (9, 10), (10, 13), (13, 17)))
    reach = float(np.abs(means).max()) if len(means) else 0.0
    bits = min(_MOST_FRACTIONAL_BITS, _POSITION_BITS - int(np.floor(np.log2(max(reach, 1e-9)))) - 1)
    if bits < 10:
        raise ArgumentError(f"SPZ holds positions up to 8 km; these reach {reach:g} m.")
    most = 2**_POSITION_BITS - 1  # what rounds up to the next power of two would come out on the other side
    fixed = np.clip(np.round(means.astype(np.float64) * 2.0**bits), -most, most).astype("<i4")
    parts = [
        struct.pack("<IIIBBBB", _MAGIC, VERSION, len(table), 0, bits, 0, 0),
        np.ascontiguousarray(fixed).view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
        _byte(255 / (1 + np.exp(-logit.astype(np.float64)))),
        _byte(color * (_COLOR_SCALE * 255) + 127.5),
        _byte((log_scale + 10) * 16),
        _packed_rotations(quats).astype("<u4").tobytes(),
    ]
    return gzip.compress(b"".join(parts), 6, mtime=0)


def export_spz(path: str | Path, splats: Splats) -> int:
    """Write splats as SPZ (atomically); returns the size in bytes. Raises as :func:`spz_bytes`, and ``ExportError``."""
    data = spz_bytes(splats)
    write_atomic(path, data)
    return len(data)


def _byte(values: np.ndarray) -> bytes:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8).tobytes()


def _packed_rotations(quats: np.ndarray) -> np.ndarray:
    """(n,) uint32 of (n, 4) unit wxyz: index of the largest of x, y, z, w, then sign and 9 bits of the other three."""
    xyzw = quats[:, [1, 2, 3, 0]].astype(np.float64)
    largest = np.abs(xyzw).argmax(1)
    rows = np.arange(len(xyzw))
    xyzw = xyzw * np.where(xyzw[rows, largest] < 0, -1.0, 1.0)[:, None]
    packed = largest.astype(np.uint32)
    others = np.array([[j for j in range(4) if j != i] for i in range(4)])[largest]
    for k in range(3):
        value = xyzw[rows, others[:, k]]
        size = np.minimum(np.floor(np.abs(value) / _LARGEST * 511 + 0.5), 511).astype(np.uint32)
        packed = (packed << np.uint32(10)) | ((value < 0).astype(np.uint32) << np.uint32(9)) | size
    return packed
