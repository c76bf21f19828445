"""Turning the answer to a frame request into arrays, from the socket's payload or from the session's ring."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import ProtocolError
from .codec import decode
from .endpoint import Endpoint
from .limits import frame_sizes
from .messages import FrameInfo, RingRef
from .ring import Ring
from .values import Frame


class FrameReader:
    """Reads frames of one client; maps a ring when a frame first lies in it. For the I/O thread only."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._rings: dict[str, Ring] = {}

    def decode(self, info: FrameInfo, ring: RingRef | None, parts: list[memoryview]) -> Frame:
        """The frame; its arrays are copies. Raises ``ProtocolError`` when header, sizes and data disagree."""
        sizes = frame_sizes(info)
        if ring is None:
            data = decode(info, parts)
        elif ring.sizes == sizes and info.codec == "raw":
            data = self._ring(ring).read(ring.slot, ring.sequence, sizes)
        else:
            raise ProtocolError("A frame's ring slot does not have the size that its header promises.")
        if [part.size for part in data] != sizes or info.parts[:1] != ["rgba"]:
            raise ProtocolError("A frame's payload does not have the size that its header promises.")
        shape = (info.height, info.width)
        depth = data[1].view("<f4").reshape(shape) if "depth" in info.parts else None
        # Made from its string a native type stays native: Blender's buffers refuse an explicit byte order.
        rgba = data[0].view(np.dtype(np.dtype(info.dtype).newbyteorder("<").str)).reshape(*shape, 4)
        return Frame(rgba, depth, info.colorspace, info.alpha, info.dtype, info.origin, info.seconds, codec=info.codec)

    def _ring(self, ref: RingRef) -> Ring:
        if ref.path not in self._rings:
            path = Path(ref.path)
            if not self._endpoint.local or path.parent != Path(self._endpoint.runtime_dir):
                raise ProtocolError(f"The backend names a ring outside its runtime directory: {path}.")
            self._rings[ref.path] = Ring.open(path, ref.nonce)
            for old in [key for key, ring in self._rings.items() if not ring.path.exists()]:
                self._rings.pop(old).close()
        return self._rings[ref.path]

    def close(self) -> None:
        """Unmaps the rings."""
        for ring in self._rings.values():
            ring.close()
        self._rings.clear()
