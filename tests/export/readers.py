"""Readers of our own for what the exporters write, by the formats' documents alone."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from three_splats import Read

from gshead_backend.export.ply import SH_C0

_DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def ply_columns(path: Path) -> dict[str, np.ndarray]:
    """Every float property of a binary PLY by name, by the header alone."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    names = [line.split()[-1] for line in lines if line.startswith("property float ")]
    count = int(next(line for line in lines if line.startswith("element vertex")).split()[-1])
    table = np.frombuffer(body, "<f4").reshape(count, len(names))
    return {name: table[:, i] for i, name in enumerate(names)}


def read_ply(path: Path) -> Read:
    """The splats of a 3DGS PLY, activated."""
    got = ply_columns(path)

    def columns(stem: str, count: int) -> np.ndarray:
        return np.stack([got[f"{stem}_{i}"] for i in range(count)], 1)

    return Read(
        np.stack([got["x"], got["y"], got["z"]], 1), columns("rot", 4), np.exp(columns("scale", 3)),
        1 / (1 + np.exp(-got["opacity"])), columns("f_dc", 3) * SH_C0 + 0.5,
    )  # fmt: skip


def read_spz(source: Path | bytes) -> Read:
    """The splats of an SPZ file of version 3, by its path or content."""
    data = gzip.decompress(source if isinstance(source, bytes) else source.read_bytes())
    magic, version, n, degree, bits, flags, reserved = struct.unpack_from("<IIIBBBB", data)
    assert (magic, version, degree, flags, reserved) == (0x5053474E, 3, 0, 0, 0)
    assert len(data) == 16 + n * (9 + 1 + 3 + 3 + 4)
    at = 16
    parts = []
    for size in (9, 1, 3, 3, 4):
        parts.append(np.frombuffer(data, np.uint8, n * size, at).reshape(n, size).astype(np.int64))
        at += n * size
    places = parts[0].reshape(n, 3, 3) @ [1, 256, 65536]
    places = np.where(places >= 1 << 23, places - (1 << 24), places) / 2.0**bits
    packed = parts[4] @ [1, 1 << 8, 1 << 16, 1 << 24]
    quats = np.zeros((n, 4))
    for i in range(n):
        largest, rest = int(packed[i]) >> 30, int(packed[i])
        for k in reversed([k for k in range(4) if k != largest]):
            value = (rest & 511) / 511 / np.sqrt(2)
            quats[i, k] = -value if rest & 512 else value
            rest >>= 10
        quats[i, largest] = np.sqrt(1 - np.square(quats[i]).sum())
    color = (parts[2] / 255 - 0.5) / 0.15 * SH_C0 + 0.5
    return Read(places, quats[:, [3, 0, 1, 2]], np.exp(parts[3] / 16 - 10), parts[1][:, 0] / 255, color)


class Glb:
    """A .glb file: ``json``, and the values of its accessors, sparse ones filled in."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        magic, version, size = struct.unpack_from("<4sII", data)
        assert (magic, version, size) == (b"glTF", 2, len(data))
        length = struct.unpack_from("<I", data, 12)[0]
        self.json: dict[str, Any] = json.loads(data[20 : 20 + length])
        self._binary = data[28 + length :]

    def accessor(self, index: int) -> np.ndarray:
        entry = self.json["accessors"][index]
        columns, dtype = _COLUMNS[entry["type"]], np.dtype(_DTYPES[entry["componentType"]])
        values = np.zeros((entry["count"], columns), dtype)
        if "bufferView" in entry:
            values[:] = self._view(entry["bufferView"], dtype, entry["count"] * columns).reshape(values.shape)
        if sparse := entry.get("sparse"):
            rows = self._view(
                sparse["indices"]["bufferView"], np.dtype(_DTYPES[sparse["indices"]["componentType"]]), sparse["count"]
            )
            values[rows] = self._view(sparse["values"]["bufferView"], dtype, sparse["count"] * columns).reshape(
                -1, columns
            )
        return values[:, 0] if columns == 1 else values

    def view(self, index: int) -> bytes:
        entry = self.json["bufferViews"][index]
        start = entry.get("byteOffset", 0)
        return self._binary[start : start + entry["byteLength"]]

    def splats(self) -> Read:
        """The points of the primitive with the extension."""
        primitives = [p for mesh in self.json["meshes"] for p in mesh["primitives"]]
        attributes = next(p for p in primitives if "KHR_gaussian_splatting" in p.get("extensions", {}))["attributes"]
        get = {name.removeprefix("KHR_gaussian_splatting:"): self.accessor(i) for name, i in attributes.items()}
        quats = get["ROTATION"][:, [3, 0, 1, 2]]
        color = get["SH_DEGREE_0_COEF_0"] * SH_C0 + 0.5
        return Read(get["POSITION"], quats, get["SCALE"], get["OPACITY"], color)

    def _view(self, index: int, dtype: np.dtype, count: int) -> np.ndarray:
        return np.frombuffer(self.view(index), dtype, count)
