"""A worker's draws: wishes to shots, shots to the engine, pictures into rings or onto the socket.

On a device that works by itself (a GPU) one round of draws may be begun while the pixels of the last come over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import numpy as np
import zmq

from ..errors import ProtocolError
from ..head.pose import HeadPose
from ..protocol import codec
from ..protocol.messages import FrameInfo, InstanceSpec
from ..protocol.ring import Ring
from . import link
from .shots import EngineLike, HeadInstance, Picture, Shot

Draw = tuple[link.Draw, list[memoryview]]


class Drawing:
    """``failed`` is told the task and the error of a draw that did not work."""

    def __init__(self, engine: EngineLike, socket: zmq.Socket[bytes], failed: Callable[[int, Exception], None]) -> None:
        self._engine, self._socket, self._failed = engine, socket, failed
        self._ring: Ring | None = None
        self._begun: tuple[list[Draw], AbstractContextManager[list[Picture]]] | None = None

    def begin(self, draws: list[Draw]) -> None:
        """Start these, then hand over those that were begun before: their pixels came over meanwhile."""
        try:
            shots = [_shot(message, parts) for message, parts in draws]
            begun = self._engine.draw(shots, lambda: link.send(self._socket, link.Free(task=draws[-1][0].task)))
        except Exception as error:
            self.finish()
            self._go_wrong(draws, error)
            return
        self.finish()
        self._begun = draws, begun

    def finish(self) -> None:
        """Hand over what was begun."""
        if self._begun is None:
            return
        (draws, begun), self._begun = self._begun, None
        handed = 0
        try:
            with begun as pictures:
                for (message, _), picture in zip(draws, pictures, strict=True):
                    self._hand_over(message, *picture)
                    handed += 1
        except Exception as error:
            self._go_wrong(draws[handed:], error)

    def _go_wrong(self, draws: list[Draw], error: Exception) -> None:
        if len(draws) == 1:
            self._failed(draws[0][0].task, error)
            return
        for draw in draws:  # one by one, so that only the one at fault fails
            self.begin([draw])
            self.finish()

    def _hand_over(self, message: link.Draw, info: FrameInfo, arrays: list[np.ndarray]) -> None:
        info = msgspec.structs.replace(info, codec=message.codec)
        answer = link.Drawn(task=message.task, frame=info, sizes=[int(a.nbytes) for a in arrays])
        if message.ring is None:
            kept = [array.copy() for array in arrays]  # sent later, when the engine may use its memory again
            link.send(self._socket, answer, codec.encode(info, kept, message.quality))
            return
        self._open_ring(message.ring).write(message.ring.slot, message.ring.sequence, arrays)
        link.send(self._socket, answer)

    def _open_ring(self, target: link.RingTarget) -> Ring:
        if self._ring is None or str(self._ring.path) != target.path or self._ring.nonce != target.nonce:
            if self._ring is not None:
                self._ring.close()
                self._ring = None
            self._ring = Ring.open(Path(target.path), target.nonce, writable=True)
        return self._ring


def _shot(message: link.Draw, parts: list[memoryview]) -> Shot:
    heads = [_head(spec, parts) for spec in message.instances]
    return Shot(message.camera, heads, message.dtype, message.depth, message.scale, message.splats, message.final)


def _head(spec: InstanceSpec, parts: list[memoryview]) -> HeadInstance:
    matrix = np.array(spec.matrix, np.float64).reshape(4, 4)
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
        raise ProtocolError("An instance's matrix flattens the head (its determinant is zero).")
    pose = None if spec.pose is None else HeadPose.from_vector(np.array(spec.pose, np.float32))
    light = None if spec.light is None else np.array(spec.light, np.float64).reshape(9, 3)
    vertices = None if spec.vertices < 0 else np.frombuffer(parts[spec.vertices], "<f4").reshape(-1, 3).copy()
    if vertices is not None and not np.isfinite(vertices).all():
        raise ProtocolError("The vertices of an instance hold NaN or infinity.")
    shadow = None if spec.shadow < 0 else np.frombuffer(parts[spec.shadow], "<f2").reshape(-1, 3).astype(np.float32)
    if shadow is not None and not ((shadow >= 0) & (shadow <= 1)).all():
        raise ProtocolError("The shadow of an instance holds values outside of 0 to 1.")
    return HeadInstance(spec.avatar_id, matrix, pose, vertices, light, spec.light_strength, shadow)
