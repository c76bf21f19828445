"""The glTF 2.0 container: buffers, accessors and the binary .glb file. numpy only, and nothing of heads."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

_COMPONENTS = {"uint8": 5121, "uint16": 5123, "uint32": 5125, "float32": 5126}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963


class Gltf:
    """A document that grows; ``json`` is the glTF object, the methods return indices into its arrays."""

    def __init__(self, generator: str) -> None:
        self.json: dict[str, Any] = {"asset": {"version": "2.0", "generator": generator}, "scene": 0, "scenes": [{}]}
        self._binary = bytearray()

    def add(self, kind: str, value: dict[str, Any]) -> int:
        """Append to a top-level array such as ``"nodes"``."""
        self.json.setdefault(kind, []).append(value)
        return len(self.json[kind]) - 1

    def use(self, extension: str) -> None:
        """Name an extension that the document uses."""
        used = self.json.setdefault("extensionsUsed", [])
        if extension not in used:
            used.append(extension)

    def accessor(
        self, values: np.ndarray, *, target: int | None = None, normalized: bool = False, bounds: bool = False
    ) -> int:  # fmt: skip
        """(n,) or (n, k) uint8, uint16, uint32 or float32 values; ``bounds`` adds min and max."""
        values = np.ascontiguousarray(values)
        entry = self._entry(values, bounds)
        entry["bufferView"] = self.view(values.tobytes(), target)
        return self.add("accessors", entry | ({"normalized": True} if normalized else {}))

    def sparse(self, rows: np.ndarray, values: np.ndarray, count: int) -> int:
        """``count`` float32 vectors, zero but for ``values`` (m, 3) at ``rows`` (m,), with bounds."""
        rest = np.zeros((int(rows.size < count), 3), np.float32)  # those that are not named
        entry = self._entry(np.concatenate([values, rest]).astype(np.float32), True)
        entry["count"] = count
        if rows.size:
            entry["sparse"] = {
                "count": int(rows.size),
                "indices": {"bufferView": self.view(rows.astype("<u4").tobytes()), "componentType": 5125},
                "values": {"bufferView": self.view(np.ascontiguousarray(values, "<f4").tobytes())},
            }
        return self.add("accessors", entry)

    def view(self, data: bytes, target: int | None = None) -> int:
        """Bytes as a buffer view, at a multiple of four."""
        self._binary += b"\0" * (-len(self._binary) % 4)
        entry = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data)}
        self._binary += data
        return self.add("bufferViews", entry | ({} if target is None else {"target": target}))

    def to_bytes(self) -> bytes:
        """The .glb file; the same document gives the same bytes."""
        self._binary += b"\0" * (-len(self._binary) % 4)
        document = self.json | ({"buffers": [{"byteLength": len(self._binary)}]} if self._binary else {})
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        if self._binary:
            chunks += struct.pack("<I4s", len(self._binary), b"BIN\0") + bytes(self._binary)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks

    def _entry(self, values: np.ndarray, bounds: bool) -> dict[str, Any]:
        columns = 1 if values.ndim == 1 else values.shape[1]
        entry: dict[str, Any] = {
            "componentType": _COMPONENTS[values.dtype.name], "count": len(values), "type": _TYPES[columns],
        }  # fmt: skip
        if bounds:
            table = values.reshape(len(values), columns)
            entry |= {"min": table.min(0).tolist(), "max": table.max(0).tolist()}
        return entry
